#!/usr/bin/env python3
"""Compares `runner` with other servers under load, and prints tables. `make bench` runs it.

Two workloads, each server with two processes, the load generator on the same machine:

hello   64 connections that are kept alive ask for a short constant answer
mixed   the same, while four more connections ask for a path that takes 100 ms (2 processes x 4 threads)

Absolute figures change with the machine and the hour; what counts are the ratios of one run. Each server
is measured in every round, so that a slow moment hits all of them, and its best round stands in the table.
CPU time is that of all processes of the server, user and system, per answered request.
"""

import argparse
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
VENV = FOLDER.parent / "target" / "bench-venv"
RUNNER = FOLDER.parent / "target" / "release" / "runner"
MARK = "RUNNER_BENCH"
TICK = os.sysconf("SC_CLK_TCK")

# The servers: a name and a command for `processes`, `threads`, `port` and the virtual environment's `bin`.
SERVERS = {
    "runner": "{runner} -c {settings} serve WSGI import:app.application",
    "Granian": "{bin}/granian --interface wsgi --host 127.0.0.1 --port {port} --workers {processes}"
    " --blocking-threads {threads} --log-level error app:application",
    "uWSGI http11-socket": "{bin}/uwsgi --http11-socket 127.0.0.1:{port} --master --processes {processes}"
    " --threads {threads} --wsgi-file app.py --disable-logging --listen 100",
    "uWSGI http": "{bin}/uwsgi --http 127.0.0.1:{port} --http-keepalive --master --processes {processes}"
    " --threads {threads} --wsgi-file app.py --disable-logging --listen 100",
    "gunicorn gthread": "{bin}/gunicorn --bind 127.0.0.1:{port} --worker-class gthread --workers {processes}"
    " --threads {threads} --keep-alive 60 --no-control-socket --log-level error app:application",
}

SETTINGS = """\
url = "tcp://127.0.0.1:{port}"

[runner.workers]
min = {processes}
max = {processes}
threads = {threads}
"""


@dataclass
class Workload:
    """What is asked of a server."""

    title: str
    threads: int
    slow_connections: int
    servers: list


WORKLOADS = {
    "hello": Workload(
        "hello, 64 connections, 2 processes",
        threads=1,
        slow_connections=0,
        servers=["runner", "Granian", "uWSGI http11-socket", "gunicorn gthread"],
    ),
    "mixed": Workload(
        "the same beside 4 connections that each wait 100 ms, 2 processes x 4 threads",
        threads=4,
        slow_connections=4,
        servers=["runner", "Granian", "uWSGI http", "gunicorn gthread"],
    ),
}


@dataclass
class Figures:
    """What one round measured."""

    rate: float
    cpu: float
    p50: float
    p99: float
    lost: int


class Server:
    """A server that runs while its block does."""

    def __init__(self, name, threads):
        self.mark = f"{os.getpid()}-{time.monotonic_ns()}"
        self.port = free_port()
        self.scratch = tempfile.mkdtemp(prefix="runner-bench-")
        values = {"port": self.port, "processes": 2, "threads": threads, "bin": VENV / "bin", "runner": RUNNER}
        values["settings"] = Path(self.scratch) / "settings.ini"
        values["settings"].write_text(SETTINGS.format(**values))
        self.command = SERVERS[name].format(**values).split()
        self.log = open(Path(self.scratch) / "log", "w+b")

    def __enter__(self):
        environment = dict(os.environ, **{MARK: self.mark, "VIRTUAL_ENV": str(VENV), "PYTHONDONTWRITEBYTECODE": "1"})
        self.process = subprocess.Popen(
            self.command, cwd=FOLDER, env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        deadline, pause = time.monotonic() + 30, 0.005
        while not answers(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                said = self.log.read().decode(errors="replace")
                self.__exit__()
                sys.exit(f"{' '.join(self.command)}: does not answer\n{said}")
            time.sleep(pause)
            pause = min(pause * 2, 0.2)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.scratch)

    def pids(self):
        """All living processes of this server: they have inherited its mark."""
        wanted = f"{MARK}={self.mark}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if wanted in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found

    def cpu_seconds(self):
        """What its processes have used so far, those that they waited for included."""
        ticks = 0
        for pid in self.pids():
            try:
                after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            ticks += sum(int(field) for field in after_name[11:15])
        return ticks / TICK


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answers(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        return connection.getresponse().read() == b"Hello, world!\n"
    except OSError:
        return False
    except http.client.HTTPException:
        return False
    finally:
        connection.close()


def wrk(port, path, connections, seconds):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", f"http://127.0.0.1:{port}{path}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def milliseconds(text, percent):
    value, unit = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE).groups()
    return float(value) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def measure(name, workload, seconds):
    with Server(name, workload.threads) as server:
        wrk(server.port, "/", 64, 1).communicate()
        slow = workload.slow_connections
        beside = wrk(server.port, "/slow", slow, seconds + 1) if slow else None
        before = server.cpu_seconds()
        load = wrk(server.port, "/", 64, seconds)
        text = load.communicate()[0]
        cpu = server.cpu_seconds() - before
        if beside:
            beside.communicate()
    requests = int(re.search(r"(\d+) requests in", text).group(1))
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Figures(
        rate=float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
        cpu=cpu / max(requests, 1) * 1e6,
        p50=milliseconds(text, 50),
        p99=milliseconds(text, 99),
        lost=(sum(map(int, errors.groups())) if errors else 0) + (int(refused.group(1)) if refused else 0),
    )


def table(workload, best):
    peer = best.get("Granian")
    print(f"\n{workload.title}\n")
    print("| server | requests/s | of Granian's | CPU µs/request | of Granian's | p50 ms | p99 ms | lost |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, figures in best.items():
        rate = f"{figures.rate / peer.rate:.2f}" if peer else ""
        cpu = f"{figures.cpu / peer.cpu:.2f}" if peer else ""
        print(
            f"| {name} | {figures.rate:,.0f} | {rate} | {figures.cpu:.1f} | {cpu}"
            f" | {figures.p50:.2f} | {figures.p99:.2f} | {figures.lost} |"
        )


def main():
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("workloads", nargs="*", choices=[*WORKLOADS, []], help="default: all")
    arguments.add_argument("--seconds", type=int, default=5, help="of each round (default: 5)")
    arguments.add_argument("--rounds", type=int, default=3, help="the best one counts (default: 3)")
    arguments.add_argument("--without", action="append", default=[], choices=SERVERS, help="leave a server out")
    options = arguments.parse_args()
    for workload in (WORKLOADS[name] for name in options.workloads or WORKLOADS):
        names = [name for name in workload.servers if name not in options.without]
        best = {}
        for _ in range(options.rounds):
            for name in names:
                figures = measure(name, workload, options.seconds)
                print(f"{name}: {figures.rate:,.0f}/s, {figures.cpu:.1f} µs", file=sys.stderr)
                if name not in best or figures.rate > best[name].rate:
                    best[name] = figures
        table(workload, {name: best[name] for name in names})


if __name__ == "__main__":
    main()
