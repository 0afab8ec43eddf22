"""A worker of runner: answers the requests that runner sends it.

Plain Python 3.8 and later, standard library only. The protocol is described in runner's
src/protocol/worker.rs; the process is made by template.py.
"""

import io
import marshal
import mmap
import os
import platform
import socket
import stat
import struct
import sys
import threading
import time

from runner_resolve import described, traceback_of

HEADER = struct.Struct("<IIIBBxx")  # length, number, service time, kind, flags
WAKE, ANSWER, HEAD, BLOCK, END, FILE, ERRORS = range(7)
BODY_IN_FILE, ERRORS_TO_GATEWAY = 1, 2
TRUNCATED = 1
HEADER_SIZE = HEADER.size
CAPACITY = 256 * 1024  # bytes of records in a ring
COUNTERS = 64  # bytes at the start of the ring: head, tail, cancelled request
RECEIVE = 1 << 16
MILLISECOND = 1_000_000
MOMENT = 1.0  # seconds that anything may outlive runner
LONGEST = 0xFFFFFFFF  # what the field for the service time holds, in nanoseconds

now = time.perf_counter_ns
pack_into, unpack_from, pack = HEADER.pack_into, HEADER.unpack_from, HEADER.pack
loads, dumps = marshal.loads, marshal.dumps
DESCRIPTOR = socket.CMSG_SPACE(struct.calcsize("i"))
CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class FileWrapper:
    """`wsgi.file_wrapper`: runner sends the file itself if it is a real one."""

    def __init__(self, filelike, block_size=65536):
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self):
        return self

    def __next__(self):
        block = self.filelike.read(self.block_size)
        if block:
            return block
        raise StopIteration


class Errors:
    """`wsgi.errors` where the gateway has a way of its own for it. Sent at once: it outlives a crash."""

    def __init__(self, lane, number):
        self.lane, self.number = lane, number

    def write(self, text):
        if text:
            self.lane.spoken = self.number
            self.lane.send(ERRORS, self.number, text.encode("utf-8", "backslashreplace"))
        return len(text)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def flush(self):
        pass


class Gone(BaseException):
    """Runner is gone, and so is whoever waited for an answer. No application catches this by mistake."""


class Abandoned(Exception):
    """The client has gone away: nobody wants what the application writes."""


class Fence:
    """Orders writes to shared memory. x86 never reorders them; elsewhere an uncontended lock's
    release and acquire do what a barrier would."""

    def __init__(self):
        self.lock = threading.Lock()
        self.lock.acquire()

    def __call__(self):
        self.lock.release()
        self.lock.acquire()


NEEDS_FENCE = platform.machine().lower() not in ("x86_64", "amd64", "i686", "i386")


class Exchange:
    """One request and its answer."""

    __slots__ = ("lane", "number", "begin", "status", "headers", "begun", "ended")

    def __init__(self, lane, number, begin):
        self.lane = lane
        self.number = number
        self.begin = begin
        self.status = None
        self.headers = None
        self.begun = False  # the head has been sent
        self.ended = False  # and all of the body too

    def start_response(self, status, headers, exc_info=None):
        if exc_info is not None:
            try:
                if self.begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # breaks the cycle with the traceback's frame
        elif self.status is not None:
            raise AssertionError("start_response was called a second time without exc_info")
        self.status = status
        self.headers = headers
        return self.write

    def write(self, block):
        if self.ended:
            raise AssertionError("write() was called after the response had ended")
        if self.lane.cancelled(self.number):
            raise Abandoned
        if not self.begun:
            self.lane.send(HEAD, self.number, head(self.status, self.headers))
            self.begun = True
        if block:
            check_block(block)
            self.lane.send(BLOCK, self.number, bytes(block))

    def whole(self, body):
        """Answers with all of the body."""
        if type(body) is not bytes:
            check_block(body)
            body = bytes(body)
        try:
            payload = dumps((self.status, self.headers, body), 2)
        except ValueError:
            payload = dumps((*plain_head(self.status, self.headers), body), 2)
        self.lane.publish(self.number, self.begin, payload)
        self.begun = self.ended = True

    def end(self, flags=0):
        """Ends a body that was sent in blocks."""
        self.ended = True
        self.lane.send(END, self.number, b"", self.begin, flags)

    def announced_length(self):
        for name, value in self.headers:
            if len(name) == 14 and name.lower() == "content-length":
                try:
                    return int(value)
                except ValueError:
                    return None
        return None

    def blocks(self, result):
        """Sends what an iterable gives, block by block as it gives it. PEP 3333 forbids to hold any back."""
        for block in result:
            if not block:
                continue
            if self.ended:
                complain("the application gave more than its Content-Length")
                break
            if type(block) is not bytes:
                check_block(block)
            if self.status is None:
                raise AssertionError("the application gave a block before it called start_response")
            if self.begun:
                self.lane.send(BLOCK, self.number, block)
            elif self.announced_length() == len(block):
                self.whole(block)
            else:
                # Head and block in one message, one wake-up.
                self.lane.send_pair(self.number, head(self.status, self.headers), block)
                self.begun = True
            if not self.ended and self.lane.cancelled(self.number):
                break
        if self.status is None:
            raise AssertionError("the application did not call start_response")
        if not self.begun:
            self.whole(b"")
        elif not self.ended:
            self.end()

    def file(self, wrapper):
        """Hands the file over if it is a regular one; tells whether it was."""
        if self.status is None or self.begun:
            return False
        try:
            descriptor = wrapper.filelike.fileno()
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                return False
            offset = wrapper.filelike.tell()
        except (AttributeError, OSError, ValueError):  # UnsupportedOperation is both of the latter
            return False
        length = max(0, about.st_size - offset)
        payload = dumps((*plain_head(self.status, self.headers), offset, length), 2)
        self.lane.hand_over(descriptor)
        self.begun = self.ended = True
        self.lane.send(FILE, self.number, payload, self.begin)
        return True

    def failed(self):
        """The application raised an exception."""
        if self.ended:
            return  # and its client has a whole answer
        if self.begun:
            self.end(TRUNCATED)
        else:
            self.status = "500 Internal Server Error"
            body = b"500 Internal Server Error\n"
            self.headers = [
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(body))),
            ]
            self.whole(body)


def check_block(block):
    if not isinstance(block, bytes):
        raise TypeError("a WSGI application gives bytes, but got %s" % described(block))


def plain_head(status, headers):
    """Status and headers as plain strings, for what `marshal` refuses (subclasses of str)."""
    return str.__str__(status), [(str.__str__(name), str.__str__(value)) for name, value in headers]


def head(status, headers):
    if status is None:
        raise AssertionError("write() was called before start_response")
    return dumps(plain_head(status, headers), 2)


def complain(text, errors=None):
    errors = errors or sys.stderr
    errors.write("runner worker %d: %s\n" % (os.getpid(), text))


class Lane:
    """One stream of requests, answered in order by one thread."""

    def __init__(self, descriptors, application, constants):
        requests, self.tokens, ring, files = descriptors
        self.socket = socket.socket(fileno=requests)
        self.files = socket.socket(fileno=files)
        self.ring = mmap.mmap(ring, 0)
        os.close(ring)
        self.counters = memoryview(self.ring)[:COUNTERS].cast("Q")
        self.limit = CAPACITY  # how far the ring may be written without looking at what runner has read
        self.head = 0
        self.fence = Fence() if NEEDS_FENCE else None
        self.unannounced = False
        self.announced = now()
        self.spoken = 0  # the last request for which something went over the socket
        self.sending = threading.Lock()  # an application's own threads may write to wsgi.errors
        self.application = application
        self.constants = constants

    # What goes to runner

    def publish(self, number, begin, payload):
        """Puts an answer into the ring, where it is safe even if we die. What does not fit goes over the
        socket, and so does what must not overtake something there."""
        size = len(payload)
        need = HEADER_SIZE + size
        if number == self.spoken or not self.has_room(need):
            self.send(ANSWER, number, payload, begin)
            return
        start = COUNTERS + self.head % CAPACITY
        ended = now()
        service = ended - begin
        ring = self.ring
        pack_into(ring, start, size, number, service if service < LONGEST else LONGEST, ANSWER, 0)
        start += HEADER_SIZE
        ring[start : start + size] = payload
        self.head += need
        if self.fence:
            self.fence()
        self.counters[0] = self.head
        self.unannounced = True
        if ended - self.announced > MILLISECOND:
            self.announce()

    def has_room(self, need):
        """Whether a record fits into the ring. It is never split: where it would be, the rest is skipped."""
        start = self.head % CAPACITY
        if start + need <= CAPACITY and self.head + need <= self.limit:
            return True
        skip = CAPACITY - start if start + need > CAPACITY else 0
        self.limit = self.counters[1] + CAPACITY
        if self.head + skip + need > self.limit:
            return False
        if skip >= HEADER_SIZE:
            # A header without a kind says "go on at the beginning", as too little room for one does.
            pack_into(self.ring, COUNTERS + start, 0, 0, 0, WAKE, 0)
        self.head += skip
        return True

    def announce(self):
        """Wakes runner up, once for all that is in the ring."""
        self.unannounced = False
        self.announced = now()
        self.transmit(WAKE_UP)

    def send(self, kind, number, payload, begin=None, flags=0):
        service = 0 if begin is None else min(now() - begin, LONGEST)
        self.transmit(pack(len(payload), number, service, kind, flags) + payload)

    def send_pair(self, number, first, block):
        self.transmit(
            pack(len(first), number, 0, HEAD, 0) + first + pack(len(block), number, 0, BLOCK, 0) + block
        )

    def transmit(self, data):
        with self.sending:
            try:
                self.socket.sendall(data)
            except OSError:
                raise Gone from None

    def hand_over(self, descriptor):
        rights = struct.pack("i", descriptor)
        self.files.sendmsg([b"F"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

    def receive_file(self):
        _, ancillary, _, _ = self.files.recvmsg(1, DESCRIPTOR, CLOSE_ON_EXEC)
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                return struct.unpack("i", data[:4])[0]
        raise Gone

    def cancelled(self, number):
        """Whether nobody wants the rest of the answer any more."""
        return self.counters[2] == number

    # What comes from runner

    def serve(self):
        """Answers requests until runner closes its end."""
        try:
            self.loop()
        except Gone:
            pass

    def loop(self):
        read, tokens = os.read, self.tokens
        constants, size = self.constants, HEADER_SIZE
        rest = b""
        token = None
        while True:
            data = self.receive(rest)
            if not data:
                return
            begin = self.announced = now()
            view = memoryview(data)
            offset, end = 0, len(data)
            while end - offset >= size:
                length, number, _, _, flags = unpack_from(data, offset)
                start = offset + size
                stop = start + length
                if stop > end:
                    break
                offset = stop
                # The claim: runner wrote this request's token before the request, and may have
                # taken it back since. Reading it is what decides.
                if token is None:
                    try:
                        token = read(tokens, 1)[0]
                    except BlockingIOError:
                        pass
                    except IndexError:
                        return
                if token != number & 255:
                    if flags & BODY_IN_FILE:
                        os.close(self.receive_file())
                    continue
                token = None
                variables, body = loads(view[start:stop])
                environ = {**constants, **variables}
                if flags:
                    if flags & BODY_IN_FILE:
                        environ["wsgi.input"] = os.fdopen(self.receive_file(), "rb")
                    else:
                        environ["wsgi.input"] = io.BytesIO(body)
                    if flags & ERRORS_TO_GATEWAY:
                        environ["wsgi.errors"] = Errors(self, number)
                else:
                    environ["wsgi.input"] = io.BytesIO(body)
                self.answer(environ, Exchange(self, number, begin))
                begin = now()
            if self.unannounced:
                self.announce()
            rest = data[offset:]

    def receive(self, rest):
        """What runner sent, behind what was left of the last time; nothing when it has closed its end."""
        data = self.socket.recv(RECEIVE)
        if not rest or not data:
            return data
        parts = [rest, data]
        have = len(rest) + len(data)
        if len(rest) >= HEADER_SIZE:
            # A large frame: join it once, when all of it is there.
            need = HEADER_SIZE + unpack_from(rest)[0]
            while have < need:
                data = self.socket.recv(need - have)
                if not data:
                    return data
                parts.append(data)
                have += len(data)
        return b"".join(parts)

    def answer(self, environ, exchange):
        result = None
        try:
            result = self.application(environ, exchange.start_response)
            kind = type(result)
            if (kind is list or kind is tuple) and exchange.status is not None and not exchange.begun:
                # The usual answer: complete already, and without a close().
                exchange.whole(result[0] if len(result) == 1 else b"".join(result))
            elif kind is not FileWrapper or not exchange.file(result):
                exchange.blocks(result)
        except Gone:
            raise
        except Abandoned:
            exchange.failed()
        except BaseException:
            log_exception(environ)
            exchange.failed()
        finally:
            if hasattr(result, "close"):
                try:
                    result.close()
                except BaseException:
                    log_exception(environ)


WAKE_UP = pack(0, 0, 0, WAKE, 0)


def log_exception(environ):
    lines = traceback_of(sys.exc_info()[1])
    request = "%s %s" % (environ.get("REQUEST_METHOD"), environ.get("REQUEST_URI"))
    environ["wsgi.errors"].write(
        "runner worker %d: exception while answering %s\n%s" % (os.getpid(), request, lines)
    )


# The worker


def run_worker(application, options, descriptors):
    """Serves on every lane until runner closes them."""
    watch, descriptors = descriptors[0], descriptors[1:]
    constants = {
        **options["variables"],
        "wsgi.version": (1, 0),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": len(descriptors) > 4,
        "wsgi.multiprocess": options["multiprocess"],
        "wsgi.run_once": options["run_once"],
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
    }
    lanes = [
        Lane(descriptors[index : index + 4], application, constants)
        for index in range(0, len(descriptors), 4)
    ]
    threading.Thread(
        target=watch_master, args=(watch, options["stop_timeout"]), name="runner-control", daemon=True
    ).start()
    # The first lane has the main thread, where applications expect to be.
    threads = [threading.Thread(target=lane.serve, name="runner-lane") for lane in lanes[1:]]
    for thread in threads:
        thread.start()
    lanes[0].serve()
    for thread in threads:
        thread.join()


def watch_master(descriptor, grace):
    """Nothing outlives runner. When it is gone, nobody waits for an answer any more: the time that a stop
    would give is for what else the application has in hand, and not more than a moment."""
    while os.read(descriptor, 1):
        pass
    time.sleep(min(grace, MOMENT))
    os._exit(1)
