"""The lane of an ASGI worker: it reads what runner sends, begins requests, and tells those that have begun.

Plain Python 3.8 and later, standard library only. The protocol is described in runner's
src/protocol/worker/frame.rs. All of this runs in the loop's thread, in callbacks that were registered before any request:
so a request begins in the context that they had then, and sees no variable of another.
"""

import marshal
from collections import OrderedDict
from struct import Struct

from runner_asgi_http import HttpExchange, Upload
from runner_asgi_loop import Starter
from runner_asgi_notes import Notes
from runner_asgi_outbox import LAG, Outbox
from runner_asgi_response import HELD, MOMENT, now
from runner_asgi_websocket import PROTOCOL, WebSocketExchange
from runner_body_stream import HEADER, HEADER_SIZE
from runner_control import THREAD, Forks
from runner_descriptors import RECEIVE, receive_descriptor
from runner_exchange import Gone, trace
from runner_kept import mmap, os, socket, system_socket, thread
from runner_output import identity, is_still, say

REQUEST, TEXT, BINARY, LEFT, CREDIT, CANCEL, SHOW = range(7)  # orders, as in src/protocol/worker/frame.rs
BODY_IN_FILE, HEAD_KNOWN, HEAD_TO_KEEP, WEB_SOCKET = 1, 4, 8, 32
HEADS = 512  # that a lane keeps
COUNTERS = 128  # bytes of counters
READ, WAITING = 4, 5
MILLISECOND = 1_000_000
SPELL = 5 * MILLISECOND  # for which requests are begun before the loop has its next turn
LATE = 5 * MILLISECOND  # a loop that comes so much later than it is to is reported
PULSE = 0.1  # seconds between two looks at that, while there are requests
REPORT = 1000 * MILLISECOND  # between two reports
LAST_MOMENT = 0.2  # seconds that tasks may take to end when this worker is to leave at once
LARGEST_READ = 1 << 20

unpack_from = HEADER.unpack_from
loads = marshal.loads
amount = Struct("<I")


class AsgiLane:
    """Requests come in one stream, and are answered in any order."""

    def __init__(self, loop, descriptors, application, options, cancelled_error, shows=None):
        requests, self.tokens, memory, files, room = descriptors
        self.loop = loop
        self.socket = system_socket(requests)
        self.files = system_socket(files)
        self.own = [(descriptor, identity(descriptor)) for descriptor in (requests, self.tokens, files, room)]
        for descriptor in (requests, self.tokens, files, room):
            os.set_blocking(descriptor, False)
        self.socket.settimeout(0)
        self.files.settimeout(0)
        self.memory = mmap.mmap(memory, 0)
        os.close(memory)
        view = memoryview(self.memory)
        self.counters = view[:COUNTERS].cast("Q")
        self.outbox = Outbox(loop, view, self.counters, self.socket, self.files, room)
        self.room = room
        self.application = application
        self.grace = options["disconnect_grace"]
        self.concurrency = options["concurrency"]
        self.cancelled_error = cancelled_error
        self.shows = shows  # makes an answer of an exception in development
        self.thread = thread.get_ident()
        self.starter = Starter(loop)
        self.state = None  # what lifespan has left for requests
        self.notes = Notes(loop)
        self.running = {}  # by number
        self.in_grace = OrderedDict()  # of these, those whose clients have left, until they are cancelled
        self.heads = [None] * HEADS  # scopes that runner said to keep
        self.parts = []  # of frames that are not complete, or were not looked at
        self.have = self.need = 0  # bytes of them, and how many make it worth to look
        self.is_paused = False
        self.token = None  # one that was read, and no request for it yet
        self.last = 0  # the number of the last request
        self.is_leaving = False
        self.is_abandoned = False  # it is to leave though requests have not ended
        self.background = None  # the requests that no client waited for when it was to leave
        self.over = loop.create_future()  # runner sends no more, and nothing is running
        self.due = 0  # when the pulse is to come; 0 if there is none
        self.worst = 0  # how late the loop was
        self.reported = 0

    def disown(self):
        """Closes the lane in a process that is no worker. Its loop must not go on: it shares what it waits for."""
        ready = getattr(self.loop, "_ready", None)
        for close in (self.outbox.disown, self.socket.close, self.files.close, lambda: os.close(self.tokens)):
            try:
                close()
            except OSError:
                pass  # the application has done it
        if hasattr(ready, "clear"):
            ready.clear()
        self.loop.stop()

    def begin(self):
        """Tells runner that requests may come."""
        self.counters[THREAD] = self.thread
        self.loop.add_reader(self.room, self.outbox.has_room)
        self.loop.add_reader(self.socket.fileno(), self.guarded_read)
        self.counters[WAITING] = 1
        self.outbox.wake()

    # From runner

    def guarded_read(self):
        try:
            self.read()
        except Gone:
            os._exit(0)  # the application has forked this process, which is no worker
        except BaseException as error:
            if self.is_whole():
                say("it is replaced, because of an exception between requests\n" + trace(error))
            else:
                say("it is replaced, because the application closed descriptors that are not its own")
            os._exit(1)

    def read(self):
        """Reads what runner has sent."""
        if Forks.is_foreign:
            raise Gone
        try:
            data = self.socket.recv(max(RECEIVE, min(self.need - self.have, LARGEST_READ)))
        except BlockingIOError:
            return
        except ConnectionError:  # runner ended without reading all answers
            data = b""
        if not data:
            return self.leave()
        self.counters[WAITING] = 0
        if self.parts:
            self.parts.append(data)
            self.have += len(data)
            if self.have < self.need:
                return
            data = b"".join(self.parts)
        self.take(data)

    def go_on(self):
        """Takes what was left to the next turn of the loop."""
        try:
            if self.is_paused:
                self.take(b"".join(self.parts))
        except Gone:
            os._exit(0)
        except BaseException:
            say("it is replaced, because of an exception between requests")
            raise

    def take(self, data):
        """Takes all frames in the data, as long as that does not take too long."""
        outbox, running = self.outbox, self.running
        outbox.is_due = True  # the flush is at the end
        self.is_paused = False
        begin = outbox.announced = now()
        offset, end = 0, len(data)
        while end - offset >= HEADER_SIZE:
            length, number, _, order, flags, slot, _ = unpack_from(data, offset)
            start = offset + HEADER_SIZE
            stop = start + length
            if stop > end:
                break
            offset = stop
            if order != REQUEST:
                exchange = running.get(number)
                if exchange is not None:
                    self.obey(order, exchange, data[start:stop])
                continue
            self.last = number
            if not self.claim(number):
                if flags & HEAD_TO_KEEP:
                    self.heads[slot] = scope_of(loads(data[start:stop])[0])
                if flags & BODY_IN_FILE:
                    Upload(self.receive_file()).close()
                continue
            self.counters[READ] = number
            self.start(number, flags, slot, data[start:stop], begin)
            if Forks.is_foreign:
                raise Gone
            after = now()
            if after - begin > self.worst:
                self.worst = after - begin
            if after - outbox.announced > MILLISECOND:
                outbox.publish()
            if after - begin > SPELL or not self.starter.is_eager:
                self.is_paused = True
                break
            begin = after
        # Before the announcement: runner looks at it then.
        self.counters[READ] = self.last
        rest = data[offset:] if offset else data
        self.parts = [rest] if rest else []
        self.have = len(rest)
        self.need = 0
        if self.is_paused:
            self.loop.call_soon(self.go_on)
        else:
            if self.have >= HEADER_SIZE:
                self.need = HEADER_SIZE + unpack_from(rest)[0]
            self.counters[WAITING] = 1
        if self.worst > LATE and not self.due:
            self.watch()  # which reports it
        outbox.flush()

    def claim(self, number):
        """Whether the request is to be begun. Runner wrote its token before the request, and may have taken it back since.
        The process that reads the token has the request."""
        if self.token is None:
            try:
                self.token = os.read(self.tokens, 1)[0]
            except (BlockingIOError, IndexError):
                return False
        if self.token != number & 255:
            return False
        self.token = None
        return True

    def start(self, number, flags, slot, payload, begin):
        """Begins a request."""
        if flags & HEAD_KNOWN:
            known = self.heads[slot]
            own = loads(payload)
        else:
            common, own = loads(payload)
            known = scope_of(common)
            if flags & HEAD_TO_KEEP:
                self.heads[slot] = known
        scope = known.copy()
        scope["headers"] = headers = scope["headers"].copy()
        (
            method,
            scope["path"],
            target,
            query,
            scope["root_path"],
            host,
            port,
            length,
            content,
        ) = own
        scope["raw_path"] = target
        scope["query_string"] = query
        if host is not None:
            scope["client"] = (host, port)
        tls = scope["extensions"]
        if self.state is not None:
            scope["state"] = self.state.copy()
        if query:
            target = b"%s?%s" % (target, query)
        if flags & WEB_SOCKET:
            del scope["method"]
            scope["type"] = "websocket"
            scope["asgi"] = {"version": "3.0", "spec_version": "2.5"}
            scope["extensions"] = {"websocket.http.response": {}}
            scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
            scope["subprotocols"] = subprotocols(headers)
            if flags & BODY_IN_FILE:
                Upload(self.receive_file()).close()
            exchange = WebSocketExchange(self, number, begin, target)
        else:
            scope["asgi"] = {"version": "3.0", "spec_version": "2.3"}
            scope["extensions"] = {"http.response.pathsend": {}}
            scope["method"] = method
            if length is not None:
                headers.append((b"content-length", length))
            exchange = HttpExchange(self, number, begin, method, target, content)
            if flags & BODY_IN_FILE:
                exchange.upload = Upload(self.receive_file())
        if tls is not None:
            scope["extensions"]["tls"] = tls_extension(*tls)
        self.running[number] = exchange
        task = self.starter.begin(exchange.run(scope))
        if not exchange.is_over:
            exchange.task = task
            if exchange.state == HELD:
                self.outbox.hold(exchange)
            if not self.due:
                self.watch()

    def receive_file(self):
        try:
            return receive_descriptor(self.files)
        except BlockingIOError:
            raise Gone from None

    def obey(self, order, exchange, payload):
        """Does what runner tells about a request that has begun."""
        if order == CREDIT:
            exchange.credit(amount.unpack(payload)[0])
        elif order == TEXT or order == BINARY:
            exchange.deliver(order == TEXT, payload)
        elif order == LEFT:
            exchange.leave(payload)
        elif order == SHOW or order == CANCEL:
            level = "error" if order == CANCEL else "warning"
            say(exchange.with_stack(payload.decode("utf-8", "replace")), level, exchange.ids)
            if order == CANCEL:
                exchange.give_up()
                self.loop.call_later(MOMENT, self.look_again, exchange)

    def look_again(self, exchange):
        """Says so if a request has not ended though it was cancelled."""
        if not exchange.is_over:
            exchange.say_it_goes_on("%g s after it was cancelled" % MOMENT)

    # The end of requests, and of this worker

    def allow_grace(self, exchange):
        """The client of a request has left. Its task may go on for some time, and as many may as requests with clients: of
        more, the one that has gone on longest is cancelled, since runner sends others in the place of all of them."""
        why = "%g s after its client has left, or was told to leave (runner.asgi.disconnect_grace)" % self.grace
        exchange.timer = self.loop.call_later(self.grace, exchange.expire, why)
        self.in_grace[exchange.number] = exchange
        if len(self.in_grace) > self.concurrency:
            why = "its client has left, as those of %d others have (runner.asgi.concurrency)" % self.concurrency
            next(iter(self.in_grace.values())).expire(why)

    def end_grace(self, exchange):
        exchange.timer.cancel()
        exchange.timer = None
        del self.in_grace[exchange.number]

    def leave(self):
        """Runner sends no more. All clients are gone, or their requests are answered."""
        if not self.is_leaving:
            self.mark_background()
            for exchange in list(self.running.values()):
                exchange.leave(b"")
            self.take_no_more()

    def abandon(self):
        """Runner tells this worker to leave, though requests have not ended: they are cancelled. What goes on nevertheless,
        such as a thread, does not hold up the end of lifespan. Runner itself has named those whose clients wait."""
        self.mark_background()
        self.is_abandoned = True
        for exchange in list(self.running.values()):
            if exchange in self.background:
                exchange.note("the time for it is over (runner.stop_timeout)")
            exchange.cancel()
        if not self.is_leaving:
            self.take_no_more()
        self.loop.call_later(LAST_MOMENT, self.give_up)

    def mark_background(self):
        """Takes note of the requests that no client waits for."""
        if self.background is None:
            self.background = {exchange for exchange in self.running.values() if not exchange.has_client()}

    def give_up(self):
        """Goes on to the end of lifespan, though requests have not ended."""
        if not self.over.done():
            for exchange in list(self.running.values()):
                exchange.say_it_goes_on("though it was cancelled, and ends with its worker")
            self.over.set_result(None)

    def take_no_more(self):
        self.is_leaving = True
        self.loop.remove_reader(self.socket.fileno())
        self.look_for_end()

    def look_for_end(self):
        if not self.running and not self.over.done():
            self.over.set_result(None)

    def is_whole(self):
        """Whether the lane's descriptors are still its own."""
        return all(is_still(*own) for own in self.own)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # runner has done it

    # How late the loop is

    def watch(self):
        """Has the pulse come, to see how late it is."""
        self.due = now() + int(PULSE * 1_000_000_000)
        self.loop.call_later(PULSE, self.beat)

    def beat(self):
        if Forks.is_foreign:
            os._exit(0)
        after = now()
        self.worst = max(self.worst, after - self.due)
        if not self.is_whole() and not self.is_leaving:
            say("it is replaced, because the application closed descriptors that are not its own")
            os._exit(1)
        if self.worst > LATE and after - self.reported > REPORT:
            self.outbox.put(0, LAG, amount.pack(min(self.worst // 1000, 0xFFFFFFFF)))
            self.reported, self.worst = after, 0
        if self.running:
            self.watch()
        else:
            self.due = 0


def scope_of(common):
    """What requests have in common, with a place for what they have not."""
    scheme, version, server, headers, tls = common
    return {
        "type": "http",
        "asgi": None,
        "http_version": version,
        "server": server,
        "client": None,
        "scheme": scheme,
        "method": None,
        "root_path": "",
        "path": "",
        "raw_path": b"",
        "query_string": b"",
        "headers": headers,
        "extensions": tls,
    }


def tls_extension(chain, name, version, suite):
    # A certificate that is not valid ends the handshake.
    return {
        "server_cert": None,
        "client_cert_chain": chain,
        "client_cert_name": name,
        "client_cert_error": None,
        "tls_version": version,
        "cipher_suite": suite,
    }


def subprotocols(headers):
    values = b",".join([value for name, value in headers if name == PROTOCOL])
    return [name.strip() for name in values.decode("latin-1").split(",") if name.strip()]
