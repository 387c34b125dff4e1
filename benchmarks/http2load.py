"""Load for HTTP/2, on one connection: requests by nghttp2's h2load, websockets (RFC 8441) by a loop of its own, which no tool has.

Prints what `load.c` prints. The loop writes and reads frames as they are: a client made of hyper-h2 would be slower than the servers.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
#: What the client's windows are opened to, and after how many bytes they are opened again.
WINDOW, CREDIT = 1 << 24, 1 << 22


def say(event: str, **facts: Any) -> None:
    print(json.dumps({"event": event, **facts}), flush=True)


def done(scenario: str, streams: int, spent: float, latencies: list[float], first_error: str, errors: int, load_cpu: float) -> None:
    """The figures of a run; latencies in seconds."""
    latencies.sort()
    count = len(latencies)
    say(
        "done",
        scenario=scenario,
        connections=streams,
        messages=count,
        rate=count / spent if spent else 0,
        p50_us=latencies[count // 2] * 1e6 if count else 0,
        p99_us=latencies[count * 99 // 100] * 1e6 if count else 0,
        errors=errors,
        first_error=first_error,
        lost=0,
        stalls=0,
        load_cpu=load_cpu,
    )


def cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


# -- requests


def get(options: argparse.Namespace) -> None:
    """Requests by h2load, whose log has the time of each."""
    program = shutil.which("h2load")
    if program is None:
        done("h2-get", options.connections, 0, [], "h2load is not installed (Debian: nghttp2-client)", 1, 0)
        return
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        command = [program, "-c", "1", "-t", "1", "-m", str(options.connections), "-D", str(max(1, round(options.seconds)))]
        command += ["--warm-up-time", str(max(1, round(options.warmup))), f"--log-file={log}", f"http://127.0.0.1:{options.port}/hello"]
        before = cpu()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as load:
            time.sleep(max(1, round(options.warmup)))
            say("measure")
            output, _ = load.communicate()
        lines = [line.split("\t") for line in log.read_text().splitlines()] if log.exists() else []
    latencies = [int(line[2]) / 1e6 for line in lines if line[1] == "200"]
    wrong = len(lines) - len(latencies)
    seconds = max(1, round(options.seconds))
    done(
        "h2-get", options.connections, seconds, latencies, output.strip()[-200:] if not latencies else "", wrong, (cpu() - before) / seconds
    )


# -- websockets


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A header without compression or index (RFC 7541 section 6.2.2)."""
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


def echo(options: argparse.Namespace) -> None:
    """One message under way on each of so many websockets."""
    sock = socket.create_connection(("127.0.0.1", options.port), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    fields = [
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        (b":scheme", b"http"),
        (b":path", b"/"),
        (b":authority", b"localhost"),
    ]
    block = b"".join(literal(*field) for field in [*fields, (b"sec-websocket-version", b"13")])
    streams = [2 * index + 1 for index in range(options.connections)]
    hello = PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, WINDOW)) + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW - 65535))
    sock.sendall(hello + b"".join(frame(HEADERS, 4, stream, block) for stream in streams))
    text = b"x" * options.size
    mask = b"\x37\xfa\x21\x3d"
    size = bytes((0x80 | options.size,)) if options.size < 126 else b"\xfe" + struct.pack(">H", options.size)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(text))
    messages = {stream: frame(DATA, 0, stream, b"\x81" + size + mask + masked) for stream in streams}
    answer = b"\x81" + (bytes((options.size,)) if options.size < 126 else b"\x7e" + struct.pack(">H", options.size)) + text
    expected = len(answer)
    received = dict.fromkeys(streams, 0)
    credit = dict.fromkeys([0, *streams], 0)
    sent = dict.fromkeys(streams, 0.0)
    latencies: list[float] = []
    buffer = b""
    error = ""
    opened = 0
    start = now = time.monotonic()
    end = start + options.warmup + options.seconds
    measuring = False
    used = 0.0
    while now < end and not error:
        data = sock.recv(262144)
        if not data:
            error = "the server has closed the connection"
            break
        now = time.monotonic()
        if not measuring and now >= start + options.warmup:
            measuring = True
            used, begun = cpu(), now
            say("measure")
        buffer += data
        position, available = 0, len(buffer)
        out = []
        while available - position >= 9:
            head, flags, stream = struct.unpack_from(">IBI", buffer, position)
            length, kind = head >> 8, head & 255
            if available - position < 9 + length:
                break
            payload = position + 9
            position = payload + length
            if kind == DATA and length:
                if length == expected and buffer[payload:position] != answer:
                    error = "a wrong echo"
                received[stream] += length
                for number in (0, stream):
                    credit[number] += length
                    if credit[number] >= CREDIT:
                        out.append(frame(WINDOW_UPDATE, 0, number, struct.pack(">I", credit[number])))
                        credit[number] = 0
                if received[stream] >= expected:
                    received[stream] -= expected
                    if measuring:
                        latencies.append(now - sent[stream])
                    sent[stream] = now
                    out.append(messages[stream])
            elif kind == HEADERS:
                opened += 1
                sent[stream] = now
                out.append(messages[stream])
            elif kind == SETTINGS and not flags & 1:
                out.append(frame(SETTINGS, 1, 0, b""))
            elif kind == PING and not flags & 1:
                out.append(frame(PING, 1, 0, buffer[payload:position]))
            elif kind in (RST_STREAM, GOAWAY):
                error = f"frame of type {kind}, code {int.from_bytes(buffer[position - 4 : position], 'big')}"
        buffer = buffer[position:]
        if out:
            sock.sendall(b"".join(out))
    sock.close()
    if opened < len(streams) and not error:
        error = f"{opened} of {len(streams)} websockets were opened"
    spent = now - begun if measuring else 0.0
    done("h2-echo", len(streams), spent, latencies, error, bool(error), (cpu() - used) / spent if spent else 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", choices=["h2-get", "h2-echo"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=100, help="streams; there is one connection")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--warmup", type=float, default=0.5)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--cpu", help="of load.c; the caller's is taken")
    parser.add_argument("--open-timeout", help="of load.c")
    options = parser.parse_args()
    try:
        (get if options.scenario == "h2-get" else echo)(options)
    except OSError as error:
        done(options.scenario, options.connections, 0, [], str(error), 1, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
