#!/usr/bin/env python3
"""Compares `runner` with other servers under load; target/bench.json gets all figures. `make bench` runs it.

Each server has two processes, the load generator is on the same machine, and each peer runs with those of its options that
a short search has found to be the best for the workload:

hello-N    N connections that are kept alive ask for a short constant answer
busy-N     64 connections ask for an answer that takes N microseconds of Python
mixed      as hello-64, while four more connections ask for a path that waits 100 ms (2 processes x 4 threads)
stream     four connections ask for 64 MiB in blocks of 64 KiB
flask      64 connections ask for a Flask page with a template and a session
asgi-N     as hello-N, of an ASGI application, and with other peers; all have uvloop
fastapi-N  N connections ask for an answer in JSON by FastAPI
websocket  64 clients send a short text, wait for it to come back, and send the next
asgi-stream  as stream, of an ASGI application
cgi-16     16 connections ask for the answer of a small CGI program, a process for each
php-64     64 connections ask for the answer of a PHP script by FastCGI
file-1k, file-10m  64 connections ask for a file of 1 KiB, 16 for one of 10 MiB
upstream-N  as hello-N, of nginx behind a proxy, where nginx is the peer
slow       as hello-64, with and without 200 clients that send a byte per second (2 processes x 4 threads)
reload     16 clients with a new connection for each request and 16 that keep theirs; SIGHUP every three seconds
kill       the same clients; a random worker is killed every second

The rounds are interleaved: in each, every server is started, warmed up, measured and ended. What counts is the median of
the rounds. A ratio is that of two servers in one round, and its median and range are those of the rounds; so a slow moment
affects both. Absolute figures change with the machine and the hour.

A rate counts good answers, and what is no good answer within two seconds is an error. CPU time is the user and system time
of all processes of the server for each good answer. Memory is the proportional set size of all processes after the load.

Each server has a session of its own, as in production (`--one-session`: the load generator's).
"""

import argparse
import dataclasses
import json
import resource
import sys
import time
from pathlib import Path

import figures
import losses
import machine
from servers import FOLDER, RUNNER, NoAnswer, Server, variants
from workloads import ASGI_WORKLOADS, OTHER_WORKLOADS, POINTS, WORKLOADS

RESULTS = FOLDER.parent / "target" / "bench.json"


def main():
    options = arguments()
    Server.own_session = not options.one_session
    Server.runner = options.runner
    # 3 000 connections need more than some systems allow at first.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 20_000), most))
    rounds = machine.rounds_per_millisecond()
    Server.environment = {"RUNNER_BENCH_ROUNDS": str(rounds)}
    found = {
        "machine": machine.describe(options.runner) | {"rounds_per_millisecond": rounds},
        "options": {name: getattr(options, name) for name in ("seconds", "rounds", "quick", "one_session")},
        "workloads": {},
        "losses": {},
    }
    began = time.monotonic()
    known = WORKLOADS | ASGI_WORKLOADS | OTHER_WORKLOADS | POINTS
    for name in options.workloads or [*known, *losses.WORKLOADS]:
        progress(f"{name}, after {time.monotonic() - began:.0f} s")
        if name in losses.WORKLOADS:
            found["losses"][name] = losses.run(name, options)
        else:
            found["workloads"][name] = compare(name, known[name], options, found["workloads"])
        # What is there remains if a later workload fails.
        options.output.parent.mkdir(exist_ok=True)
        options.output.write_text(json.dumps(found, indent=1))
    print(figures.report(found))
    progress(f"{time.monotonic() - began:.0f} s in all; {options.output} has every round")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*WORKLOADS, *ASGI_WORKLOADS, *OTHER_WORKLOADS, *POINTS, *losses.WORKLOADS]
    parser.add_argument("workloads", nargs="*", choices=[*names, []], metavar="WORKLOAD", help="default: all")
    parser.add_argument("--seconds", type=int, default=3, help="of each round (default: 3)")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5; points in the plot have 3 at most")
    parser.add_argument("--quick", action="store_true", help="one short round without a search, to see that all works")
    parser.add_argument("--without", action="append", default=[], metavar="SERVER", help="leave a server out")
    parser.add_argument("--runner", type=Path, default=RUNNER, help="default: target/release/runner")
    parser.add_argument("--output", type=Path, default=RESULTS, help="default: target/bench.json")
    parser.add_argument(
        "--one-session", action="store_true", help="servers share the load generator's session, see servers.py"
    )
    options = parser.parse_args()
    if options.quick:
        options.seconds = options.rounds = 1
    options.runner = options.runner.resolve()
    return options


def compare(name, workload, options, others):
    """The figures of each server in each round, and its options."""
    rounds = min(options.rounds, 3) if workload.point else options.rounds
    entries = {}
    for server in workload.servers:
        if server in options.without:
            continue
        possible = variants(server, workload.threads, workload.connections, workload.kept, workload.interface)
        known = others.get(workload.options_of, {}).get("servers", {}).get(server)
        if known:
            best = known["options"]
        elif options.quick or len(possible) == 1:
            best = possible[0]
        else:
            best = search(server, workload, possible)
        entries[server] = {"server": server, "options": best, "rounds": []}
        if server == "Granian" and best != possible[0] and not workload.point:
            entries[f"{server}, default"] = {"server": server, "options": possible[0], "rounds": []}
    for number in range(rounds):
        # Each in turn is the first: none is always measured after the same other.
        order = list(entries)
        for label in order[number % len(order) :] + order[: number % len(order)]:
            entry = entries[label]
            measured = measure(entry["server"], workload, entry["options"], options.seconds)
            entry["rounds"].append(dataclasses.asdict(measured))
            progress(f"  {label}: {measured.rate:,.0f}/s, {measured.cpu:.1f} µs, p99 {measured.p99:.1f} ms")
    shown = {name: getattr(workload, name) for name in ("title", "connections", "mebibytes")}
    return shown | {"servers": entries}


def search(server, workload, possible):
    """The options with the best rate in a short run. Those that leave requests without an answer are not the best."""
    found = {options: measure(server, workload, options, 1) for options in possible}
    best = max(found, key=lambda options: (found[options].errors < found[options].rate / 1000, found[options].rate))
    tried = ", ".join(f"`{options}` {measured.rate:,.0f}" for options, measured in found.items())
    progress(f"  {server}: `{best}` of {tried}")
    return best


def measure(name, workload, options, seconds):
    try:
        return measure_once(name, workload, options, seconds)
    except NoAnswer as failure:
        # Another process may have taken the port in between. Half an hour is too long to begin again for that.
        progress(f"{failure}\nonce more")
        return measure_once(name, workload, options, seconds)


def measure_once(name, workload, options, seconds):
    with Server(name, workload.threads, options, workload.module, workload.interface) as server:
        return workload.measure(server, workload, seconds)


def progress(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
