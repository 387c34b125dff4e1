"""Starts a server, and once it accepts connections another one in front of it: behind.py PORT BACKEND... -- FRONT..."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time


def main() -> int:
    port, *commands = sys.argv[1:]
    middle = commands.index("--")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    running = [subprocess.Popen(commands[:middle])]
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(port))) == 0:
                    break
            if running[0].poll() is not None:
                return 1
            time.sleep(0.05)
        running.append(subprocess.Popen(commands[middle + 1 :]))
        return running[1].wait()
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(5)


if __name__ == "__main__":
    sys.exit(main())
