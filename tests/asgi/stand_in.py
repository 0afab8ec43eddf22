"""Stands in for runner beside an ASGI worker: makes the worker's process and its lane, and speaks the frames with it.

The modules are those of src/workers/python, in the order of template.rs, loaded as bootstrap.py does it.
"""

import array
import asyncio
import builtins
import fcntl
import marshal
import mmap
import os
import re
import select
import signal
import socket
import struct
import tempfile
import termios
import time
import traceback
import types

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..", "src", "workers", "python")
HEADER = struct.Struct("<IIIBBHI")
ANSWER, HEAD, BLOCK, END, FILE = 1, 2, 3, 4, 5
ACCEPT, TEXT, BINARY, CLOSE, CREDIT, DONE, UNABLE, LAG = 7, 8, 9, 10, 11, 12, 13, 14
NAMES = dict(zip(range(15), "WAKE ANSWER HEAD BLOCK END FILE ERRORS ACCEPT TEXT BINARY CLOSE CREDIT DONE UNABLE LAG".split()))
SEND_TEXT, SEND_BINARY, LEFT, SEND_CREDIT, CANCEL, SHOW = 1, 2, 3, 4, 5, 6  # orders
BODY_IN_FILE, HEAD_KNOWN, HEAD_TO_KEEP, WEB_SOCKET = 1, 4, 8, 32
STREAM_START = 128 + 256 * 1024
CAPACITY = 1024 * 1024 - STREAM_START
SLOTS, SLOT_SIZE, SLOT = 16, 64 * 1024, 15
THREAD, READ, WAITING, WRITTEN, TAKEN, AWAKE, FULL, RETURNED = 3, 4, 5, 8, 9, 10, 11, 13
PATIENCE = 20  # seconds after which a test fails
DEFAULT_LOOP = "asyncio"
LEAVE = b"\0"


def modules():
    """The names and files of the modules of an ASGI worker."""
    with open(os.path.join(SOURCES, "template.rs")) as file:
        table = file.read().partition("const MODULES")[2].partition("/// Whether")[0]
    table = re.sub(r"const WSGI_MODULES.*?\];", "", table, flags=re.S)
    found = re.findall(r'module!\((?:"(\w+)", )?"(\w+)"\)', table)
    return [("runner_" + name, os.path.join(folder, name + ".py")) for folder, name in found if name != "template"]


def load():
    import sys

    ours = {}
    for name, file in modules():
        ours[name] = sys.modules[name] = types.ModuleType(name)
        ours[name].__builtins__ = dict(vars(builtins))
        with open(os.path.join(SOURCES, file), encoding="utf-8") as source:
            exec(compile(source.read(), "runner/" + file, "exec"), vars(ours[name]))
    for name in ours:
        del sys.modules[name]
    return ours


class Frame:
    def __init__(self, kind, number, flags, fields, head, body, slot):
        self.kind = kind
        self.number = number
        self.flags = flags
        self.body = body
        self.slot = slot  # that a block was in
        self.status = self.headers = None
        if head:
            self.status, *rest = head.split(b"\0")
            assert len(rest) == 2 * fields, (fields, rest)
            self.headers = list(zip(rest[::2], rest[1::2]))

    def __repr__(self):
        return "%s %d %d %r %r %r" % (NAMES[self.kind], self.number, self.flags, self.status, self.headers, self.body[:80])


class Worker:
    """A worker and its lane."""

    def __init__(self, application, lifespan="off", loop=None, disconnect_grace=PATIENCE, begins=True, is_first=True, concurrency=1000, start_timeout=0):
        self.socket, requests = socket.socketpair()
        self.files, files = socket.socketpair()
        self.control, watch = socket.socketpair()
        tokens, self.tokens = os.pipe()
        os.set_blocking(tokens, False)
        self.unclaimed = os.dup(tokens)
        room, self.room = os.pipe()
        memory = tempfile.TemporaryFile()
        memory.truncate((1 << 20) + SLOTS * SLOT_SIZE)
        self.memory = mmap.mmap(memory.fileno(), 0)
        self.counters = memoryview(self.memory)[:128].cast("Q")
        self.area = memoryview(self.memory)[STREAM_START : STREAM_START + CAPACITY]
        self.slots = memoryview(self.memory)[STREAM_START + CAPACITY :]
        self.keeps_slots = False
        self.errors, log = os.pipe()
        self.log = b""
        self.number = 0
        self.taken = 0
        self.wakes = 0
        self.heads = set()
        self.behind = None  # a frame that the last one stands for
        options = {
            "asgi": {
                "lifespan": lifespan,
                "loop": loop or DEFAULT_LOOP,
                "disconnect_grace": disconnect_grace,
                "concurrency": concurrency,
                "start_timeout": start_timeout,
                "last_moment": 2.0,
            },
            "development": False,
            "stop_timeout": float(PATIENCE),
            "stack_signal": 0,
            "limits": {},
            "is_first": is_first,
            "is_forked": True,
        }
        descriptors = [watch.detach(), requests.detach(), tokens, os.dup(memory.fileno()), files.detach(), room]
        memory.close()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                for ours in (self.socket, self.files, self.control):
                    ours.close()
                for ours in (self.tokens, self.unclaimed, self.room, self.errors):
                    os.close(ours)
                os.dup2(log, 2)
                ours = load()
                ours["runner_control"].Forks.watch()
                ours["runner_asgi_worker"].run_worker(application, options, descriptors)
                status = 0
            except SystemExit as error:
                status = error.code
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        for theirs in descriptors:
            os.close(theirs)
        os.close(log)
        self.status = None
        if begins:
            self.await_wake_up()
            assert self.counters[THREAD]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.status is None:
            if kind is None:
                self.leave()
            else:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                self.read_log()
        if kind is not None:
            print(self.log.decode())
        self.area.release()
        self.slots.release()
        for ours in (self.socket, self.files, self.control):
            ours.close()
        for ours in (self.tokens, self.unclaimed, self.room, self.errors):
            os.close(ours)

    # To the worker

    def token(self, number):
        os.write(self.tokens, bytes([number & 255]))

    def send(self, order, number, payload, flags=0, slot=0):
        self.socket.sendall(self.frame_of(order, number, payload, flags, slot))

    @staticmethod
    def frame_of(order, number, payload, flags=0, slot=0):
        return HEADER.pack(len(payload), number, 0, order, flags, slot, 0) + payload

    def made(
        self,
        path="/",
        method="GET",
        headers=(),
        body=b"",
        query=b"",
        root_path="",
        scheme="http",
        version="1.1",
        server=("example.org", 80),
        client=("127.0.0.1", 50000),
        length=None,
        file=None,
        web_socket=False,
        slot=None,
    ):
        """The frame of a request, which gets the next number. With a slot, what it has in common is kept there."""
        self.number += 1
        common = (scheme, version, server, list(headers), None)
        host, port = client or (None, 0)
        raw = path.encode("latin-1")
        own = (method, path, raw, query, root_path, host, port, length, None if file is not None else body)
        flags = WEB_SOCKET if web_socket else 0
        if file is not None:
            flags |= BODY_IN_FILE
            rights = struct.pack("i", file)
            self.files.sendmsg([b"F"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        payload = (common, own)
        if slot is not None:
            flags |= HEAD_KNOWN if slot in self.heads else HEAD_TO_KEEP
            payload = own if slot in self.heads else payload
            self.heads.add(slot)
        return self.frame_of(0, self.number, marshal.dumps(payload, 2), flags, slot or 0)

    def request(self, path="/", **about):
        """Sends a request. Returns its number."""
        frame = self.made(path, **about)
        self.token(self.number)
        self.socket.sendall(frame)
        return self.number

    # From the worker

    def await_wake_up(self):
        assert select.select([self.socket], [], [], PATIENCE)[0], "no wake-up"
        data = self.socket.recv(20)
        if len(data) == 20:
            assert data == bytes(20), data
            self.wakes += 1
        return bool(data)

    def peek(self):
        """The next frame that is in the stream; else `None`. An answer that is the last frame is followed by the end."""
        if self.behind is not None:
            behind, self.behind = self.behind, None
            return behind
        if self.counters[WRITTEN] == self.taken:
            return None
        at = self.taken % CAPACITY
        if at + HEADER.size > CAPACITY:
            self.taken += CAPACITY - at
            at = 0
        length, number, _, kind, flags, fields, size = HEADER.unpack_from(self.area, at)
        start = at + HEADER.size
        data = bytes(self.area[start : start + length])
        if len(data) < length:
            data += bytes(self.area[: length - len(data)])
        self.taken += HEADER.size + length
        self.counters[TAKEN] = self.taken
        if self.counters[FULL]:
            self.counters[FULL] = 0
            os.write(self.room, b"r")
        slot = None
        if kind == SLOT:
            slot, length = struct.unpack("<II", data)
            assert length <= SLOT_SIZE and slot < SLOTS
            kind, data = BLOCK, bytes(self.slots[slot * SLOT_SIZE :][:length])
            if not self.keeps_slots:
                self.give_back(slot)
        if kind == ANSWER and flags & LAST:
            self.behind = Frame(DONE, number, 0, 0, b"", b"", None)
        return Frame(kind, number, flags, fields, data[:size], data[size:], slot)

    def give_back(self, slot):
        self.counters[RETURNED] ^= 1 << slot

    def frame(self):
        """The next frame; `None` when the lane has closed."""
        while True:
            found = self.peek()
            if found is None:
                self.counters[AWAKE] = 0
                found = self.peek()
                if found is None:
                    if self.await_wake_up():
                        continue
                    found = self.peek()
                self.counters[AWAKE] = 1
            if found is None or found.kind != LAG:
                return found

    def lateness(self):
        """The microseconds in the next frame, a report on the loop."""
        found = None
        while found is None:
            self.counters[AWAKE] = 0
            found = self.peek()
            if found is None:
                self.await_wake_up()
                found = self.peek()
        assert found.kind == LAG, found
        return struct.unpack("<I", found.body)[0]

    def frames(self, *kinds):
        """The next frames, which have these kinds."""
        found = []
        for kind in kinds:
            found.append(self.frame())
            got = found[-1] and NAMES[found[-1].kind]
            assert got == NAMES[kind], "expected %s, got %r" % (NAMES[kind], found[-1])
        return found if len(found) > 1 else found[0]

    def answer(self, path="/", **about):
        """The whole answer to a request."""
        number = self.request(path, **about)
        answer, done = self.frames(ANSWER, DONE)
        assert answer.number == done.number == number
        return answer

    def until(self, condition):
        """Waits until something is so that changes in shared memory, or in a pipe, without any message."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it does not come about"
            select.select([], [], [], 0.001)

    def logged(self, text):
        """Waits until the log has a text. Returns the log."""
        deadline = time.monotonic() + PATIENCE
        while text.encode() not in self.log:
            assert select.select([self.errors], [], [], max(0, deadline - time.monotonic()))[0], (text, self.log.decode())
            part = os.read(self.errors, 65536)
            assert part, (text, self.log.decode())
            self.log += part
        return self.log.decode()

    def until_read(self):
        """Waits until the worker has read all orders, and has nothing more to read."""
        left = array.array("i", [0])

        def is_read():
            fcntl.ioctl(self.socket.fileno(), termios.TIOCOUTQ, left)
            return left[0] == 0 and self.counters[WAITING]

        self.until(is_read)

    # The end

    def read_log(self):
        while True:
            part = os.read(self.errors, 65536)
            if not part:
                return
            self.log += part

    def leave(self):
        """Tells the worker to end when nothing is running. Returns its status and the log."""
        self.socket.shutdown(socket.SHUT_WR)
        return self.ended()

    def ended(self):
        deadline = time.monotonic() + PATIENCE
        pid = 0
        while pid == 0:
            assert time.monotonic() < deadline, "the worker does not end"
            select.select([self.errors], [], [], 0.01)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        self.status = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        self.read_log()
        return self.status, self.log.decode()


TRUNCATED = 1
LAST = 2


def amount(number):
    return struct.pack("<I", number)


def received_file(worker):
    """The contents of the file that the worker has handed over."""
    _, ancillary, _, _ = worker.files.recvmsg(1, socket.CMSG_SPACE(4))
    descriptor = struct.unpack("i", ancillary[0][2][:4])[0]
    try:
        return os.pread(descriptor, 1 << 16, 0)
    finally:
        os.close(descriptor)


# For applications


@types.coroutine
def turn():
    """Waits for the next turn of the loop."""
    yield


async def takes(seconds):
    """An application that takes so long."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    timer = loop.call_later(seconds, over.set_result, None)
    try:
        await over
    finally:
        timer.cancel()


class Mark:
    """What an application waits for, and the test sets."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "mark")

    def set(self):
        open(self.path, "w").close()

    def unset(self):
        if self.is_set():
            os.unlink(self.path)

    def is_set(self):
        return os.path.exists(self.path)

    async def wait(self):
        while not self.is_set():
            await turn()

    def block(self):
        """Waits without letting the loop go on."""
        while not self.is_set():
            pass


# What applications send

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


def body(data, more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


def start(status=200, headers=()):
    return {"type": "http.response.start", "status": status, "headers": headers}


def says(text):
    """An application that answers with what a function makes of its scope."""

    async def application(scope, receive, send):
        await send(START)
        await send(body(repr(text(scope)).encode()))

    return application
