"""Run the suite against a server that is already running.

    python -m tests.conformance HOST:PORT [-k WORDS] [-v]

The server must serve tests/apps/conformance.py with a largest message of 16 MiB
(`geuwsgi --http-socket 127.0.0.1:0 --wsgi-file tests/apps/conformance.py --websockets-max-size 16384`).
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections import Counter

from tests.conformance.case import play
from tests.conformance.tables import all_cases


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("address", help="host:port")
    parser.add_argument("-k", default="", help="only cases whose id contains this")
    parser.add_argument("-v", action="store_true", help="name every case")
    arguments = parser.parse_args()
    host, _, port = arguments.address.rpartition(":")
    grades: Counter[str] = Counter()
    start = time.monotonic()
    for case in all_cases():
        if arguments.k in case.id:
            before = time.monotonic()
            result = play(case, lambda: socket.create_connection((host, int(port)), 10))
            taken = time.monotonic() - before
            grades[result.grade] += 1
            if arguments.v or result.grade != "passed":
                print(
                    f"{result.grade:10} {taken:6.2f} s {case.id}" + (f"\n           {result.detail}" if result.detail else ""), flush=True
                )
    print(", ".join(f"{count} {grade}" for grade, count in sorted(grades.items())), f"in {time.monotonic() - start:.1f} s")
    return 0 if set(grades) <= {"passed"} else 1


if __name__ == "__main__":
    sys.exit(main())
