"""The servers that the benchmark compares: how to start, find and end each."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processes import kill_all, marked, stat

FOLDER = Path(__file__).resolve().parent
VENV = FOLDER.parent / "target" / "bench-venv"
RUNNER = FOLDER.parent / "target" / "release" / "runner"
MARK = "RUNNER_BENCH"
TICK = os.sysconf("SC_CLK_TCK")

# The name and the command of each server, with places for `processes`, `threads`, `port` and the environment's `bin`.
SERVERS = {
    "runner": "{runner} -c {settings} serve WSGI import:app.application",
    "Granian": "{bin}/granian --interface wsgi --host 127.0.0.1 --port {port} --workers {processes}"
    " --blocking-threads {threads} --log-level error app:application",
    "Granian, respawning": "{bin}/granian --interface wsgi --host 127.0.0.1 --port {port} --workers {processes}"
    " --blocking-threads {threads} --respawn-failed-workers --log-level error app:application",
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


class Server:
    """A server that runs during a `with` block."""

    # A service manager starts a server in a session of its own, too. It makes a difference: the kernel shares the
    # processors among sessions first (`sched_autogroup_enabled`; control groups have the same effect). In the load
    # generator's session, each process of a server competes with it as an equal.
    own_session = True

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
            self.command,
            cwd=FOLDER,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=self.own_session,
        )
        if not await_answer(self.process, self.port):
            self.log.seek(0)
            said = self.log.read().decode(errors="replace")
            self.__exit__()
            sys.exit(f"{' '.join(self.command)}: does not answer\n{said}")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        kill_all(self.pids)
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.scratch)

    def pids(self):
        """All living processes of this server."""
        return marked(MARK, self.mark)

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
        return sum(int(field) for pid in self.pids() for field in stat(pid)[11:15]) / TICK


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
        return connection.getresponse().read() == b"Hello, world!\n"
    except OSError:
        return False
    except http.client.HTTPException:
        return False
    finally:
        connection.close()
