"""Requests that are slow, die or hang; controlled by the test through named pipes."""

import gzip
import io
import multiprocessing
import os
import signal
import subprocess
import tempfile
import threading

folder = os.path.dirname(os.path.abspath(__file__))
hoard = []


def wait_for(name):
    with open(os.path.join(folder, name), "rb", buffering=0) as pipe:
        pipe.read(1)


def note(name):
    with open(os.path.join(folder, name), "wb", buffering=0) as pipe:
        pipe.write(b".")


def daemon_of_a_daemon():
    """The state of a process that was forked by a forked one: its parent's file, and whether it can be ended."""
    here, there = os.pipe()
    if os.fork() == 0:
        opened = [os.open(__file__, os.O_RDONLY) for _ in range(10)]
        if os.fork() == 0:
            whole = [number for number in opened if os.fstat(number)] == opened
            is_blocked = signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, [])
            os.write(there, b"whole: %d, blocked: %d" % (whole, is_blocked))
        os._exit(0)
    os.wait()
    os.close(there)
    with open(here, "rb") as pipe:
        return pipe.read()


class Closing:
    def __init__(self, blocks, name):
        self.blocks, self.name = blocks, name
    def __iter__(self):
        return iter(self.blocks)
    def close(self):
        note(self.name)

def blocks():
    yield b"first"
    wait_for("go")
    yield b"second"

def gated_blocks():
    while True:
        note("waiting")
        wait_for("go")
        yield b"block"

def endless():
    while True:
        yield b"x" * 65536

def empty_blocks(*begun):
    """Sends empty blocks for ever."""
    yield from begun
    note("waiting")
    while True:
        yield b""


class Upper(io.FileIO):
    """A file whose `read` returns other data than its content."""

    def read(self, size=-1):
        return super().read(size).upper()


class UpperBuffered(io.BufferedReader):
    def read(self, size=-1):
        return super().read(size).upper()


class UpperRaw(io.FileIO):
    def readinto(self, buffer):
        size = super().readinto(buffer)
        buffer[:size] = bytes(buffer[:size]).upper()
        return size


class UpperAround:
    """Takes everything except `read` from a real file."""

    def __init__(self, file):
        self.file = file

    def __getattr__(self, name):
        return getattr(self.file, name)

    def read(self, size=-1):
        return self.file.read(size).upper()


def named():
    """A generator, as downloads use it."""
    file = tempfile.NamedTemporaryFile()
    file.write(b"not read, the content")
    file.seek(10)
    return file


def content():
    path = os.path.join(folder, "content")
    with open(path, "wb") as file:
        file.write(b"the content")
    return path


FILES = {
    "/file/plain": lambda: open(content(), "rb"),
    "/file/unbuffered": lambda: open(content(), "rb", buffering=0),
    "/file/both-ways": lambda: open(content(), "r+b"),
    "/file/named": named,
    "/file/own-read": lambda: Upper(content()),
    "/file/own-buffered-read": lambda: UpperBuffered(io.FileIO(content())),
    "/file/own-raw": lambda: io.BufferedReader(UpperRaw(content())),
    "/file/own-around": lambda: UpperAround(open(content(), "rb")),
}


class Dropped:
    """Reports when it is collected."""

    def __del__(self):
        note("closed")


def dies_in_the_middle():
    yield b"first"
    wait_for("go")
    os.kill(os.getpid(), signal.SIGKILL)

def raises_in_the_middle():
    yield b"first"
    raise ValueError("on purpose")

def fails_afterwards():
    yield b"whole"
    raise ValueError("on purpose")


def writes_afterwards(write):
    yield b"whole"
    write(b"more")


class ClosingLate:
    def __iter__(self):
        return iter([b"whole"])

    def close(self):
        note("waiting")
        wait_for("go")


def application(environ, start_response):
    path = environ["PATH_INFO"]
    text = [("Content-Type", "text/plain")]
    if path == "/environ":
        body = "\n".join("%s=%r" % item for item in sorted(environ.items())).encode()
    elif path == "/pid":
        body = str(os.getpid()).encode()
    elif path == "/parent":
        body = str(os.getppid()).encode()
    elif path == "/thread":
        body = threading.current_thread().name.encode()
    elif path == "/wait":
        note("waiting")
        wait_for("go")
        body = str(os.getpid()).encode()
    elif path.startswith("/fields/"):
        # The number of header fields.
        text += [("X-%d" % number, "v") for number in range(int(path.rpartition("/")[2]))]
        body = b"ok"
    elif path == "/exhaust":
        try:
            while True:
                hoard.append(open(os.devnull, "rb"))
        except OSError:
            body = b"exhausted"
    elif path == "/release":
        while hoard:
            hoard.pop().close()
        body = b"released"
    elif path == "/hoard":
        hoard.append(b"x" * (64 << 20))
        body = str(os.getpid()).encode()
    elif path == "/spin":
        while True:
            pass
    elif path == "/kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif path == "/exit":
        os._exit(3)
    elif path == "/echo":
        body = environ["wsgi.input"].read()
    elif path == "/input":
        kinds = type(environ["wsgi.input"]).__mro__
        body = next(kind.__name__ for kind in kinds if kind.__module__ in ("_io", "io")).encode()
    elif path == "/blocks":
        start_response("200 OK", text)
        return Closing(blocks(), "closed")
    elif path == "/gated-blocks":
        start_response("200 OK", text)
        return Closing(gated_blocks(), "closed")
    elif path == "/endless":
        start_response("200 OK", text)
        return Closing(endless(), "closed")
    elif path == "/dies":
        start_response("200 OK", text)
        return dies_in_the_middle()
    elif path == "/raises":
        start_response("200 OK", text)
        return raises_in_the_middle()
    elif path == "/late-error":
        start_response("200 OK", text + [("Content-Length", "5")])
        return fails_afterwards()
    elif path == "/write-late":
        write = start_response("200 OK", text + [("Content-Length", "5")])
        return writes_afterwards(write)
    elif path == "/write-endless":
        write = start_response("200 OK", text)
        try:
            while True:
                write(b"x" * 65536)
        finally:
            note("closed")
    elif path == "/close-waits":
        start_response("200 OK", text + [("Content-Length", "5")])
        return ClosingLate()
    elif path == "/fork-leak":
        if os.fork() == 0:
            wait_for("go")
            os._exit(0)
        body = b"forked"
    elif path == "/fork-return":
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        body = b"parent" if pid else b"child"
    elif path == "/fork-twice":
        body = daemon_of_a_daemon()
    elif path == "/terminate":
        child = multiprocessing.get_context("fork").Process(target=wait_for, args=("go",))
        child.start()
        child.terminate()
        child.join(20)
        body = str(child.exitcode).encode()
    elif path == "/orphan":
        # Its parent ends first, so that another process adopts the orphan.
        script = "exec >&2; head -c 1 <go 2>&1 & echo $! >orphan"
        subprocess.run(["sh", "-c", script], cwd=folder, check=True)
        with open(os.path.join(folder, "orphan"), "rb") as file:
            body = file.read().strip()
    elif path == "/proc-file":
        start_response("200 OK", text)
        return environ["wsgi.file_wrapper"](open("/proc/self/comm", "rb"))
    elif path == "/gzip":
        start_response("200 OK", text)
        packed = os.path.join(folder, "packed.gz")
        with gzip.open(packed, "wb") as file:
            file.write(b"unpacked")
        return environ["wsgi.file_wrapper"](gzip.open(packed, "rb"))
    elif path.startswith("/status/"):
        # The number of characters.
        start_response("200 " + "x" * int(path[8:]), text)
        return [b""]
    elif path.startswith("/whole/"):
        body = b"x" * int(path[7:])
    elif path.startswith("/block/"):
        start_response("200 OK", text)
        return iter([b"x" * int(path[7:])])
    elif path.startswith("/write/"):
        start_response("200 OK", text)(b"x" * int(path[7:]))
        return []
    elif path.startswith("/errors/"):
        body = str(environ["wsgi.errors"].write("\u2603" * int(path[8:]))).encode()
    elif path.startswith("/file-of/"):
        start_response("200 OK", text + [("Content-Length", path[9:])])
        return environ["wsgi.file_wrapper"](open(content(), "rb"))
    elif path in FILES:
        start_response("200 OK", text)
        return environ["wsgi.file_wrapper"](FILES[path]())
    elif path == "/keep":
        # In a cycle, so that only a garbage collection finds it.
        environ["itself"] = environ
        hoard.append(environ["wsgi.input"])
        body = environ["wsgi.input"].read()
    elif path == "/detach":
        body = environ["wsgi.input"].detach().read()
    elif path == "/drop":
        environ["dropped"] = Dropped()
        body = b"dropped"
    elif path == "/empty-blocks":
        start_response("200 OK", text)
        return Closing(empty_blocks(b"first"), "closed")
    elif path == "/only-empty-blocks":
        start_response("200 OK", text)
        return Closing(empty_blocks(), "closed")
    elif path == "/no-head":
        return Closing(empty_blocks(), "closed")
    elif path == "/write-empty":
        write = start_response("200 OK", text)
        write(b"first")
        note("waiting")
        try:
            while True:
                write(b"")
        finally:
            note("closed")
    elif path == "/error":
        raise ValueError("on purpose")
    elif path == "/errors":
        environ["wsgi.errors"].write("told\n")
        body = b"ok"
    elif path == "/file":
        start_response("200 OK", text)
        opened = open(__file__, "rb")
        opened.seek(10)
        return environ["wsgi.file_wrapper"](opened)
    elif path == "/large":
        body = b"0123456789abcdef" * (1 << 16)
    elif path == "/reason":
        start_response("299 Quite \xe4nother", text + [("X-Twice", "1"), ("X-Twice", "2")])
        return [b""]
    elif path == "/bad-header":
        start_response("200 OK", [("X", "a\r\nb")])
        return [b""]
    elif path == "/text":
        start_response("200 OK", text)
        return ["no bytes"]
    else:
        body = b"ok"
    start_response("200 OK", text)
    return [body]
