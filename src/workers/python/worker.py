"""A worker: answers the requests that runner sends.

Plain Python 3.8 and later, standard library only. The protocol is described in runner's
src/protocol/worker/frame.rs; the process is made by template.py.
"""

import marshal
import threading
from functools import partial
from io import BytesIO, FileIO

from runner_body_stream import HEADER, HEADER_SIZE, NEEDS_FENCE, BodyStream, Fence
from runner_control import THREAD, Control, keep_limits, start_thread
from runner_descriptors import RECEIVE, receive_descriptor, send_descriptor
from runner_development import wsgi_answer
from runner_exchange import (
    ANSWER,
    WAKE,
    Abandoned,
    BodyFile,
    Errors,
    Exchange,
    FileWrapper,
    Gone,
    log_exception,
    trace,
)
from runner_json_lines import REQUEST, ids_of
from runner_kept import errno, mmap, os, socket, sys, system_socket, thread, time
from runner_output import Form, identity, is_still, named, new_log, report_losses, say

BODY_IN_FILE, ERRORS_TO_GATEWAY, HEAD_KNOWN, HEAD_TO_KEEP, ANNOUNCE = 1, 2, 4, 8, 16
SELDOM = ERRORS_TO_GATEWAY | ANNOUNCE
HEADS = 512  # that a lane keeps
CAPACITY = 256 * 1024  # bytes of records in a ring
COUNTERS = 128  # bytes at the start of the ring: head, tail, cancelled request, thread, last request read, waiting
READ, WAITING, LOST = 4, 5, 6
LANE = 5  # descriptors of a lane
MILLISECOND = 1_000_000
SMALL = 1 << 14  # bytes of an answer
LONGEST = 0xFFFFFFFF  # what the field for the service time holds, in nanoseconds

now = time.perf_counter_ns
pack_into, unpack_from, pack = HEADER.pack_into, HEADER.unpack_from, HEADER.pack
loads = marshal.loads


class Lane:
    """One stream of requests, answered in order by one thread."""

    def __init__(self, descriptors, application, constants, shows):
        requests, self.tokens, ring, files, room = descriptors
        self.socket = system_socket(requests)
        self.files = system_socket(files)
        self.own = [(descriptor, identity(descriptor)) for descriptor in (requests, self.tokens, files, room)]
        self.ring = mmap.mmap(ring, 0)
        os.close(ring)
        memory = memoryview(self.ring)
        self.counters = memory[:COUNTERS].cast("Q")
        self.stream = BodyStream(memory, self.counters, room, self.announce)
        self.limit = CAPACITY  # how far the ring may be written without looking at what runner has read
        self.head = 0
        self.fence = Fence() if NEEDS_FENCE else None
        self.unannounced = False
        self.announced = now()
        self.spoken = 0  # the last request for which something went over the socket
        self.sending = thread.allocate_lock()  # threads of the application may write to wsgi.errors
        self.application = application
        self.constants = constants
        self.shows = shows  # makes an answer of an exception in development
        self.heads = [None] * HEADS  # common variables that runner said to keep

    # To runner

    def disown(self):
        """Closes the lane in a process that is no worker: sending fails from then on."""
        self.limit = -1
        self.sending = thread.allocate_lock()  # another thread may have held the old one
        for close in (self.socket.close, self.files.close, partial(os.close, self.tokens), self.stream.disown):
            try:
                close()
            except OSError:
                pass  # the application has done it

    def publish(self, number, begin, head, fields, body):
        """Puts an answer into the ring, where it is safe even if this worker dies. An answer that does not fit goes over the
        socket, and so does one that must not overtake data there. Returns the time."""
        size = len(head)
        length = size + len(body)
        need = HEADER_SIZE + length
        at = self.head
        start = at % CAPACITY
        ended = now()
        # A record is never split: where it would be, the rest is skipped.
        if start + need > CAPACITY or at + need > self.limit or number == self.spoken:
            if number == self.spoken or not self.make_room(need):
                self.send(ANSWER, number, head + body, begin, 0, fields, size)
                return ended
            at = self.head
            start = at % CAPACITY
        start += COUNTERS
        service = ended - begin
        header = pack(length, number, service if service < LONGEST else LONGEST, ANSWER, 0, fields, size)
        # Joining small parts takes less time than storing each, and copying large ones again takes more.
        if length < SMALL:
            self.ring[start : start + need] = b"".join((header, head, body))
        else:
            middle = start + HEADER_SIZE + size
            self.ring[start:middle] = header + head
            self.ring[middle : start + need] = body
        self.head = at = at + need
        if self.fence:
            self.fence()
        self.counters[0] = at
        self.unannounced = True
        if ended - self.announced > MILLISECOND:
            self.announce()
        return ended

    def make_room(self, need):
        """Returns whether a record fits into the ring now that runner has read more, at its beginning if need be."""
        if self.limit < 0:
            return False
        start = self.head % CAPACITY
        skip = CAPACITY - start if start + need > CAPACITY else 0
        self.limit = self.counters[1] + CAPACITY
        if self.head + skip + need > self.limit:
            return False
        if skip >= HEADER_SIZE:
            # A header without a kind says "go on at the beginning", as too little room for one does.
            pack_into(self.ring, COUNTERS + start, 0, 0, 0, WAKE, 0, 0, 0)
        self.head += skip
        return True

    def announce(self):
        """Wakes runner up, once for all answers in the ring."""
        self.unannounced = False
        self.announced = now()
        self.transmit(WAKE_UP)

    def service(self, begin):
        """The time since the worker has begun a request."""
        return min(now() - begin, LONGEST)

    def send(self, kind, number, payload, begin=None, flags=0, fields=0, size=0):
        service = 0 if begin is None else self.service(begin)
        self.transmit(pack(len(payload), number, service, kind, flags, fields, size) + payload)

    def transmit(self, data):
        with self.sending:
            try:
                self.socket.sendall(data)
            except OSError:
                raise Gone from None

    def hand_over(self, descriptor):
        send_descriptor(self.files, descriptor)

    def receive_file(self):
        """A body that is a file. If no descriptor is left for it, reading it fails in the application."""
        descriptor = receive_descriptor(self.files)
        return Unreadable() if descriptor is None else BodyFile(FileIO(descriptor))

    def cancelled(self, number):
        """Whether the client of the request has gone away."""
        return self.counters[2] == number

    # From runner

    def serve(self):
        """Answers requests until runner closes its end."""
        self.counters[THREAD] = thread.get_ident()
        try:
            self.announce()  # tells runner that this lane has begun
            self.loop()
        except Gone:
            pass
        except BaseException as error:
            if self.is_whole():
                say("it is replaced, because of an exception between requests\n" + trace(error))
        if not self.is_whole() and self.limit >= 0:
            say("it is replaced, because the application closed descriptors that are not its own")
            os._exit(1)
        self.close()

    def is_whole(self):
        """Whether the lane's descriptors are still its own."""
        return all(is_still(*own) for own in self.own)

    def close(self):
        """Closes the lane: runner gives the remaining requests to other workers."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # runner has done it

    def loop(self):
        read, tokens = os.read, self.tokens
        constants, heads, size, counters = self.constants, self.heads, HEADER_SIZE, self.counters
        rest = b""
        token = None
        number = 0
        while True:
            counters[WAITING] = 1
            try:
                data = self.receive(rest)
            except OSError:  # runner ended without reading all answers
                return
            counters[WAITING] = 0
            if not data:
                return
            begin = self.announced = now()
            offset, end = 0, len(data)
            while end - offset >= size:
                length, number, _, _, flags, slot, _ = unpack_from(data, offset)
                start = offset + size
                stop = start + length
                if stop > end:
                    break
                offset = stop
                # The claim: runner wrote this request's token before the request, and may have taken it back since.
                # The process that reads the token has the request.
                if token is None:
                    try:
                        token = read(tokens, 1)[0]
                    except BlockingIOError:
                        pass
                    except IndexError:
                        return
                if token != number & 255:
                    self.unannounced = True  # runner has to know that this lane is awake again
                    if flags & HEAD_TO_KEEP:
                        heads[slot] = {**constants, **loads(data[start:stop])[0]}
                    if flags & BODY_IN_FILE:
                        self.receive_file().close()
                    continue
                token = None
                if flags & HEAD_KNOWN:
                    environ = heads[slot].copy()
                    own = loads(data[start:stop])
                else:
                    common, own = loads(data[start:stop])
                    environ = {**constants, **common}
                    if flags & HEAD_TO_KEEP:
                        heads[slot] = environ.copy()
                (
                    environ["REQUEST_METHOD"],
                    environ["SCRIPT_NAME"],
                    environ["PATH_INFO"],
                    environ["QUERY_STRING"],
                    environ["REQUEST_URI"],
                    environ["REMOTE_ADDR"],
                    port,
                    length,
                    body,
                ) = own
                if port is not None:
                    environ["REMOTE_PORT"] = port
                if length is not None:
                    environ["CONTENT_LENGTH"] = length
                environ["wsgi.input"] = BytesIO(body) if body is not None else self.receive_file()
                if flags & SELDOM:
                    if flags & ANNOUNCE:
                        self.announced = 0
                    if flags & ERRORS_TO_GATEWAY:
                        environ["wsgi.errors"] = Errors(self, number)
                begin = self.answer(environ, Exchange(self, number, begin), own) or now()
                environ = common = own = body = None  # an idle worker holds nothing of the last request
            # Before the announcement: runner looks at it then.
            counters[READ] = number
            if self.unannounced:
                self.announce()
            rest = data[offset:]

    def receive(self, rest):
        """The data that runner sent, after the `rest` of the last time; empty when runner has closed its end."""
        data = self.wait(RECEIVE)
        if not rest or not data:
            return data
        parts = [rest, data]
        have = len(rest) + len(data)
        if len(rest) >= HEADER_SIZE:
            # A large frame: join it once, when it is complete.
            need = HEADER_SIZE + unpack_from(rest)[0]
            while have < need:
                data = self.wait(need - have)
                if not data:
                    return data
                parts.append(data)
                have += len(data)
        return b"".join(parts)

    def wait(self, size):
        while True:
            try:
                return self.socket.recv(size)
            except (Gone, SystemExit):
                raise
            except BaseException as error:
                # An alarm that the application has set for an earlier request may come here.
                if isinstance(error, OSError) and error.errno:
                    raise
                say("exception between requests\n" + trace(error))

    def answer(self, environ, exchange, own):
        """Calls the application and sends what it gives. Returns the time if nothing was done since the answer was sent."""
        # The application may change environ.
        body, errors = environ["wsgi.input"], environ["wsgi.errors"]
        if Form.marks_requests:
            REQUEST.set(ids_of(environ.get("HTTP_X_REQUEST_ID"), environ.get("HTTP_TRACEPARENT")))
        result = None
        try:
            result = self.application(environ, exchange.start_response)
            kind = type(result)
            if (kind is list or kind is tuple) and exchange.status is not None and not exchange.begun:
                # The usual answer: complete, and without a close().
                whole = result[0] if len(result) == 1 else b"".join(result)
                result = None
                return exchange.whole(whole)
            if (kind is not FileWrapper or not exchange.file(result)) and exchange.blocks(result):
                about = own[0], own[4] + named(environ.get("HTTP_X_REQUEST_ID"))
                say("%s %s: the application gave more than its Content-Length" % about)
        except Gone:
            raise
        except Abandoned:
            exchange.failed()
        except BaseException as error:
            log_exception(error, own[0], own[4] + named(environ.get("HTTP_X_REQUEST_ID")), errors)
            exchange.failed(self.shows and not exchange.begun and self.shows(error, own[0], own[4], environ))
        finally:
            try:
                if result is not None and hasattr(result, "close"):
                    result.close()
            except Gone:
                raise
            except BaseException as error:
                log_exception(error, own[0], own[4] + named(environ.get("HTTP_X_REQUEST_ID")), errors)
            try:
                body.close()
            except (OSError, ValueError):
                pass  # the application has detached or broken it
            if Form.marks_requests:
                REQUEST.set({})


class Unreadable:
    """`wsgi.input` where the body could not be received for lack of a descriptor."""

    def read(self, *_):
        raise OSError(errno.EMFILE, "Too many open files: the body of the request could not be opened")

    readline = readlines = __iter__ = read

    def close(self):
        pass


WAKE_UP = pack(0, 0, 0, WAKE, 0, 0, 0)


# The worker


def run_worker(application, options, descriptors):
    """Serves on every lane until runner closes them."""
    watch, descriptors = descriptors[0], descriptors[1:]
    constants = {
        # The variables of each request have their place: filling it takes less time than making room.
        **dict.fromkeys(("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_URI", "REMOTE_ADDR")),
        "wsgi.input": None,
        **options["variables"],
        "wsgi.version": (1, 0),
        "wsgi.errors": new_log(),
        "wsgi.multithread": len(descriptors) > LANE,
        "wsgi.multiprocess": options["multiprocess"],
        "wsgi.run_once": options["run_once"],
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
    }
    shows = wsgi_answer if options["development"] else None
    lanes = [
        Lane(descriptors[index : index + LANE], application, constants, shows)
        for index in range(0, len(descriptors), LANE)
    ]
    report_losses(lanes[0].counters, LOST)
    control = Control(watch, options, lanes)
    control.keep_to_ourselves()
    control.start()
    keep_limits(options["limits"])
    # The first lane has the main thread, where applications expect to be.
    others = [serve_beside(lane) for lane in lanes[1:]]
    lanes[0].serve()
    if lanes[0].limit < 0:
        return  # the application has forked this process, which has only this thread
    try:
        for has_ended in others:
            has_ended.acquire()
    except Gone:
        os._exit(1)  # a thread has not ended, and may never end


def serve_beside(lane):
    """Serves a lane in a thread of its own. Returns a lock that is free when the thread has ended."""
    has_ended = thread.allocate_lock()
    has_ended.acquire()

    def serve():
        try:
            introduce()
            lane.serve()
        finally:
            has_ended.release()

    start_thread(serve)
    return has_ended


def introduce():
    """Makes this thread look like one that `threading` has started."""
    try:
        threading.current_thread().name = "runner-lane"
        for wanted, install in (("gettrace", sys.settrace), ("getprofile", sys.setprofile)):
            hook = getattr(threading, wanted, lambda: None)()
            if hook is not None:
                install(hook)
    except Exception:
        pass  # the application has replaced `threading`
