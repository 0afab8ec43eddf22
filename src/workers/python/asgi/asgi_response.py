"""The response of an ASGI application: each message is checked where it is sent, and becomes frames.

Plain Python 3.8 and later, standard library only. The rules are those of the ASGI specification, `specs/www.rst`. Shared
by requests (asgi_http.py) and by WebSockets that are refused with a response (asgi_websocket.py).
"""

from struct import pack

from runner_asgi_loop import RUNNING, stacks_of, turn
from runner_asgi_message import as_bytes, encoded, split, wanted
from runner_asgi_outbox import ANSWER, DONE, END, HEAD, LAST
from runner_control import Forks
from runner_exchange import TRUNCATED, Gone, log_exception
from runner_json_lines import REQUEST, ids_in
from runner_kept import os, stat, thread, time
from runner_output import Form, named_in, say
from runner_resolve import described

NOTHING, HELD, BEGUN, COMPLETE = range(4)  # states: no head yet, one that is not sent yet, one that is sent, the end
LARGEST_WHOLE = 128 * 1024  # bytes of a response that is sent at once
LARGEST_BLOCK = 64 * 1024
WINDOW = 256 * 1024  # bytes that may be on their way, as in src/protocol/worker/frame.rs
LONGEST_SERVICE = 0xFFFFFFFF  # what the field for the service time holds, in nanoseconds
ENOUGH = 16  # messages to a client that has left: a body of 1 MiB in the pieces of 64 KiB that frameworks make of it
SHORTEST_PAUSE, LONGEST_PAUSE = 0.001, 1.0  # seconds; each pause of a request is twice as long as the one before
MOMENT = 1.0  # seconds that a task may take to end when it is cancelled
IN_A_ROW = 32  # messages that are sent before other tasks have a turn
OFTEN = 100  # times that an application is told at once that the client has left
LINES = {number: b"%d" % number for number in range(200, 1000)}
BODILESS = (204, 304)

now = time.perf_counter_ns
get_ident = thread.get_ident


class Response:
    """One request of a client and the response to it."""

    # What an exchange begins with; most end before they need more.
    state = NOTHING
    window = WINDOW
    head = None
    fields = sent = 0
    expected = None  # the length of the body, if the application has announced it and it is to be checked
    waiters = None  # futures
    task = None  # as soon as it waits
    timer = None  # of its grace, from when the client has left until the task is cancelled
    upload = None  # the file that the body of the request is in
    is_left = False  # the client has left, or is answered by runner: nothing more is sent
    is_cancelled = False  # by runner
    is_over = False  # the application's code has ended
    times_told = 0  # that the client has left
    unsent = 0  # messages, since then
    next_pause = SHORTEST_PAUSE
    is_passing = False  # a part of the body is on its way to the client
    is_torn = False  # not all of such a part was sent
    messages = 0  # with parts of the body
    place = end = None  # of a whole response in the outbox: its flags, and its end
    named = ""  # how the log names it beside method and target
    ids = None  # members that objects of the log have about it
    start_type = "http.response.start"
    body_type = "http.response.body"

    def __init__(self, lane, number, begin, method, target, content):
        self.lane = lane
        self.outbox = lane.outbox
        self.number = number
        self.begin = begin
        self.method = method
        self.target = target
        self.content = content  # the body of the request, until the application has taken it

    # The life of the application's code

    async def run(self, scope):
        """The task of the request."""
        RUNNING.set(self.number)
        if Form.marks_requests:
            self.ids = ids_in(scope)
            REQUEST.set(self.ids)
        try:
            result = await self.lane.application(scope, self.receive, self.send)
        except BaseException as error:
            self.named = named_in(scope)
            shows = self.lane.shows
            page = shows and self.state in (NOTHING, HELD) and shows(error, self.method, self.target, scope)
            scope = None
            self.failed(error, page)
        else:
            if result is not None or self.state != COMPLETE:
                self.named = named_in(scope)
            if result is not None:
                self.say("the application returned %s, which is ignored", described(result))
            if self.state != COMPLETE:
                self.returned()
        finally:
            self.close()  # whatever fails above, runner is not left waiting

    def failed(self, error, page=None):
        """The application raised an exception, of whatever kind: `SystemExit` and `KeyboardInterrupt` end the request as well,
        and not the worker, which has others. The page, if there is one, shows it."""
        if isinstance(error, GeneratorExit) and not self.lane.loop.is_running():
            raise error  # Python closes the coroutine of a task that the end of the loop has left
        if type(error) is Gone or Forks.is_foreign:
            os._exit(0)  # the application has forked this process, which is no worker
        is_ours = (self.is_cancelled or self.is_left) and isinstance(error, self.lane.cancelled_error)
        try:
            if not is_ours and not self.is_expected(error):
                log_exception(error, *self.request(), None)
        finally:
            self.break_off(is_ours, page)

    def returned(self):
        """The application returned before the end of its response."""
        if Forks.is_foreign:
            os._exit(0)
        if not self.is_left:
            what = "response" if self.state == NOTHING else "end of its response"
            self.say("the application returned without the %s", what)
            if self.lacks_nothing():
                self.outbox.put(self.number, END, b"", self.service())
                self.complete()
        self.break_off(False)

    def lacks_nothing(self):
        """Whether only the message with the end is missing: the client has, or gets, all that was announced to it."""
        if self.state == HELD:
            no_body = self.expected == 0 or self.method == "HEAD" or self.head[:3] in (b"204", b"304")
            if no_body:
                self.show_head(pack("<Q", 0))
            return no_body
        is_sent = self.expected is not None and self.sent == self.expected
        return self.state == BEGUN and is_sent and not self.is_passing and not self.is_torn

    def is_expected(self, _):
        """Whether an exception tells the application only what happens to clients."""
        return False

    def break_off(self, is_ours, page=None):
        """Ends a response that the application has not ended."""
        if self.state == COMPLETE or self.is_left:
            return
        if self.state == BEGUN:
            self.outbox.put(self.number, END, b"", self.service(), TRUNCATED)
            self.state = COMPLETE
        else:
            self.answer(b"503 Service Unavailable" if is_ours else b"500 Internal Server Error", page)

    def answer(self, line, page=None):
        """Answers in place of the application."""
        body = line + b"\n"
        fields = [b"content-type", b"text/plain; charset=utf-8", b"content-length", b"%d" % len(body)]
        if page:
            fields, body = page
        head = b"\0".join([line[:3], *fields])
        self.outbox.put(self.number, ANSWER, head + body, self.service(), 0, len(fields) // 2, len(head))
        self.state = COMPLETE

    def close(self):
        """The application's code has ended."""
        if Forks.is_foreign:
            os._exit(0)  # the application has forked this process, which is no worker
        self.is_over = True
        self.state = COMPLETE
        self.task = self.content = None
        if self.timer is not None:
            self.lane.end_grace(self)
        if self.upload is not None:
            self.close_upload()
        if self.waiters:
            self.wake()
        lane = self.lane
        del lane.running[self.number]
        outbox = self.outbox
        if self.place is not None and self.end == outbox.end and outbox.shown < self.end:
            outbox.area[self.place] = LAST  # runner cannot have read the answer yet
            outbox.secure()
        else:
            outbox.put(self.number, DONE, b"")
        if lane.is_leaving:
            lane.look_for_end()

    def close_upload(self):
        upload, self.upload = self.upload, None
        upload.close()

    def cancel(self):
        self.is_cancelled = True
        if self.timer is not None:
            self.lane.end_grace(self)
        if self.task is not None:
            self.task.cancel()

    def expire(self, why):
        """It has had the time to end by itself. Who allows none (0) need not read that there was none."""
        if self.lane.grace:
            self.note(why, "info")
        self.cancel()
        self.lane.loop.call_later(MOMENT, self.lane.look_again, self)

    def leave(self, _):
        """The client has left. The application is told, and has some time to end by itself."""
        if self.state == COMPLETE or self.is_left:
            return
        self.is_left = True
        self.lane.allow_grace(self)
        if self.waiters:
            self.wake()

    def give_up(self):
        """Runner has answered in place of the application, which is cancelled."""
        self.is_left = True
        if self.waiters:
            self.wake()
        self.cancel()

    # Waiting

    async def wait(self):
        """Waits until something has changed."""
        future = self.lane.loop.create_future()
        if self.waiters is None:
            self.waiters = [future]
        else:
            self.waiters.append(future)
        try:
            await future
        finally:
            self.waiters.remove(future)

    async def send_in_vain(self):
        """Called for a message to a client that has left. A response that is ready is sent to its end, as if the client were
        there, and the application goes on with what follows it. An application that sends on would never end by itself: the
        message raises the exception that cancels a task. It ends whichever task is sending, with its `finally` clauses, is
        caught by no `except Exception`, and frameworks take it for what it is. An `OSError` they would log, as one that a
        server of version 2.3 does not raise. A task of another request goes on, and gets that."""
        if self.unsent >= ENOUGH and RUNNING.get(None) != self.number:
            await turn()
            raise OSError("the client has left")
        await self.slow_down()
        if self.unsent > ENOUGH:
            raise self.lane.cancelled_error("the client has left")

    async def slow_down(self):
        """Takes a turn of the loop for a message to a client that has left. An application that sends on, whatever exception
        it gets, gets slower and slower."""
        self.unsent += 1
        if self.unsent <= ENOUGH + 1:
            await turn()
        else:
            await self.pause()

    async def pause(self):
        """Does nothing for a while, in which the loop is free for others."""
        future = self.lane.loop.create_future()
        timer = self.lane.loop.call_later(self.next_pause, settle, future)
        self.next_pause = min(2 * self.next_pause, LONGEST_PAUSE)
        try:
            await future
        finally:
            timer.cancel()

    async def told(self):
        """Called when the application is told that the client has left. It may not suspend, since frameworks look at this in
        a scope that is cancelled. But an application that asks for ever must not keep the loop from others."""
        self.times_told += 1
        if self.times_told > OFTEN:
            await self.pause()

    def wake(self):
        for future in self.waiters:
            if not future.done():
                future.set_result(None)

    def credit(self, amount):
        """The client has taken so many bytes."""
        self.window += amount
        if self.waiters:
            self.wake()

    # Messages of the application

    def start(self, message):
        if self.state != NOTHING:
            if self.is_over:
                raise self.untimely(self.start_type)
            raise RuntimeError("`%s` was sent, but the response has begun already" % self.start_type)
        status = wanted(message, "status")
        if not isinstance(status, int):
            raise TypeError("`status` of `%s` must be an integer, but is %s" % (self.start_type, described(status)))
        line = LINES.get(status)
        if line is None:
            raise ValueError("`status` of `%s` must be from 200 to 999, but is %d" % (self.start_type, status))
        head, fields, length = encoded(self.start_type, line, message.get("headers", ()))
        if length is not None and self.method != "HEAD" and status not in BODILESS:
            self.expected = length
        self.head = head
        self.fields = fields
        self.state = HELD
        if self.task is not None:
            self.outbox.hold(self)  # else runner's code looks at it when the task waits for the first time

    def body(self, message):
        state = self.state
        if state != HELD and state != BEGUN:
            raise self.untimely(self.body_type)
        body = message.get("body", b"")
        if type(body) is not bytes:
            body = as_bytes(body, "`body` of `%s`" % self.body_type)
        more = message.get("more_body", False)
        is_whole = state == HELD and not more
        if self.expected is not None and not (is_whole and len(body) == self.expected):
            self.count(len(body), more)
        if is_whole:
            head = self.head
            if len(head) + len(body) <= LARGEST_WHOLE:
                outbox = self.outbox
                service = now() - self.begin
                if service > LONGEST_SERVICE:
                    service = LONGEST_SERVICE
                self.place = outbox.put(self.number, ANSWER, head + body, service, 0, self.fields, len(head))
                self.end = outbox.end
                self.state = COMPLETE
                self.head = None
                if self.waiters:
                    self.wake()
                return outbox.until_room() if outbox.queue else None
        return self.pass_on(body, more)

    def count(self, length, more):
        sent = self.sent + length
        if sent > self.expected:
            raise RuntimeError("the body has more than the %d bytes of its Content-Length" % self.expected)
        if sent < self.expected and not more:
            text = "the body ends after %d bytes, but its Content-Length is %d"
            raise RuntimeError(text % (sent, self.expected))
        self.sent = sent

    async def pass_on(self, body, more):
        """Sends a part of a body as the client takes it. What other tasks send meanwhile comes behind it."""
        outbox = self.outbox
        while self.is_passing:
            await self.wait()
        if self.is_left or self.is_over:
            return  # as what is being sent, it began before the end
        if self.is_torn:
            text = "`%s` was sent, but the body has a gap: an earlier `send` was cancelled while the client took its part"
            raise RuntimeError(text % self.body_type)
        if self.state == COMPLETE:
            raise self.untimely(self.body_type)
        if self.state == HELD:
            self.show_head(b"" if more else pack("<Q", len(body)))
        parts = [body] if 0 < len(body) <= LARGEST_BLOCK else split(body, LARGEST_BLOCK)
        passed = 0
        self.is_passing = True
        try:
            for part in parts:
                while self.window <= 0 or outbox.queue:
                    await (outbox.until_room() if outbox.queue else self.wait())
                    if self.is_left or self.state != BEGUN:
                        return
                self.window -= len(part)
                outbox.put_block(self.number, part)
                passed += 1
        except BaseException:
            # Without any of its parts, the message is as if it had not been sent.
            self.is_torn = passed > 0
            if not passed and self.expected is not None:
                self.sent -= len(body)
            raise
        finally:
            self.is_passing = False
            if self.waiters:
                self.wake()
        if not more:
            outbox.put(self.number, END, b"", self.service())
            self.complete()
        if outbox.queue:
            await outbox.until_room()
        elif more:
            self.messages += 1
            if not parts or not self.messages % IN_A_ROW:
                await turn()  # what has credit, or takes none, must not keep the loop from others

    def is_held(self):
        """Whether there is a head that is not sent yet."""
        return self.state == HELD and not self.is_left

    def show_head(self, behind=b""):
        """Sends the head, before its body."""
        self.outbox.put(self.number, HEAD, self.head + behind, 0, 0, self.fields, len(self.head))
        self.head = None
        self.state = BEGUN

    def file(self, message):
        """Sends a file as the body (`http.response.pathsend`). An error is the application's before anything is sent."""
        if self.state != HELD:
            raise self.untimely("http.response.pathsend")
        path = wanted(message, "path")
        if not isinstance(path, str):
            raise TypeError("`path` of `http.response.pathsend` must be a string, but is %s" % described(path))
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
        try:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise OSError("`%s` cannot be sent: it is no regular file" % path)
            if self.expected is not None and self.expected > about.st_size:
                text = "`%s` has %d bytes, but its Content-Length is %d"
                raise RuntimeError(text % (path, about.st_size, self.expected))
        except BaseException:
            os.close(descriptor)
            raise
        head = self.head
        payload = head + pack("<QQ", 0, about.st_size)
        self.outbox.put_file(descriptor, self.number, payload, self.service(), self.fields, len(head))
        self.complete()
        return self.outbox.until_room() if self.outbox.queue else None

    def complete(self):
        self.state = COMPLETE
        self.head = None
        if self.waiters:
            self.wake()

    def untimely(self, kind):
        """An exception: a message at the wrong time."""
        if self.state == NOTHING:
            why = "`%s` was not sent yet" % self.start_type
        elif self.is_over:
            why = "the application has returned"
        else:
            why = "the response %s" % ("is complete" if self.state == COMPLETE else "has a part of its body already")
        return RuntimeError("`%s` was sent, but %s" % (kind, why))

    # About the request

    def request(self):
        return self.method, self.target.decode("latin-1") + self.named

    def service(self):
        """The time since the request has begun."""
        return min(now() - self.begin, LONGEST_SERVICE)

    def with_stack(self, heading):
        """A line of the log, and the stack of the request below it, as runner shows that of a thread."""
        stack = stacks_of(self.task, self.number) if self.task is not None else ""
        return "%s. Stack (most recent call last):\n%s" % (heading, stack) if stack else heading

    def has_client(self):
        """Whether a client waits for what it is to get."""
        return self.state != COMPLETE and not self.is_left

    def note(self, why, level="warning"):
        """Says that the request is cancelled, and why."""
        what = "the background work of " if self.state == COMPLETE and not self.is_left else ""
        self.lane.notes.say(lambda: "%s%s %s is cancelled: %s" % (what, *self.request(), why), level, self)

    def say_it_goes_on(self, what):
        """Says that the request has not ended though it was cancelled."""
        self.lane.notes.say(lambda: self.with_stack("%s %s goes on %s" % (*self.request(), what)), "error", self)

    def say(self, text, *details):
        say("%s %s: " % self.request() + text % details)

    def check_thread(self):
        if get_ident() != self.lane.thread:
            raise RuntimeError("`receive` and `send` were called in another thread than that of the event loop")


def settle(future):
    if not future.done():
        future.set_result(None)
