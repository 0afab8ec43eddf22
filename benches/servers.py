"""The servers that the benchmark compares: how to start, find and end each."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import sites
from processes import cpu_seconds, kill_all, marked, memory, stat

FOLDER = Path(__file__).resolve().parent
VENV = FOLDER.parent / "target" / "bench-venv"
RUNNER = FOLDER.parent / "target" / "release" / "runner"
MARK = "RUNNER_BENCH"
PROCESSES = 2

# The command of each server, with places for what is in `Server.__init__`.
COMMANDS = {
    "runner": "{runner} -c {settings} serve {word} import:{module}.application",
    "Granian": "{bin}/granian --interface {interface} --host 127.0.0.1 --port {port} --workers {processes}"
    " --log-level error {module}:application",
    "bjoern": "{bin}/python bjoern_server.py {module}:application {port} {processes}",
    "uWSGI": "{bin}/uwsgi --master --processes {processes} --module {module}:application --disable-logging"
    " --listen {backlog} --die-on-term",
    "gunicorn": "{bin}/gunicorn --bind 127.0.0.1:{port} --workers {processes} --keep-alive 60 --no-control-socket"
    " --backlog {backlog} --log-level error {module}:application",
    "uvicorn": "{bin}/uvicorn --host 127.0.0.1 --port {port} --workers {processes} --timeout-keep-alive 60"
    " --backlog {backlog} --no-access-log --log-level error {module}:application",
    "Hypercorn": "{bin}/hypercorn --bind 127.0.0.1:{port} --workers {processes} --keep-alive 60 --backlog {backlog}"
    " --log-level error {module}:application",
}

# What is added to a command: a search finds the best for a workload. The first is the server's default, if it has one.
VARIANTS = {
    "runner": [""],
    "Granian": [
        "",
        "--blocking-threads {threads}",
        "--no-ws",
        "--runtime-mode st",
        "--runtime-mode mt",
        "--blocking-threads {threads} --no-ws",
        "--runtime-mode st --no-ws",
        "--runtime-mode st --blocking-threads {threads} --no-ws",
    ],
    "bjoern": ["fork", "reuse_port"],
    "uWSGI": [
        "--http 127.0.0.1:{port} --http-keepalive",
        "--http 127.0.0.1:{port} --http-keepalive --thunder-lock",
        "--http 127.0.0.1:{port} --http-keepalive --http-processes 2",
    ],
    # It serves one connection in each process while all others wait.
    "uWSGI http11-socket": ["--http11-socket 127.0.0.1:{port}", "--http11-socket 127.0.0.1:{port} --thunder-lock"],
    "gunicorn": ["--worker-class gthread --threads 4", "--worker-class gthread --threads 1", "--worker-class sync"],
}
# For ASGI applications: all have uvloop, which `runner` finds by itself.
ASGI_VARIANTS = {
    "runner": [""],
    "Granian": [
        "--loop uvloop",
        "--loop uvloop --runtime-mode st",
        "--loop uvloop --runtime-mode mt",
        "--loop uvloop --no-ws",
        "--loop uvloop --runtime-mode st --no-ws",
    ],
    "uvicorn": ["--loop uvloop --http httptools"],
    "Hypercorn": ["--worker-class uvloop"],
    "gunicorn": ["--worker-class asgi --asgi-loop uvloop"],
}
# With threads, as a workload may ask for.
THREADED = {
    "uWSGI": " --threads {threads}",
    "uWSGI http11-socket": " --threads {threads}",
}
# Limits below the connections of a workload, raised. The server's default is measured besides.
MANY_CONNECTIONS = {"Granian": " --backlog 16384", "gunicorn": " --worker-connections 4096"}
MANY = 500

SETTINGS = """\
url = "tcp://127.0.0.1:{port}"

[runner.workers]
min = {processes}
max = {processes}
"""
# It means nothing to ASGI.
THREADS = "threads = {threads}\n"


def variants(name, threads=1, connections=1, kept=True, interface="wsgi"):
    """What may be added to a server's command for a workload."""
    if interface in sites.SITES:
        return sites.SITES[interface].variants.get(name, [""])
    found = (ASGI_VARIANTS if interface == "asgi" else VARIANTS)[name]
    if name == "gunicorn" and threads > 1:
        found = ["--worker-class gthread --threads {threads}"]
    if name == "uWSGI" and not kept:
        found = [*found, "--http-socket 127.0.0.1:{port}"]
    if threads > 1:
        found = [options + THREADED.get(name, "") for options in found]
    if connections > MANY and name in MANY_CONNECTIONS:
        found = found[:1] * (name == "Granian") + [options + MANY_CONNECTIONS[name] for options in found]
    return [options.strip().replace("{threads}", str(threads)) for options in found]


class NoAnswer(Exception):
    """A server that does not answer soon after it was started."""


class Server:
    """A server that runs during a `with` block."""

    # A service manager starts a server in a session of its own, too. It makes a difference: the kernel shares the
    # processors among sessions first (`sched_autogroup_enabled`; control groups have the same effect). In the load
    # generator's session, each process of a server competes with it as an equal.
    own_session = True
    # Added to the environment of each server.
    environment = {}
    runner = RUNNER

    def __init__(self, name, threads=1, options=None, module="app", interface="wsgi"):
        self.mark = f"{os.getpid()}-{time.monotonic_ns()}"
        self.port = free_port()
        self.scratch = tempfile.mkdtemp(prefix="runner-bench-")
        values = {
            "port": self.port,
            "processes": PROCESSES,
            "threads": threads,
            "module": module,
            "interface": interface,
            "word": interface.upper(),
            "bin": VENV / "bin",
            "runner": self.runner,
            "backlog": Path("/proc/sys/net/core/somaxconn").read_text().strip(),
            "settings": Path(self.scratch) / "settings.ini",
            "scratch": self.scratch,
            "origin": free_port(),
        }
        settings = SETTINGS + (THREADS if interface == "wsgi" else "")
        values["settings"].write_text(settings.format(**values))
        if options is None:
            options = variants(name, threads, interface=interface)[0]
        self.place = sites.Place(interface, values) if interface in sites.SITES else None
        commands = self.place.site.commands if self.place else COMMANDS
        self.command = f"{commands[name.partition(' http11')[0]]} {options}".format(**values).split()
        self.log = open(Path(self.scratch) / "log", "w+b")

    def __enter__(self):
        if self.place:
            self.place.start()
        environment = dict(os.environ, **{MARK: self.mark, "VIRTUAL_ENV": str(VENV), "PYTHONDONTWRITEBYTECODE": "1"})
        self.process = subprocess.Popen(
            self.command,
            cwd=FOLDER,
            env=environment | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=self.own_session,
        )
        if not await_answer(self.process, self.port):
            self.log.seek(0)
            said = self.log.read().decode(errors="replace")
            self.__exit__()
            raise NoAnswer(f"{' '.join(self.command)}: does not answer\n{said}")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        kill_all(self.pids)
        self.process.wait()
        if self.place:
            self.place.stop()
        self.log.close()
        shutil.rmtree(self.scratch)

    def pids(self):
        """All living processes of this server. nginx writes its title over its environment, and so its marks."""
        found = marked(MARK, self.mark)
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        if not found and children.exists():
            found = [self.process.pid, *map(int, children.read_text().split())]
        return found

    def workers(self):
        """The processes that answer requests: those without children, except the main one and uWSGI's router."""
        fields = {pid: stat(pid) for pid in self.pids()}
        parents = {pid: int(fields[1]) for pid, fields in fields.items() if fields}
        log = Path(self.log.name).read_text(errors="replace")
        routers = {int(pid) for pid in re.findall(r"spawned uWSGI http \d+ \(pid: (\d+)\)", log)}
        others = routers | {self.process.pid} | set(parents.values())
        return [pid for pid in parents if pid not in others]

    def cpu_seconds(self):
        """The CPU time of its processes so far, including that of children that have ended."""
        return sum(cpu_seconds(pid) for pid in self.pids())

    def memory(self):
        """The memory of its processes in bytes, where each shares the size of what several use; None if only root may
        see it."""
        sizes = [memory(pid) for pid in self.pids()]
        return None if None in sizes else sum(sizes)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def await_answer(process, port):
    """Waits until a server answers; false if it has ended before, or takes too long."""
    deadline, pause = time.monotonic() + 30, 0.005
    while not answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.2)
    return True


def answers(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status == 200 and response.read() != b""
    except OSError:
        return False
    except http.client.HTTPException:
        return False
    finally:
        connection.close()
