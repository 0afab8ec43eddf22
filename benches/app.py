"""The application that each server of the benchmark runs."""

import os
import time

BODY = b"Hello, world!\n"
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]
BLOCK = bytes(64 << 10)
BLOCKS = 1024

# How many rounds of `busy` take a millisecond. It is measured once for all servers: a loop that reads the clock would
# take no longer if it had half a processor, and so hide that it waits for one.
ROUNDS = int(os.environ.get("RUNNER_BENCH_ROUNDS", "20000"))


def busy(rounds):
    value = 0
    for number in range(rounds):
        value = (value * 31 + number) & 0xFFFF
    return value


BEFORE = {
    "/slow": lambda: time.sleep(0.1),
    "/busy/100": lambda: busy(ROUNDS // 10),
    "/busy/1000": lambda: busy(ROUNDS),
}


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return (BLOCK for _ in range(BLOCKS))
    if path != "/":
        BEFORE[path]()
    start_response("200 OK", HEADERS)
    return [BODY]
