#!/usr/bin/env python3
"""Puts a whole site under load while it is reloaded and its processes are killed, and finds what was lost.

The site has WSGI, ASGI with WebSockets, files, CGI programs, PHP (`upstream fastcgi exec: php-cgi`) and Node (`upstream
http exec: node`). Clients of each part send requests without a pause, some with bodies. Meanwhile the site is reloaded, and
processes that answer are killed. It is required that

- each request gets its own complete answer, except those that a killed process had begun: 502, broken off, or, for a
  WebSocket, closed with 1011 or 1014; a reload closes WebSockets with 1012;
- each reload succeeds, and the master ends with status 0;
- at rest, the master has no more descriptors, threads and processes than before, and its memory has not grown;
- no process and no file is left at the end.

Otherwise the exit status is 1, and the folder with the log is kept.
"""

import argparse
import asyncio
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from processes import command_lines, kill_all, stat
from servers import free_port
from soak_processes import MARK, Master, measure
from soak_site_clients import PATIENCE, Client, Sent

FOLDER = Path(__file__).resolve().parent

KEYS = """\
Command runIni site.ini
PidFile site.pid
MinProcesses 2
MaxProcesses 2
"""
ROUTES = {
    "wsgi": "commands.Alias(command=['WSGI', 'import:soak_parts.application'], settings='wsgi')",
    "asgi": "['ASGI', 'import:soak_parts.by_asgi']",
    "files": "['files', 'public']",
    "cgi": "['cgi-bin', 'cgi-bin', '--env', '%s']" % MARK,
    "php": "['upstream', 'fastcgi', '--root', 'php', 'exec:', 'php-cgi']",
    "node": "['upstream', 'http', 'exec:', 'node', 'server.js']",
}
# The programs that parts need, and what to install otherwise.
NEEDED = {"php": "php-cgi", "node": "node"}
SITE = """\
site = commands.Routes({
%s
    })
app = commands.Alias(command=['serve', 'site'])
url = 'tcp://127.0.0.1:%d'

[runner]
tmp = 'tmp'

[wsgi.workers]
threads = 2
"""
CGI = """\
#!/bin/sh
body=$(cat)
case "$QUERY_STRING" in *slow*) sleep 0.05;; esac
number=${QUERY_STRING#n=}
printf 'Content-Type: text/plain\\nX-Worker: %d\\n\\n%s %d\\n' $$ "${number%%&*}" ${#body}
"""
PHP = """\
<?php
header('Content-Type: text/plain');
header('X-Worker: ' . getmypid());
if (isset($_GET['slow'])) { usleep(50000); }
echo $_GET['n'], ' ', strlen(file_get_contents('php://input')), "\\n";
"""
NODE = """\
const http = require("node:http");
http.createServer((request, response) => {
  let length = 0;
  request.on("data", part => { length += part.length; });
  request.on("end", () => {
    const query = new URL(request.url, "http://localhost").searchParams;
    const answer = () => {
      response.setHeader("X-Worker", process.pid);
      response.end(query.get("n") + " " + length + "\\n");
    };
    if (query.has("slow")) setTimeout(answer, 50); else answer();
  });
}).listen(process.env.PORT, process.env.HOST);
"""
# How many requests a process has at a time, at most; 0 are as many as there are clients.
AT_A_TIME = {"wsgi": 2, "asgi": 0, "cgi": 1, "php": 1, "node": 0}
LARGE = 1_000_000
# KiB that a master may use more, at rest, than it did before its first request: the rest of what was used once.
TOLERANCE = {"memory": 24 * 1024}
# The files that are there at the end; a lock stays, since its removal would be a race.
OWN = {"site.ini", "site.conf", "soak_parts.py", "server.js", "public", "cgi-bin", "php", "tmp", "log", "site.pid.lock", "site.pid.start"}


class Fault(Exception):
    """The server did not do what it was told."""


class Site:
    """One run."""

    def __init__(self, options):
        self.options = options
        self.chance = random.Random(options.seed)
        self.folder = Path(tempfile.mkdtemp(prefix="runner-soak-site-"))
        self.port = free_port()
        self.stopped = asyncio.Event()
        # A reload is not broken off.
        self.operator = asyncio.Lock()
        self.sent = []
        self.kills = []
        self.faults = []
        self.reloads = 0
        self.master = None
        self.parts = [part for part in ROUTES if shutil.which(NEEDED.get(part, "sh"))]
        for part in set(ROUTES) - set(self.parts):
            print(f"there is no {NEEDED[part]}: the site is without {part}", flush=True)
        self.files = [("%d.txt" % number, b"file %d\n" % number) for number in range(20)]
        self.files.append(("large.bin", random.Random(1).randbytes(LARGE)))

    def write(self, name, content, mode=0o644):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)

    def prepare(self):
        routes = "\n".join(f"    '/{part}/': {ROUTES[part]}," for part in self.parts)
        self.write("site.ini", SITE % (routes, self.port))
        self.write("site.conf", KEYS)
        shutil.copy(FOLDER / "soak_parts.py", self.folder)
        self.write("cgi-bin/count", CGI, 0o755)
        self.write("php/index.php", PHP)
        self.write("server.js", NODE)
        for name, content in self.files:
            self.write("public/" + name, content)
        (self.folder / "tmp").mkdir()

    def begin(self, part):
        sent = Sent(part, len(self.sent), time.monotonic())
        self.sent.append(sent)
        return sent

    async def ask(self, *words):
        """Runs a command of `runner`; returns its output."""
        process = await asyncio.create_subprocess_exec(
            str(self.options.runner), *words, "site.conf", cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        output = (await asyncio.wait_for(process.communicate(), PATIENCE))[0].decode()
        if process.returncode != 0:
            raise Fault(f"{' '.join(words)} ends with status {process.returncode}: {output.strip()}")
        return output

    async def status(self):
        return json.loads(await self.ask("status", "--format", "json"))

    async def start(self):
        mark = f"{os.getpid()}-site"
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen(
                [str(self.options.runner), "supervise", "site.conf"],
                cwd=self.folder,
                env=dict(os.environ, **{MARK: mark, "PYTHONDONTWRITEBYTECODE": "1"}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.master = Master(0, process, mark)
        deadline = time.monotonic() + PATIENCE
        while not (self.folder / "site.pid").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Fault(f"it does not start: {(self.folder / 'log').read_text()}")
            await asyncio.sleep(0.01)

    async def rest(self):
        """Waits until nothing is under way; returns what the master uses."""
        deadline = time.monotonic() + PATIENCE
        while True:
            status = await self.status()
            states = [worker["state"] for worker in status["workers"]]
            if states and set(states) == {"idle"} and not status["connections"]["open"]:
                return measure(self.master)
            if time.monotonic() > deadline:
                raise Fault(f"the server does not come to rest: {json.dumps(status)}")
            await asyncio.sleep(0.1)

    async def every(self, seconds, act, lock):
        while True:
            await asyncio.sleep(seconds * self.chance.uniform(0.7, 1.3))
            async with lock:
                await act()

    async def reload(self):
        await self.ask("reload")
        self.reloads += 1

    async def kill(self):
        """Kills a process that has answered a moment ago: of a random part, so that each has its turn."""
        part = self.chance.choice([part for part in self.parts if part != "files"])
        recent = [sent.worker for sent in self.sent[-2000:] if sent.part == part and sent.worker]
        able = []
        for _ in range(20):
            alive = set(self.master.pids())
            able = [pid for pid in dict.fromkeys(reversed(recent)) if pid in alive]
            if part == "cgi":
                # Each answers once, and is told of when it has ended.
                programs = [pid for pid in alive if any("cgi-bin/count" in line for line in command_lines([pid]))]
                # The shell itself, not what it has started.
                able = [pid for pid in programs if (stat(pid) or [0, 0, 0])[2] == str(pid)]
            if able:
                break
            await asyncio.sleep(0.01)
        if not able:
            return
        before = time.monotonic()
        try:
            process = os.pidfd_open(able[0])
        except ProcessLookupError:
            return
        try:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            # It takes a moment until the last of its threads has ended, and takes requests until then: the state of the first
            # one, which `stat` shows, says nothing about that.
            while not select.select([process], [], [], 0)[0]:
                await asyncio.sleep(0.001)
        except ProcessLookupError:
            return
        finally:
            os.close(process)
        self.kills.append((before, time.monotonic(), part, able[0]))

    async def run(self):
        self.prepare()
        await self.start()
        before = await self.rest()
        clients = [Client(self, part, number) for part in [*self.parts, "socket"] for number in range(self.options.clients)]
        work = [asyncio.ensure_future(client.run()) for client in clients]
        acts = [
            asyncio.ensure_future(self.every(self.options.reload, self.reload, self.operator)),
            asyncio.ensure_future(self.every(self.options.kill, self.kill, asyncio.Lock())),
        ]
        began = time.monotonic()
        while time.monotonic() - began < self.options.seconds or not (self.reloads and self.kills):
            done, _ = await asyncio.wait([*work, *acts], timeout=0.1, return_when="FIRST_EXCEPTION")
            for ended in done:
                ended.result()
            if time.monotonic() - began > self.options.seconds + PATIENCE:
                raise Fault("nothing was reloaded or killed")
        # What is under way ends first.
        async with self.operator:
            for act in acts:
                act.cancel()
        self.stopped.set()
        await asyncio.wait_for(asyncio.gather(*work), 2 * PATIENCE)
        await self.is_as_before(before)

    async def is_as_before(self, before):
        """Waits until the master uses no more than before; threads that wait for disks end after a while. Connections to
        programs are kept, no more than there were clients."""
        most = {name: value + TOLERANCE.get(name, 0) for name, value in before.items()}
        if "descriptors" in most:
            most["descriptors"] += 2 * self.options.clients
        deadline = time.monotonic() + PATIENCE
        while True:
            after = await self.rest()
            more = [name for name in most if after.get(name, 0) > most[name]]
            if not more or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        for name, value in before.items():
            print(f"{name} at rest: {value:,} before, {after.get(name, 0):,} after")
        self.faults += [f"{name} has grown from {before[name]} to {after[name]}" for name in more]

    async def stop(self):
        await self.ask("stop")
        self.master.process.wait(PATIENCE)
        if self.master.process.returncode != 0:
            self.faults.append(f"the master has ended with status {self.master.process.returncode}")
        left = self.master.pids()
        if left:
            self.faults.append(f"processes are left: {command_lines(left)}")
        files = {path.name for path in self.folder.iterdir()} - OWN
        files |= {f"tmp/{path.name}" for path in (self.folder / "tmp").iterdir()}
        if files:
            self.faults.append(f"files are left: {sorted(files)}")

    def end(self):
        if self.master is not None:
            self.master.process.kill()
            kill_all(self.master.pids)
            self.master.process.wait()

    def excused(self):
        """The lost requests that a killed process had begun: at most as many as it has at a time."""
        lost = [sent for sent in self.sent if sent.lost]
        excused = set()
        for before, after, part, pid in self.kills:
            fitting = [
                sent.number
                for sent in lost
                if (sent.part == part or (part, sent.part) == ("asgi", "socket"))
                and sent.by_death
                and sent.sent <= after
                and before <= sent.ended
                and sent.worker in (0, pid)
                and sent.number not in excused
            ]
            excused.update(fitting[: AT_A_TIME[part] or 2 * self.options.clients])
        return lost, excused

    def report(self):
        lost, excused = self.excused()
        for part in [*self.parts, "socket"]:
            own = [sent for sent in self.sent if sent.part == part]
            died = sum(sent.number in excused for sent in own)
            print(f"{part}: {len(own):,} sent, {died} lost with a killed process")
            if not any(not sent.lost for sent in own):
                self.faults.append(f"{part} has answered nothing")
        kills = Counter(part for _, _, part, _ in self.kills)
        print(f"{self.reloads} reloads; killed: " + ", ".join(f"{part} {count}" for part, count in sorted(kills.items())))
        for sent in lost:
            if sent.number not in excused:
                self.faults.append(
                    f"{sent.part} request {sent.number} (process {sent.worker or '?'}) was lost after {sent.ended - sent.sent:.3f} s: {sent.lost}"
                )
        log = (self.folder / "log").read_text(errors="backslashreplace")
        for wrong in ("panicked", "Traceback"):
            if wrong in log:
                self.faults.append(f"the log says: {wrong}")
        for fault in self.faults[:20]:
            print("FAULT: " + fault)
        print(f"{len(self.faults)} faults" if self.faults else "all is well")
        return not self.faults


async def soak(options):
    site = Site(options)
    try:
        await site.run()
        await site.stop()
    except (Fault, asyncio.TimeoutError, subprocess.TimeoutExpired) as error:
        site.faults.append(f"given up: {error or type(error).__name__}")
    finally:
        site.end()
    if site.report():
        shutil.rmtree(site.folder)
        return 0
    print(f"the log is in {site.folder}")
    return 1


def main():
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = arguments.add_argument
    add("--seconds", type=float, default=30, help="how long (default: 30)")
    add("--runner", type=Path, default=FOLDER.parent / "target" / "release" / "runner", help="the program")
    add("--seed", type=int, default=int(time.time()), help="of all that is random (default: another one each time)")
    add("--clients", type=int, default=4, help="of each part (default: 4)")
    add("--reload", type=float, default=2, help="seconds between two reloads (default: 2)")
    add("--kill", type=float, default=0.5, help="seconds between two kills (default: 0.5)")
    options = arguments.parse_args()
    options.runner = options.runner.resolve()
    print(f"soak of a site: {options.seconds:g} s, --seed {options.seed}", flush=True)
    sys.exit(asyncio.run(soak(options)))


if __name__ == "__main__":
    main()
