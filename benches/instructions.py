#!/usr/bin/env python3
"""Counts the instructions that `runner` executes for a request, with valgrind's callgrind.

    benches/instructions.py --runner target/release/runner --runner ../before/runner

Counts do not depend on the speed and the load of the machine, so they compare two builds where seconds cannot. Each part
is counted in runs of its own, since callgrind slows down what it counts about fifty times: the master, which is the way
in and out, beside a worker at full speed; and the Python of the worker, beside a master at full speed. A run of 2 N
requests and one of N differ by N requests and nothing else: start, warm-up and end are in both.

Requests come in rounds: each connection sends one, and all answers are awaited. The master is stopped while they are
sent, so that it finds them all at once, as under load. How they are shared out depends on the time that they take, which
callgrind distorts, above all for the worker; `--connections 1` counts the cost of requests that come alone.

What the kernel does for a system call is not counted. Inlined functions are counted with those that they are inlined
into; the table of source files, which needs debug information, counts them where they were written:

    CARGO_PROFILE_RELEASE_DEBUG=1 CARGO_PROFILE_RELEASE_STRIP=none cargo build --release --locked
"""

import argparse
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from servers import FOLDER, RUNNER, VENV, await_answer, free_port

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
SETTINGS = """\
url = "tcp://127.0.0.1:{port}"

[runner]
python = '{python}'

[runner.workers]
min = 1
max = 1
# callgrind's own open files cannot be shared by a fork.
preload = False
"""
CALLGRIND = "valgrind --tool=callgrind --log-file={folder}/log.%p --callgrind-out-file={folder}/counts.%p"
APPLICATIONS = {"WSGI": "app.application", "ASGI": "asgi_app.application"}
PARTS = {"master": "master: the way in and the way out", "worker": "worker: Python"}
# Rounds that are not counted: buffers grow to their size, and Python specializes its code.
WARM_UP = 20
# callgrind takes the descriptors above the soft limit, which Python may then not set beyond them.
DESCRIPTORS = 1024


class Counts:
    """Instructions by function and by source file, as callgrind has written them."""

    def __init__(self, path):
        self.total = 0
        self.functions = Counter()
        self.inclusive = Counter()
        self.files = Counter()
        names = {"fn": {}, "fl": {}, "ob": {}}
        function = file = None
        calls = False
        for line in path.read_text(errors="replace").splitlines():
            if match := re.match(r"(c?)(fn|fl|fi|fe|ob)=\((\d+)\)(?: (.*))?$", line):
                called, kind, number, name = match.groups()
                kind = {"fi": "fl", "fe": "fl"}.get(kind, kind)
                if name is not None:
                    names[kind][number] = name
                if not called and kind == "fn":
                    function = names[kind][number]
                elif not called and kind == "fl":
                    file = names[kind][number]
            elif line.startswith("calls="):
                calls = True
            elif match := re.match(r"(?:[+-]?\d+|\*) (\d+)$", line):
                count = int(match[1])
                self.inclusive[function] += count
                if not calls:
                    self.functions[function] += count
                    self.files[file] += count
                    self.total += count
                calls = False

    def less(self, other, requests):
        """The difference of two counts, for each of some requests."""
        for mine, theirs in (
            (self.functions, other.functions),
            (self.inclusive, other.inclusive),
            (self.files, other.files),
        ):
            mine.subtract(theirs)
            for name in mine:
                mine[name] /= requests
        self.total = (self.total - other.total) / requests
        return self


def count(runner, part, connections, rounds, options):
    """The counts of a whole run of a server."""
    with tempfile.TemporaryDirectory(prefix="runner-instructions-") as scratch:
        folder = Path(scratch)
        counted = CALLGRIND.format(folder=folder).split()
        python = options.python
        port = free_port()
        if part == "worker":
            wrapper = folder / "python"
            wrapper.write_text(f"#!/bin/sh\nexec {' '.join(counted)} '{python}' \"$@\"\n")
            wrapper.chmod(0o755)
            python = wrapper
        settings = folder / "settings.ini"
        settings.write_text(SETTINGS.format(port=port, python=python))
        command = [str(runner), "-c", str(settings), "serve", options.interface, f"import:{APPLICATIONS[options.interface]}"]
        with open(folder / "said", "w+") as said:
            server = subprocess.Popen(
                counted + command if part == "master" else command,
                cwd=FOLDER,
                env=dict(os.environ, PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1"),
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS * 4)),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
            try:
                if not await_answer(server, port):
                    said.seek(0)
                    sys.exit(f"{' '.join(command)}: does not answer\n{said.read()}")
                ask(server.pid, port, connections, WARM_UP + rounds)
                server.terminate()
                server.wait(30)
            finally:
                server.kill()
                server.wait()
        found = [Counts(path) for path in folder.glob("counts.*")]
        # Python starts itself once to answer questions about its version and its paths.
        return max(found, key=lambda counts: counts.total)


def ask(master, port, connections, rounds):
    clients = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(connections)]
    length = None
    for _ in range(rounds):
        os.kill(master, signal.SIGSTOP)
        for client in clients:
            client.sendall(REQUEST)
        os.kill(master, signal.SIGCONT)
        for client in clients:
            length = length or len(client.recv(4096, socket.MSG_PEEK))
            answer = client.recv(length, socket.MSG_WAITALL)
            assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\n"), answer
    for client in clients:
        client.close()


def shortened(name):
    """A function or a file without what is the same for all."""
    name = re.sub(r"^.*/(?:registry/src/[^/]+|rustc/[0-9a-f]+/library|Python-[^/]+)/", "", name)
    name = re.sub(r"::h[0-9a-f]{16}$", "", name)
    return name if len(name) <= 100 else name[:97] + "..."


def table(title, counts, total, top):
    """The largest counts, but for the functions that contain all."""
    print(f"\n{title:>12}  {'of all':>6}")
    for name, value in [item for item in counts.most_common() if item[1] < 0.999 * total][:top]:
        print(f"{value:12,.1f}  {value / total:6.1%}  {shortened(name)}")


def main():
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--runner", action="append", type=Path, help="the program; several are compared")
    arguments.add_argument("--part", action="append", choices=PARTS, help="default: both")
    arguments.add_argument("--interface", choices=APPLICATIONS, default="WSGI", help="of the application (default: WSGI)")
    arguments.add_argument("--python", type=Path, default=VENV / "bin" / "python", help="of the worker")
    arguments.add_argument("--connections", type=int, default=64, help="default: 64")
    arguments.add_argument("--rounds", type=int, default=100, help="N / connections (default: 100)")
    arguments.add_argument("--repeat", type=int, default=1, help="counts this often, to see how exact it is")
    arguments.add_argument("--top", type=int, default=25, help="functions and files in the tables (default: 25)")
    options = arguments.parse_args()
    requests = options.connections * options.rounds
    summary = []
    for part in options.part or PARTS:
        for runner in options.runner or [RUNNER]:
            runner = runner.resolve()
            found = []
            for _ in range(options.repeat):
                once = count(runner, part, options.connections, options.rounds, options)
                twice = count(runner, part, options.connections, 2 * options.rounds, options)
                found.append(twice.less(once, requests))
            print(f"\n{runner}, {PARTS[part]}")
            table("itself", found[-1].functions, found[-1].total, options.top)
            table("with calls", found[-1].inclusive, found[-1].total, options.top)
            table("files", found[-1].files, found[-1].total, options.top)
            totals = [counts.total for counts in found]
            spread = f" [{min(totals):,.0f}–{max(totals):,.0f}]" if len(totals) > 1 else ""
            summary.append((part, statistics.median(totals), spread, runner))
    print(f"\ninstructions a request, {options.connections} connections, N = {requests:,}\n")
    for part in options.part or PARTS:
        lines = [line for line in summary if line[0] == part]
        for _, total, spread, runner in lines:
            ratio = f"  {total / lines[0][1]:.3f}" if len(lines) > 1 else ""
            print(f"{part}  {total:10,.0f}{spread}{ratio}  {runner}")


if __name__ == "__main__":
    main()
