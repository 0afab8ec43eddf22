"""Load on a server, and what comes of it."""

import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Optional

STREAMED = 64 << 20


@dataclass
class Figures:
    """The figures of one round. Times are in milliseconds, except CPU time in microseconds a request."""

    rate: float  # of good answers in a second
    cpu: float
    p50: float
    p99: float
    errors: int
    memory: Optional[int]  # bytes
    load: float  # the processors that the load generator used
    beside: Optional[float] = None  # the rate of the requests beside those that are counted


def wrk(port, path, connections, seconds, cookie=None):
    headers = ["-H", f"Cookie: {cookie}"] if cookie else []
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *headers]
    return subprocess.Popen([*command, f"http://127.0.0.1:{port}{path}"], stdout=subprocess.PIPE, text=True)


def warm_up(server, path, connections, seconds, cookie=None):
    load = wrk(server.port, path, connections, 10, cookie)
    try:
        load.wait(seconds)
    except subprocess.TimeoutExpired:
        pass
    finally:
        load.send_signal(signal.SIGINT)
        load.communicate()


def requests(server, workload, seconds):
    """The figures of many small requests."""
    cookie = session(server.port) if workload.session else None
    warm_up(server, workload.path, workload.connections, workload.warm_up, cookie)
    beside = wrk(server.port, "/slow", workload.beside, seconds + 1) if workload.beside else None
    cpu, own = server.cpu_seconds(), own_cpu()
    text = wrk(server.port, workload.path, workload.connections, seconds, cookie).communicate()[0]
    cpu, own = server.cpu_seconds() - cpu, own_cpu() - own
    memory = server.memory()
    parsed = read(text)
    return Figures(
        rate=parsed["good"] / parsed["seconds"],
        cpu=cpu / max(parsed["good"], 1) * 1e6,
        p50=parsed["p50"],
        p99=parsed["p99"],
        errors=parsed["errors"],
        memory=memory,
        load=own / parsed["seconds"],
        beside=rate(beside.communicate()[0]) if beside else None,
    )


def read(text):
    """What wrk has printed."""
    count, seconds = re.search(r"(\d+) requests in ([\d.]+\w+)", text).groups()
    failed = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    refused = int(refused.group(1)) if refused else 0
    return {
        "good": int(count) - refused,
        "seconds": duration(seconds) / 1000,
        "p50": duration(re.search(r"^\s+50%\s+(\S+)", text, re.MULTILINE).group(1)),
        "p99": duration(re.search(r"^\s+99%\s+(\S+)", text, re.MULTILINE).group(1)),
        "errors": refused + (sum(map(int, failed.groups())) if failed else 0),
    }


def duration(text):
    """Milliseconds."""
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(value) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def rate(text):
    """The rate of good answers in the output of wrk."""
    parsed = read(text)
    return parsed["good"] / parsed["seconds"]


def session(port):
    """The session cookie of a first visit."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return re.search(rb"(?mi)^Set-Cookie: ([^;\r]+)", answer).group(1).decode()


def own_cpu():
    """The CPU time of the load generators that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def streams(server, workload, seconds):
    """The figures of long responses. `wrk` reads in pieces of 8 KiB, which costs more than sending them."""
    command = [sys.executable, __file__, str(server.port), workload.path, str(workload.connections)]
    subprocess.run([*command, str(workload.warm_up)], check=True, stdout=subprocess.DEVNULL)
    cpu, own = server.cpu_seconds(), own_cpu()
    text = subprocess.run([*command, str(seconds)], check=True, stdout=subprocess.PIPE, text=True).stdout
    cpu, own = server.cpu_seconds() - cpu, own_cpu() - own
    received, errors, passed, *times = map(float, text.split())
    responses = received / STREAMED
    return Figures(
        rate=responses / passed,
        cpu=cpu / max(responses, 0.001) * 1e6,
        p50=statistics.median(times or [seconds * 1000]),
        p99=max(times, default=seconds * 1000),
        errors=int(errors),
        memory=server.memory(),
        load=own / passed,
    )


class Readers:
    """Clients that ask for a long response again and again, and count its bytes."""

    def __init__(self, port, path, seconds):
        self.port = port
        self.head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        self.end = time.monotonic() + seconds
        self.received = 0
        self.errors = 0
        self.times = []
        self.lock = threading.Lock()

    def read(self):
        buffer = bytearray(1 << 20)
        while (began := time.monotonic()) < self.end:
            received, whole = 0, False
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
                    connection.sendall(self.head)
                    received = count = connection.recv_into(buffer)
                    good = buffer.startswith(b"HTTP/1.1 200 ")
                    while count and time.monotonic() < self.end:
                        count = connection.recv_into(buffer)
                        received += count
                    # In chunks or not, the connection ends with the response.
                    whole = count == 0
            except OSError:
                good = False
            with self.lock:
                self.received += received
                self.errors += not good or (whole and received < STREAMED)
                if good and whole:
                    self.times.append((time.monotonic() - began) * 1000)


def main():
    port, path, connections, seconds = sys.argv[1:]
    began = time.monotonic()
    readers = Readers(int(port), path, float(seconds))
    threads = [threading.Thread(target=readers.read) for _ in range(int(connections))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(readers.received, readers.errors, time.monotonic() - began, *readers.times)


if __name__ == "__main__":
    main()
