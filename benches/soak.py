#!/usr/bin/env python3
"""Puts `runner supervise` under load and faults, and finds what was lost. `make soak` runs it.

200 clients keep their connections and ask for short, slow, large and streamed responses; some leave in the middle. At
the same time, on average, a worker is killed every 7 seconds and one is stopped for a moment every 11, the server is
reloaded every 20 and started again (a warm restart) every 45, the process that starts workers is killed every 33, and
the log is rotated every 15. The soak requires that

- every request gets its own complete response, except those of a killed worker: 502 or broken off, at most one for
  each of its threads;
- every answered request leaves exactly one line in the log, no other request more than one, and all other lines tell
  what was done to the server;
- each reload succeeds, each warm restart takes over, and each replaced master ends with status 0 and leaves no process;
- memory, descriptors, threads and processes do not grow;
- nothing is left at the end.

Otherwise the exit status is 1. Each fault is printed with its time and the last actions, and the folder with the log is
kept.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soak_report
from processes import command_lines, count_descriptors, kill_all
from servers import free_port
from soak_clients import Clients
from soak_processes import MARK, Master, measure

FOLDER = Path(__file__).resolve().parent

KEYS = """\
Command serve tcp://127.0.0.1:{port} WSGI import:app.application
PidFile app.pid
MinProcesses 2
MaxProcesses 2
"""
SETTINGS = """\
[runner]
tmp = "tmp"

[runner.workers]
threads = {threads}
"""
# The files in the folder at the end; locks stay, since removing them would be a race.
OWN = {"app.py", "app", "settings.ini", "tmp", "app.pid.lock", "app.pid.start"}

# How long a required event may take on a busy machine, in seconds.
PATIENCE = 60


class Fault(Exception):
    """The server did not do what it was told."""


class Soak:
    """One run."""

    def __init__(self, options):
        self.options = options
        self.threads = options.threads
        self.chance = random.Random(options.seed)
        self.folder = Path(tempfile.mkdtemp(prefix="runner-soak-"))
        self.port = free_port()
        self.clients = Clients(self.port, options.connections, options.seed)
        self.began = time.monotonic()
        # All started masters, and those of them that have taken over.
        self.started = []
        self.masters = []
        # Actions: when, what. Kills: when, which process. Truncations of the log: from when to when.
        self.events = []
        self.kills = []
        self.truncations = []
        self.faults = []
        # The usage of the first master before its first request, and of the last one after its last.
        self.rest = []
        self.endings = []
        # One operator reloads and restarts, one action at a time.
        self.operator = asyncio.Lock()

    def prepare(self):
        shutil.copy(FOLDER / "soak_app.py", self.folder / "app.py")
        (self.folder / "app").write_text(KEYS.format(port=self.port))
        (self.folder / "settings.ini").write_text(SETTINGS.format(threads=self.threads))
        (self.folder / "tmp").mkdir()

    def since(self, moment):
        return moment - self.began

    def event(self, what):
        self.events.append((time.monotonic(), what))
        if self.options.verbose:
            print(f"{self.since(time.monotonic()):7.1f} s  {what}", file=sys.stderr, flush=True)

    def fault(self, what):
        self.event(f"FAULT: {what}")
        self.faults.append((time.monotonic(), what))

    async def run(self):
        self.prepare()
        await self.start()
        self.rest.append(await self.at_rest())
        work = asyncio.ensure_future(self.clients.run())
        now_and_then = [
            (self.options.kill, self.kill),
            (self.options.stall, self.stall),
            (self.options.template, self.kill_template),
            (self.options.reload, self.reload),
            (self.options.restart, self.start),
            (self.options.rotate, self.rotate),
            (1, self.sample),
            (60, self.progress),
        ]
        repeated = [asyncio.ensure_future(self.every(seconds, act)) for seconds, act in now_and_then if seconds]
        done, _ = await asyncio.wait([work, *repeated], timeout=self.options.minutes * 60, return_when="FIRST_EXCEPTION")
        for ended in done:
            ended.result()
        # Clients and operator finish what they have begun.
        async with self.operator:
            for task in repeated:
                task.cancel()
        self.clients.stopped.set()
        await asyncio.wait_for(work, 2 * PATIENCE)
        self.event("the clients have gone")
        await self.rest_again()
        await self.stop()

    async def every(self, seconds, act):
        due = time.monotonic()
        while True:
            # At random intervals, so that the actions coincide in different ways.
            due += seconds * (self.chance.uniform(0.7, 1.3) if seconds > 1 else 1)
            await asyncio.sleep(max(due - time.monotonic(), 0))
            try:
                await act()
            except Fault as error:
                self.fault(str(error))

    def command(self, *words):
        return [str(self.options.runner), "-c", "settings.ini", *words]

    async def ask(self, *words):
        """Runs a command of `runner`; returns its output."""
        process = await asyncio.create_subprocess_exec(
            *self.command(*words), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            output = (await asyncio.wait_for(process.communicate(), PATIENCE))[0].decode()
        except asyncio.TimeoutError:
            process.kill()
            await process.wait()
            raise Fault(f"{' '.join(words)} takes longer than {PATIENCE} s") from None
        if process.returncode != 0:
            raise Fault(f"{' '.join(words)} ends with status {process.returncode}: {output.strip()}")
        return output

    async def status(self):
        return json.loads(await self.ask("status", "--format", "json", "app"))

    async def start(self):
        """Starts the file, for the first time or again, and waits for the end of the previous master."""
        async with self.operator:
            number = len(self.masters)
            self.event(f"start of master {number}")
            mark = f"{os.getpid()}-{len(self.started)}"
            with open(self.folder / "log", "ab") as log:
                process = subprocess.Popen(
                    self.command("supervise", "app"),
                    cwd=self.folder,
                    env=dict(os.environ, **{MARK: mark, "PYTHONDONTWRITEBYTECODE": "1"}),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            new = Master(number, process, mark)
            self.started.append(new)
            if number > 0:
                self.kill_perhaps()
            if not await until(lambda: self.master_pid() == new.pid or process.poll() is not None):
                process.kill()
                raise Fault(f"master {number} has not taken over in {PATIENCE} s")
            if process.poll() is not None:
                raise Fault(f"master {number} has ended with status {process.returncode} instead of serving")
            new.began = time.monotonic()
            self.masters.append(new)
            self.event(f"master {number} serves, process {new.pid}")
        if number > 0:
            self.endings.append(asyncio.ensure_future(self.has_ended(self.masters[number - 1])))

    def master_pid(self):
        try:
            return int((self.folder / "app.pid").read_text())
        except (OSError, ValueError):
            return None

    async def has_ended(self, master):
        """Waits for the end of a replaced or stopped master; it must leave no process."""
        if not await until(lambda: master.process.poll() is not None):
            return self.fault(f"master {master.number} does not end: {command_lines(master.pids())}")
        left = master.pids()
        self.event(f"master {master.number} has ended")
        if master.process.returncode != 0:
            self.fault(f"master {master.number} has ended with status {master.process.returncode}")
        if left:
            self.fault(f"master {master.number} leaves processes: {command_lines(left)}")

    async def kill(self):
        """Kills a random worker, even one that is starting, or one of a master that is ending."""
        able = self.workers()
        if not able:
            return
        pid = self.chance.choice(able)
        now = time.monotonic()
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # It has just ended.
        self.kills.append((now, pid))
        self.event(f"worker {pid} is killed")

    def workers(self):
        """All workers of all masters."""
        return [pid for master in self.started if master.process.poll() is None for pid in master.workers()]

    async def stall(self):
        """Stops a worker for a moment, as a system short of memory or processors does."""
        able = self.workers()
        if not able:
            return
        pid, seconds = self.chance.choice(able), self.chance.choice([0.001, 0.01, 0.1, 1])
        try:
            os.kill(pid, signal.SIGSTOP)
            self.event(f"worker {pid} is stopped for {seconds} s")
            try:
                await asyncio.sleep(seconds)
            finally:
                os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return  # It has just ended, or was killed.

    async def kill_template(self):
        """Kills the process that starts workers, which costs no request, but not while a new version needs it."""
        async with self.operator:
            for pid in self.masters[-1].templates()[:1]:
                os.kill(pid, signal.SIGKILL)
                self.event(f"template {pid} is killed")

    def kill_perhaps(self):
        """During every other action a worker is killed."""
        if self.options.kill and self.chance.random() < 0.5:
            self.endings.append(asyncio.ensure_future(self.kill_after(self.chance.uniform(0, 0.4))))

    async def kill_after(self, seconds):
        await asyncio.sleep(seconds)
        await self.kill()

    async def reload(self):
        async with self.operator:
            self.event("reload")
            self.kill_perhaps()
            said = await self.ask("reload", "app")
            self.event(f"reload: {said.strip()}")

    async def rotate(self):
        """Alternates between logrotate's copytruncate and a new name, after which the next master creates the file."""
        log = self.folder / "log"
        if not log.exists():
            return
        number = len(list(self.folder.glob("log.*")))
        rotated = self.folder / f"log.{number:03}"
        if number % 2 == 0:
            began = time.monotonic()
            shutil.copyfile(log, rotated)
            os.truncate(log, 0)
            self.truncations.append((began, time.monotonic()))
            self.event(f"log copied to {rotated.name} and truncated")
        else:
            log.rename(rotated)
            self.event(f"log renamed to {rotated.name}")

    async def sample(self):
        master = self.masters[-1]
        sample = measure(master)
        if sample is not None:
            master.samples.append((time.monotonic() - master.began, sample))

    async def progress(self):
        requests = self.clients.requests
        lost = sum(request.lost is not None for request in requests)
        shown = " ".join(f"{name} {value:,}" for name, value in measure(self.masters[-1]).items())
        minutes = self.since(time.monotonic()) / 60
        print(f"{minutes:4.1f} min: {len(requests):,} requests, {lost} lost or broken off; {shown}", flush=True)

    async def settled(self):
        """Waits until the server is idle and has all of its workers; returns its status."""
        deadline = time.monotonic() + PATIENCE
        while True:
            status = await self.status()
            idle = [worker["state"] for worker in status["workers"]] == ["idle"] * 2
            quiet = not status["connections"]["open"] and not status["queue"]["length"] and not status["delivering"]
            if idle and quiet:
                return status
            if time.monotonic() > deadline:
                raise Fault(f"the server does not come to rest: {json.dumps(status)}")
            await asyncio.sleep(0.2)

    async def at_rest(self):
        """The usage of the idle server."""
        status = await self.settled()
        found = measure(self.masters[-1])
        counts = [count_descriptors(worker["pid"]) for worker in status["workers"]]
        if None not in counts:
            found["descriptors of workers"] = sum(counts)
        return found

    async def rest_again(self):
        """Waits until the last master uses no more than the first did before its first request. Threads that wait for
        disks end after a while; memory that was used once may stay."""
        await asyncio.gather(*self.endings)
        most = {name: value for name, value in self.rest[0].items() if name != "memory"}
        # A worker that has answered has started a process.
        most["processes"] += 2
        deadline = time.monotonic() + PATIENCE
        while True:
            last = await self.at_rest()
            more = [name for name in most if name in last and last[name] > most[name]]
            if not more or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.5)
        self.rest.append(last)
        for name in more:
            self.fault(f"at rest the last master has {last[name]} {name}, {most[name]} are enough: {self.listing()}")

    def listing(self):
        folder = f"/proc/{self.masters[-1].pid}/fd"
        return [f"{name}: {os.readlink(f'{folder}/{name}')}" for name in sorted(os.listdir(folder), key=int)]

    async def stop(self):
        self.event("stop")
        try:
            await self.ask("stop", "app")
        except Fault as error:
            self.fault(str(error))
        await self.has_ended(self.masters[-1])
        left = {path.name for path in self.folder.iterdir() if not path.name.startswith("log")} - OWN
        left |= {f"tmp/{path.name}" for path in (self.folder / "tmp").iterdir()}
        if left:
            self.fault(f"files are left: {sorted(left)}")

    def end(self):
        """Ends all processes, whatever has happened."""
        for master in self.started:
            master.process.kill()
            kill_all(master.pids)
            master.process.wait()


async def until(condition):
    """Waits until a condition holds; false if that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


def main():
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = arguments.add_argument
    add("--minutes", type=float, default=5, help="how long (default: 5)")
    add("--runner", type=Path, default=FOLDER.parent / "target" / "release" / "runner", help="the program")
    add("--seed", type=int, default=int(time.time()), help="of all that is random (default: another one each time)")
    add("--connections", type=int, default=200, help="how many clients (default: 200)")
    add("--threads", type=int, default=2, help="of each of the two workers (default: 2)")
    add("--kill", type=float, default=7, help="seconds between two kills of a worker; 0 is never (default: 7)")
    add("--reload", type=float, default=20, help="the same of reloads (default: 20)")
    add("--restart", type=float, default=45, help="the same of warm restarts (default: 45)")
    add("--rotate", type=float, default=15, help="the same of rotations of the log (default: 15)")
    add("--stall", type=float, default=11, help="the same of a worker that is stopped for a moment (default: 11)")
    add("--template", type=float, default=33, help="the same of kills of the process that starts workers (default: 33)")
    add("--verbose", action="store_true", help="print what is done")
    options = arguments.parse_args()
    options.runner = options.runner.resolve()
    print(f"soak: {options.minutes:g} minutes, --seed {options.seed}", flush=True)
    sys.exit(asyncio.run(soak(options)))


async def soak(options):
    run = Soak(options)
    if os.geteuid() != 0:
        print("only root may count the descriptors of the server", flush=True)
    try:
        await run.run()
    except (Fault, asyncio.TimeoutError) as error:
        run.fault(f"given up: {error or type(error).__name__}")
    finally:
        run.end()
    good = soak_report.report(run)
    if good:
        shutil.rmtree(run.folder)
    else:
        print(f"\nthe log is in {run.folder}")
    return 0 if good else 1


if __name__ == "__main__":
    main()
