"""Requests lost while a server is reloaded or loses workers, and the cost of slow clients for others."""

import os
import random
import re
import signal
import sys
import time

from clients import Clients, Dribbling, wait
from servers import Server

SERVERS = ["runner", "Granian, respawning", "uWSGI http", "gunicorn gthread"]
SLOW_SERVERS = ["runner", "Granian", "uWSGI http", "gunicorn gthread"]


def reload(server):
    server.process.send_signal(signal.SIGHUP)


def kill(server):
    try:
        os.kill(random.choice(server.workers()), signal.SIGKILL)
    except (IndexError, ProcessLookupError):
        pass  # None is left, or it has just ended.


TROUBLES = {
    "reload": ("SIGHUP every three seconds, 2 processes", 12, 3, reload),
    "kill": ("a random worker killed every second, 2 processes", 12, 1, kill),
}


def lost(trouble, without):
    """A table of lost requests."""
    title, seconds, every, act = TROUBLES[trouble]
    print(f"\n{title}, {seconds} s, 16 clients with new connections and 16 that keep theirs\n")
    print("| server | answered | lost | how |")
    print("|---|--:|--:|---|")
    for name in SERVERS:
        if name in without:
            continue
        with Server(name, threads=1) as server, Clients(server.port, fresh=16, kept=16) as clients:
            time.sleep(1)
            wait(seconds, every, lambda: act(server))
        counts = clients.counts
        how = ", ".join(f"{what}: {count:,}" for what, count in counts.most_common() if what != 200)
        print(f"| {name} | {counts[200]:,} | {clients.lost:,} | {how} |", flush=True)


def slow(measure, without, seconds, rounds):
    """A table of the best rates with and without slow clients; `measure(port, seconds)` returns a rate."""
    print("\nhello, 64 connections, beside 200 clients that send a byte a second, 2 processes x 4 threads\n")
    print("| server | requests/s without them | with them | ratio |")
    print("|---|--:|--:|--:|")
    for name in SLOW_SERVERS:
        if name in without:
            continue
        with Server(name, threads=4) as server:
            measure(server.port, 1)
            before = beside = 0
            for _ in range(rounds):
                before = max(before, measure(server.port, seconds))
                with Dribbling(server.port, 200):
                    time.sleep(1)
                    beside = max(beside, measure(server.port, seconds))
            print(f"{name}: {before:,.0f}/s, {beside:,.0f}/s", file=sys.stderr)
        print(f"| {name} | {before:,.0f} | {beside:,.0f} | {beside / max(before, 1):.2f} |", flush=True)


def rate(text):
    """The rate in the output of wrk."""
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
