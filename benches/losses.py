"""Requests lost while a server is reloaded or loses workers, and the cost of slow clients for others."""

import os
import random
import signal
import time

import load
from clients import Clients, Dribbling, wait
from servers import Server, variants

SERVERS = ["runner", "Granian", "uWSGI", "gunicorn"]
# Without it, Granian stops when a worker ends.
RESPAWNING = {"Granian": "--respawn-failed-workers"}


def reload(server):
    server.process.send_signal(signal.SIGHUP)


def kill(server):
    try:
        os.kill(random.choice(server.workers()), signal.SIGKILL)
    except (IndexError, ProcessLookupError):
        pass  # None is left, or it has just ended.


# How often something happens, in seconds, and what.
TROUBLES = {"reload": (3, reload), "kill": (1, kill)}
WORKLOADS = ["slow", *TROUBLES]
SECONDS = 12


def run(name, options):
    names = [server for server in SERVERS if server not in options.without]
    if name == "slow":
        return slow(names, options)
    return {server: lost(server, *TROUBLES[name], 4 if options.quick else SECONDS) for server in names}


def lost(name, every, act, seconds):
    """How many requests of 32 clients were answered, and what became of the others."""
    with Server(name, 1, RESPAWNING.get(name)) as server, Clients(server.port, fresh=16, kept=16) as clients:
        time.sleep(1)
        wait(seconds, every, lambda: act(server))
    how = {str(what): count for what, count in clients.counts.most_common() if what != 200}
    return {"seconds": seconds, "answered": clients.counts[200], "lost": clients.lost, "how": how}


def slow(names, options):
    """The rates of each server with and without slow clients, round by round."""
    found = {name: {"without": [], "with": []} for name in names}
    for _ in range(options.rounds):
        for name in names:
            with Server(name, 4, variants(name, 4)[0]) as server:
                load.warm_up(server, "/", 64, 0.4)
                found[name]["without"].append(hello(server, options.seconds))
                with Dribbling(server.port, 200):
                    time.sleep(0.5)
                    found[name]["with"].append(hello(server, options.seconds))
    return found


def hello(server, seconds):
    return load.rate(load.wrk(server.port, "/", 64, seconds).communicate()[0])
