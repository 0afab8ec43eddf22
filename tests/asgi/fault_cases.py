"""What an ASGI application does wrong, or without end, and what that costs others: nothing."""

import asyncio
import os
import re
import sys

import stand_in
from stand_in import (
    ACCEPT,
    ANSWER,
    BLOCK,
    DONE,
    END,
    HEAD,
    LEFT,
    SOURCES,
    START,
    Worker,
    body,
    start,
    turn,
)

log = sys.stderr
MANY = 1000  # far more messages than a client that has left may cost, and far fewer than a loop can make
GRACE = 0.2


def bound(name):
    """A bound of a head, as runner has it."""
    path = os.path.join(SOURCES, "..", "..", "protocol", "worker", "answer_head.rs")
    with open(path, encoding="utf-8") as file:
        return eval(re.search(r"\bconst %s: usize = ([0-9 *]+);" % name, file.read()).group(1))


def heads(opens, status):
    """Messages with a head as large as runner takes, and with larger ones; and the numbers of what is too much."""
    most = bound("HEAD_LIMIT")
    fields = bound("FIELDS_LIMIT")
    rest = most - len(b"%d\0a\0" % status)
    yield [(b"a", b"x" * rest)], None
    yield [(b"a", b"x" * (rest + 1))], "`headers` of `%s` has %d bytes, and %d are the most" % (opens, most + 1, most)
    yield [(b"a", b"x" * (1 << 20))], "and %d are the most" % most
    yield [(b"a", b"b")] * fields, None
    yield [(b"a", b"b")] * (fields + 1), "has %d fields, and %d are the most" % (fields + 1, fields)


def test_a_head_that_runner_would_refuse_is_an_error_of_the_application():
    cases = list(heads("http.response.start", 200))

    async def application(scope, receive, send):
        if scope["path"] == "/other":
            await send(START)
            return await send(body(b"other"))
        await send(start(headers=cases[int(scope["path"][1:])][0]))
        await send(body(b"x"))

    with Worker(application) as worker:
        for number, (headers, why) in enumerate(cases):
            request = worker.request("/%d" % number)
            first = worker.frame()
            assert first.number == request
            if why is None:
                assert first.headers == headers
                while first.kind != DONE:
                    first = worker.frame()
            else:
                assert (first.kind, first.status) == (ANSWER, b"500"), first
                worker.frames(DONE)
                assert "Traceback" in worker.logged(why)
            assert worker.answer("/other").body == b"other"


def test_the_same_holds_for_heads_of_web_sockets():
    accept, denial = "websocket.accept", "websocket.http.response.start"
    cases = [{"type": denial, "status": 401, "headers": headers, "why": why} for headers, why in heads(denial, 401)]
    accepted = list(heads(accept, 101))
    # The status line of an accepted one is longer by its words.
    words = len(b" Switching Protocols")
    accepted[0] = [(b"a", accepted[0][0][0][1][words:])], None
    accepted[1] = [(b"a", accepted[1][0][0][1][words:])], accepted[1][1]
    cases += [{"type": accept, "headers": headers, "why": why} for headers, why in accepted]
    cases.append({"type": accept, "subprotocol": "a" * (1 << 20), "why": "bytes, and"})
    cases.append({"type": accept, "subprotocol": "a", "headers": accepted[3][0], "why": "fields, and"})

    async def application(scope, receive, send):
        message = cases[int(scope["path"][1:])]
        await send(message)
        if message["type"] == denial:
            await send({"type": "websocket.http.response.body", "body": b"no"})

    with Worker(application) as worker:
        for number, message in enumerate(cases):
            request = worker.request("/%d" % number, web_socket=True)
            first = worker.frame()
            assert first.number == request
            if message["why"] is None:
                assert first.kind == ACCEPT or first.status == b"401", first
                while first.kind != DONE:
                    first = worker.frame()
            else:
                assert (first.kind, first.status) == (ANSWER, b"500"), first
                worker.frames(DONE)
                worker.logged("`headers` of `%s` has" % message["type"])
                worker.logged(message["why"])


def test_nothing_waits_for_room_that_can_never_be():
    class Loop:
        def call_soon(self, call):
            pass

    counters = [0] * 16
    counters[stand_in.AWAKE] = 1
    outbox = stand_in.load()["runner_asgi_outbox"]
    made = outbox.Outbox(Loop(), bytearray(1 << 20), counters, None, None, -1)
    for size, fits in ((outbox.LARGEST_FRAME, True), (outbox.LARGEST_FRAME, True), (outbox.LARGEST_FRAME + 1, False)):
        try:
            made.put(1, BLOCK, bytes(size))
        except AssertionError as error:
            assert not fits and str(error) == "a frame of %d bytes never fits the stream" % size
        else:
            assert fits


def test_an_exception_of_any_kind_is_a_500_and_the_worker_goes_on():
    kinds = [GeneratorExit, asyncio.CancelledError, KeyboardInterrupt, SystemExit, BaseException, StopAsyncIteration]

    async def application(scope, receive, send):
        if scope["path"] != "/well":
            raise kinds[int(scope["path"][1:])]("why")
        await send(START)
        await send(body(b"well"))

    with Worker(application) as worker:
        for number, kind in enumerate(kinds):
            assert worker.answer("/%d" % number).status == b"500", kind
            worker.logged("exception while answering GET /%d\nTraceback" % number)
            worker.logged("%s: why\n" % kind.__name__)
            worker.request("/%d" % number, web_socket=True)
            assert worker.frames(ANSWER, DONE)[0].status == b"500", kind
            assert worker.answer("/well").body == b"well"
        assert worker.leave()[0] == 0


def test_an_exception_of_any_kind_in_lifespan_is_none_of_the_worker():
    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            raise GeneratorExit
        await send(START)
        await send(body(b"well"))

    with Worker(application, lifespan="auto") as worker:
        assert worker.answer().body == b"well"
        assert "it raised GeneratorExit\n" in worker.leave()[1]


def costs_little(endless, kinds=(), web_socket=False):
    """An application that goes on after its client has left costs little, and others are served."""
    # On a machine that is busy just then it may be cancelled before it goes on.
    times = next(filter(None, (times_done(endless, kinds, web_socket) for _ in range(5))), 0)
    assert 0 < times < MANY, times


def times_done(endless, kinds, web_socket):
    """How often such an application goes on before it is cancelled."""

    async def application(scope, receive, send):
        if scope["path"] == "/other":
            await send(START)
            return await send(body(b"other"))
        await receive()
        counted = [0]
        try:
            await endless(receive, send, counted)
        finally:
            log.write("it has done it %d times.\n" % counted[0])

    with Worker(application, disconnect_grace=GRACE) as worker:
        number = worker.request("/endless", web_socket=web_socket)
        if kinds:
            worker.frames(*kinds)
        worker.send(LEFT, number, b"")
        others = [worker.request("/other") for _ in range(10)]
        # On a busy machine its time may be over before the others are answered.
        frames = [worker.frame() for _ in range(21)]
        assert sorted(frame.number for frame in frames if frame.kind == DONE) == [number, *others]
        assert [frame.body for frame in frames if frame.kind != DONE] == [b"other"] * 10
        return int(re.search(r"it has done it (\d+) times", worker.logged("times.\n")).group(1))


def test_sending_to_a_client_that_has_left_costs_little():
    async def http(receive, send, counted):
        await send(START)
        await send(body(b"x", True))
        assert (await receive())["type"] == "http.disconnect"
        while True:
            await send(body(b"x", True))
            counted[0] += 1

    async def accepted(receive, send, counted):
        await send({"type": "websocket.accept"})
        assert (await receive())["type"] == "websocket.disconnect"
        while True:
            try:
                await send({"type": "websocket.send", "text": "x"})
            except OSError:
                counted[0] += 1

    async def denied(receive, send, counted):
        await send({"type": "websocket.http.response.start", "status": 401})
        await send({"type": "websocket.http.response.body", "body": b"x", "more_body": True})
        assert (await receive())["type"] == "websocket.disconnect"
        while True:
            await send({"type": "websocket.http.response.body", "body": b"x", "more_body": True})
            counted[0] += 1

    costs_little(http, (HEAD, BLOCK))
    costs_little(accepted, (ACCEPT,), web_socket=True)
    costs_little(denied, (HEAD, BLOCK), web_socket=True)


def test_asking_for_ever_after_the_disconnect_costs_little():
    async def endless(receive, send, counted):
        while True:
            message = await receive()
            counted[0] += message["type"].endswith(".disconnect")

    costs_little(endless)
    costs_little(endless, web_socket=True)


def test_a_stream_of_small_parts_leaves_turns_to_other_tasks():
    async def application(scope, receive, send):
        turns = 0

        async def other():
            nonlocal turns
            while True:
                turns += 1
                await turn()

        task = asyncio.ensure_future(other())
        await send(start())
        for _ in range(320):
            await send(body(b".", True))
        task.cancel()
        await send(body(b"%d" % turns))

    with Worker(application) as worker:
        worker.request()
        parts = worker.frames(HEAD, *[BLOCK] * 321, END, DONE)[1:-2]
        assert int(parts[-1].body) >= 10, parts[-1]


def test_a_response_that_begins_when_the_application_has_returned_is_refused():
    async def application(scope, receive, send):
        if scope["path"] != "/late":
            return sends.append(send)
        try:
            await sends[0](START)
        except RuntimeError as error:
            await send(START)
            await send(body(str(error).encode()))

    sends = []
    with Worker(application) as worker:
        assert worker.answer().status == b"500"
        assert worker.answer("/late").body == b"`http.response.start` was sent, but the application has returned"


def test_parts_without_bytes_leave_time_for_others():
    async def application(scope, receive, send):
        await send(START)
        if scope["path"] == "/other":
            return await send(body(b"other"))
        while not others:
            await send(body(b"", True))
        await send(body(b"end"))

    async def first(scope, receive, send):
        await application(scope, receive, send)
        others.append(scope["path"])

    others = []
    with Worker(first) as worker:
        number = worker.request("/endless")
        assert worker.frames(HEAD).number == number
        assert worker.answer("/other").body == b"other"
        assert worker.frames(BLOCK).body == b"end"
