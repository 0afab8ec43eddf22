#!/usr/bin/env python3
"""Compares `runner` with other servers under load, and prints tables. `make bench` runs it.

Each server has two processes; the load generator is on the same machine:

hello   64 connections that are kept alive ask for a short constant answer
mixed   the same, while four more connections ask for a path that takes 100 ms (2 processes x 4 threads)
slow    as hello, with and without 200 clients that send a byte per second (2 processes x 4 threads)
reload  16 clients with a new connection for each request and 16 that keep theirs; SIGHUP every three seconds
kill    the same clients; a random worker is killed every second

Each server has a session of its own, as in production (`--one-session`: the load generator's).

Absolute figures change with the machine and the hour; only the ratios of one run count. Each server
is measured in every round, so that a slow moment affects all of them, and the table shows its best round.
CPU time is the user and system time of all processes of the server, per answered request. A request is lost if
it gets no complete response with the status 200; lost requests are counted in a round of their own.
"""

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass

import losses
from servers import SERVERS, Server


@dataclass
class Workload:
    """The load on a server."""

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
    """The figures of one round."""

    rate: float
    cpu: float
    p50: float
    p99: float
    lost: int


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
        rate=losses.rate(text),
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


def rate(port, seconds):
    return losses.rate(wrk(port, "/", 64, seconds).communicate()[0])


def main():
    names = [*WORKLOADS, "slow", *losses.TROUBLES]
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("workloads", nargs="*", choices=[*names, []], help="default: all")
    arguments.add_argument("--seconds", type=int, default=5, help="of each round (default: 5)")
    arguments.add_argument("--rounds", type=int, default=3, help="the best one counts (default: 3)")
    arguments.add_argument("--without", action="append", default=[], choices=SERVERS, help="leave a server out")
    arguments.add_argument(
        "--one-session", action="store_true", help="servers share the load generator's session, see servers.py"
    )
    options = arguments.parse_args()
    Server.own_session = not options.one_session
    for name in options.workloads or names:
        if name == "slow":
            losses.slow(rate, options.without, options.seconds, options.rounds)
        elif name in losses.TROUBLES:
            losses.lost(name, options.without)
        else:
            compare(WORKLOADS[name], options)


def compare(workload, options):
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
