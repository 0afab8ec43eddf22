"""What an ASGI application does with a WebSocket, and which frames runner gets."""

import asyncio
import struct
import sys

from stand_in import (
    ACCEPT,
    ANSWER,
    BINARY,
    BLOCK,
    CANCEL,
    CLOSE,
    CREDIT,
    DONE,
    END,
    HEAD,
    LEFT,
    SEND_BINARY,
    SEND_CREDIT,
    SEND_TEXT,
    TEXT,
    TRUNCATED,
    Worker,
    amount,
    takes,
)

ACCEPTS = {"type": "websocket.accept"}
CLOSES = {"type": "websocket.close"}
WINDOW = 256 * 1024
OVERHEAD = 64
log = sys.stderr


def close_of(frame):
    return struct.unpack("<H", frame.body[:2])[0], frame.body[2:].decode()


def left(code, reason=""):
    return struct.pack("<H", code) + reason.encode()


def replay(messages):
    """An application that sends messages after it has received the first, and logs what it receives from then on."""

    async def application(scope, receive, send):
        assert await receive() == {"type": "websocket.connect"}
        for message in messages:
            await send(message)
        event = await receive()
        log.write("received %r\n" % sorted(event.items()))

    return application


async def echo(scope, receive, send):
    await receive()
    await send(ACCEPTS)
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            log.write("left %r %r\n" % (message["code"], message["reason"]))
            assert await receive() == message
            return
        message["type"] = "websocket.send"
        await send(message)


def test_a_scope_has_each_key_with_its_type():
    async def application(scope, receive, send):
        await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
        await send({"type": "websocket.http.response.body", "body": repr(sorted(scope.items())).encode()})

    headers = [(b"sec-websocket-protocol", b"a, b"), (b"x", b"y"), (b"sec-websocket-protocol", b"c")]
    with Worker(application) as worker:
        answer = worker.answer("/a", query=b"q", headers=headers, web_socket=True)
        got = dict(eval(answer.body))
        assert got == {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.5"},
            "http_version": "1.1",
            "server": ("example.org", 80),
            "client": ("127.0.0.1", 50000),
            "scheme": "ws",
            "root_path": "",
            "path": "/a",
            "raw_path": b"/a",
            "query_string": b"q",
            "headers": headers,
            "subprotocols": ["a", "b", "c"],
            "extensions": {"websocket.http.response": {}},
        }, got
        for slot in (1, 1):
            got = dict(eval(worker.answer(web_socket=True, scheme="https", slot=slot).body))
            assert (got["scheme"], got["subprotocols"]) == ("wss", []), got


def test_messages_go_both_ways_and_credit_comes_back():
    with Worker(echo) as worker:
        number = worker.request(web_socket=True)
        accept = worker.frames(ACCEPT)
        assert (accept.status, accept.headers) == (b"101 Switching Protocols", [])
        cost = 0
        for order, kind, payload in ((SEND_TEXT, TEXT, "\xe9\u20ac".encode()), (SEND_BINARY, BINARY, b"\0\xff"), (SEND_TEXT, TEXT, b"")):
            worker.send(order, number, payload)
            credit, message = worker.frames(CREDIT, kind)
            assert message.body == payload and message.flags == 0
            cost += len(payload) + OVERHEAD
            assert credit.body == amount(len(payload) + OVERHEAD)
        worker.send(LEFT, number, left(1001, "bye"))
        assert worker.frames(DONE).number == number
        worker.logged("left 1001 'bye'\n")


def test_accept_takes_a_subprotocol_and_headers():
    accept = {"type": "websocket.accept", "subprotocol": "a", "headers": [(b"set-cookie", b"x=y")]}
    with Worker(replay([accept])) as worker:
        worker.request(web_socket=True)
        frame = worker.frames(ACCEPT)
        assert frame.headers == [(b"set-cookie", b"x=y"), (b"sec-websocket-protocol", b"a")], frame
        worker.send(LEFT, 1, b"")
        worker.frames(DONE)
        worker.logged("received [('code', 1006), ('reason', ''), ('type', 'websocket.disconnect')]\n")


def test_a_message_is_what_it_is_by_key():
    async def application(scope, receive, send):
        await receive()
        await send(ACCEPTS)
        assert await receive() == {"type": "websocket.receive", "text": "a"}
        assert await receive() == {"type": "websocket.receive", "bytes": b"b"}
        await send({"type": "websocket.send", "text": None, "bytes": b""})
        await send({"type": "websocket.send", "text": "", "bytes": None})
        await send({"type": "websocket.send", "bytes": memoryview(b"view")})

    with Worker(application) as worker:
        number = worker.request(web_socket=True)
        worker.send(SEND_TEXT, number, b"a")
        worker.send(SEND_BINARY, number, b"b")
        frames = []
        while not frames or frames[-1].kind != DONE:
            frames.append(worker.frame())
        got = [(frame.kind, frame.body) for frame in frames if frame.kind != CREDIT]
        assert got[1:4] == [(BINARY, b""), (TEXT, b""), (BINARY, b"view")], frames
        assert frames[0].kind == ACCEPT
        assert sum(struct.unpack("<I", frame.body)[0] for frame in frames if frame.kind == CREDIT) == 130


def test_a_large_message_comes_in_parts():
    with Worker(echo) as worker:
        number = worker.request(web_socket=True)
        worker.frames(ACCEPT)
        payload = bytes(range(256)) * 12000
        worker.send(SEND_BINARY, number, payload)
        got, more = b"", 1
        worker.frames(CREDIT)
        while more:
            frame = worker.frames(BINARY)
            assert len(frame.body) <= 128 * 1024
            got, more = got + frame.body, frame.flags
        assert got == payload
        worker.send(LEFT, number, left(1000))
        worker.frames(DONE)


def test_credit_is_returned_in_batches_while_messages_wait():
    async def application(scope, receive, send):
        await receive()
        await send(ACCEPTS)
        while (await receive()).get("text") != "last":
            pass
        await send(CLOSES)

    with Worker(application) as worker:
        number = worker.request(web_socket=True)
        worker.frames(ACCEPT)
        cost, frames = 0, b""
        for size in [100] * 400 + [4]:
            payload = b"x" * size if size > 4 else b"last"
            frames += worker.frame_of(SEND_TEXT, number, payload)
            cost += size + OVERHEAD
        worker.socket.sendall(frames)
        returned = []
        while sum(returned) < cost:
            frame = worker.frames(CREDIT)
            returned.append(struct.unpack("<I", frame.body)[0])
        assert sum(returned) == cost
        assert len(returned) <= 10, returned
        worker.frames(CLOSE, DONE)


def test_send_waits_for_credit_and_raises_when_the_client_leaves():
    async def application(scope, receive, send):
        await receive()
        await send(ACCEPTS)
        try:
            while True:
                await send({"type": "websocket.send", "bytes": b"x" * 10000})
        except OSError as error:
            log.write("%s\n" % error)
            raise

    with Worker(application) as worker:
        number = worker.request(web_socket=True)
        worker.frames(ACCEPT)
        got = 0
        while got < WINDOW:
            got += len(worker.frames(BINARY).body) + OVERHEAD
        assert got < WINDOW + 10064
        worker.send(SEND_CREDIT, number, amount(20128))
        worker.frames(BINARY, BINARY)
        worker.until_read()
        assert worker.peek() is None
        worker.send(LEFT, number, left(1006))
        worker.frames(DONE)
        # Coming out again, it is nothing for the log.
        assert "exception" not in worker.logged("the client of the WebSocket has left\n")


def test_what_other_tasks_send_to_a_client_that_leaves_is_an_os_error():
    """Whatever the task of its own WebSocket does meanwhile: it may have returned, or raised an exception."""
    wanted = "the client of the WebSocket has left"
    room = {}

    async def application(scope, receive, send):
        await receive()
        await send(ACCEPTS)
        room[scope["path"]] = send
        if scope["path"] != "/speaks":
            assert (await receive())["type"] == "websocket.disconnect"
            if scope["path"] == "/raises":
                raise KeyError("why")
            return
        for to in ("/returns", "/raises"):
            await receive()
            for message in [{"type": "websocket.send", "bytes": b"x" * WINDOW}] * 2 + [{"type": "websocket.send", "text": "x"}, CLOSES]:
                try:
                    await room[to](message)
                except OSError as error:
                    log.write("%s %s: %s\n" % (to, message["type"], error))

    with Worker(application) as worker:
        for to in ("/returns", "/raises"):
            worker.request(to, web_socket=True)
            worker.frames(ACCEPT)
        speaks = worker.request("/speaks", web_socket=True)
        worker.frames(ACCEPT)
        for number, to in ((1, "/returns"), (2, "/raises")):
            worker.send(SEND_TEXT, speaks, b"now")
            worker.frames(CREDIT)
            more = 1
            while more:
                frame = worker.frames(BINARY)
                assert frame.number == number
                more = frame.flags
            worker.until_read()  # and nothing comes: the second message waits
            assert worker.peek() is None
            worker.send(LEFT, number, left(1006))
            assert worker.frames(DONE).number == number
            for kind in ("send", "send", "close"):
                worker.logged("%s websocket.%s: %s\n" % (to, kind, wanted))
        close, done = worker.frames(CLOSE, DONE)
        assert (done.number, close_of(close)) == (speaks, (1000, ""))


def test_a_message_that_waits_when_another_task_closes_is_an_os_error():
    async def application(scope, receive, send):
        async def speak():
            try:
                for _ in range(2):
                    await send({"type": "websocket.send", "bytes": b"x" * WINDOW})
            except OSError as error:
                log.write("%s\n" % error)

        await receive()
        await send(ACCEPTS)
        task = asyncio.ensure_future(speak())
        await receive()
        if scope["path"] == "/closes":
            await send(CLOSES)
            await task

    for path in ("/closes", "/returns"):
        with Worker(application) as worker:
            number = worker.request(path, web_socket=True)
            worker.frames(ACCEPT)
            while worker.frames(BINARY).flags:
                pass
            worker.send(SEND_TEXT, number, b"now")
            worker.frames(CREDIT, CLOSE, DONE)
            assert "exception" not in worker.logged("the WebSocket was closed before the message was sent\n")


def test_close_before_accept_is_a_403_and_the_disconnect_comes():
    with Worker(replay([CLOSES])) as worker:
        assert worker.answer(web_socket=True).status == b"403"
        worker.logged("received [('code', 1006), ('reason', ''), ('type', 'websocket.disconnect')]\n")


def test_a_close_before_accept_may_have_any_code_and_reason():
    # FastAPI gives what was wrong with the request as a list.
    for wrong in ({"reason": [{"loc": ["query", "token"]}]}, {"code": "x"}, {"code": 1006, "reason": "x" * 124}):
        with Worker(replay([{**CLOSES, **wrong}])) as worker:
            assert worker.answer(web_socket=True).status == b"403"
            worker.logged("received [('code', 1006), ('reason', ''), ('type', 'websocket.disconnect')]\n")


def test_close_after_accept_has_code_and_reason():
    close = {"type": "websocket.close", "code": 4000, "reason": "\xe9"}
    with Worker(replay([ACCEPTS, close])) as worker:
        worker.request(web_socket=True)
        frame = worker.frames(ACCEPT, CLOSE, DONE)[1]
        assert close_of(frame) == (4000, "\xe9")
        worker.logged("received [('code', 4000), ('reason', '\xe9'), ('type', 'websocket.disconnect')]\n")


def test_the_end_of_the_application_is_a_close_too():
    async def application(scope, receive, send):
        await receive()
        if "open" in scope["path"]:
            await send(ACCEPTS)
        if "raises" in scope["path"]:
            raise KeyError("why")

    with Worker(application) as worker:
        worker.request("/open", web_socket=True)
        assert close_of(worker.frames(ACCEPT, CLOSE, DONE)[1]) == (1000, "")
        worker.request("/open/raises", web_socket=True)
        assert close_of(worker.frames(ACCEPT, CLOSE, DONE)[1]) == (1011, "")
        worker.logged("exception while answering WebSocket /open/raises\n")
        assert worker.answer("/raises", web_socket=True).status == b"500"
        worker.logged("exception while answering WebSocket /raises\n")
        assert worker.answer("/", web_socket=True).status == b"500"
        worker.logged("WebSocket /: the application returned without the response")


def test_a_denial_response_has_any_status_and_several_bodies():
    start = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"a", b"b")]}
    body = {"type": "websocket.http.response.body", "body": b"no", "more_body": True}
    end = {"type": "websocket.http.response.body", "body": b"!"}
    with Worker(replay([start, body, end])) as worker:
        worker.request(web_socket=True)
        head, first, second, last, _ = worker.frames(HEAD, BLOCK, BLOCK, END, DONE)
        assert (head.status, head.headers) == (b"401", [(b"a", b"b")])
        assert (first.body, second.body, last.flags) == (b"no", b"!", 0)
        worker.logged("received [('code', 1006)")
    with Worker(replay([start, end])) as worker:
        assert worker.answer(web_socket=True).body == b"!"
    with Worker(replay([start, body, ACCEPTS])) as worker:
        worker.request(web_socket=True)
        assert worker.frames(HEAD, BLOCK, END, DONE)[2].flags == TRUNCATED
        worker.logged("`websocket.accept` was sent, but the WebSocket is refused with a response")


def test_wrong_messages_are_refused_where_they_are_sent():
    send = {"type": "websocket.send", "text": "x"}
    start = {"type": "websocket.http.response.start", "status": 401}
    end = {"type": "websocket.http.response.body"}
    cases = [
        ([send], "RuntimeError: `websocket.send` was sent, but the WebSocket is not accepted yet"),
        ([ACCEPTS, ACCEPTS], "RuntimeError: `websocket.accept` was sent, but the WebSocket is accepted already"),
        ([ACCEPTS, start], "RuntimeError: `websocket.http.response.start` was sent, but the WebSocket is accepted already"),
        ([ACCEPTS, CLOSES, send], "RuntimeError: `websocket.send` was sent, but the WebSocket is closed"),
        ([ACCEPTS, CLOSES, CLOSES], "RuntimeError: `websocket.close` was sent, but the WebSocket is closed"),
        ([CLOSES, ACCEPTS], "RuntimeError: `websocket.accept` was sent, but the WebSocket is closed"),
        ([start, CLOSES], "RuntimeError: `websocket.close` was sent, but the WebSocket is refused with a response"),
        ([{"type": "http.response.start"}], "ValueError: `http.response.start` is not a message that can be sent here"),
        ([{"type": 7}], "ValueError: `7` is not a message that can be sent here"),
        ([{}], "KeyError: 'the message lacks `type`: {}'"),
        ([ACCEPTS, {"type": "websocket.send"}], "must have `text` or `bytes`, but it has neither"),
        ([ACCEPTS, {"type": "websocket.send", "text": "", "bytes": b""}], "must have `text` or `bytes`, but it has both"),
        ([ACCEPTS, {"type": "websocket.send", "text": b"x"}], "TypeError: `text` of `websocket.send` must be a string"),
        ([ACCEPTS, {"type": "websocket.send", "bytes": "x"}], "TypeError: `bytes` of `websocket.send` must be bytes"),
        ([ACCEPTS, {"type": "websocket.send", "text": "\ud800"}], "UnicodeEncodeError"),
        ([{"type": "websocket.accept", "subprotocol": "a b"}], "ValueError: `subprotocol` of `websocket.accept`"),
        ([{"type": "websocket.accept", "subprotocol": b"a"}], "ValueError: `subprotocol` of `websocket.accept`"),
        ([{"type": "websocket.accept", "headers": [("a", "b")]}], "TypeError: each of the `headers` of `websocket.accept`"),
        ([{"type": "websocket.accept", "headers": [b"a"]}], "TypeError: each of the `headers` of `websocket.accept`"),
        ([{"type": "websocket.accept", "headers": 7}], "TypeError: `headers` of `websocket.accept` must be pairs of bytes"),
        ([{**start, "headers": [()]}], "TypeError: each of the `headers` of `websocket.http.response.start`"),
        ([{**start, "status": None}], "TypeError: `status` of `websocket.http.response.start`"),
        ([{**start, "status": 7}], "ValueError: `status` of `websocket.http.response.start`"),
        ([{"type": "websocket.http.response.start"}], "KeyError: '`websocket.http.response.start` lacks `status`'"),
        ([start, start], "RuntimeError: `websocket.http.response.start` was sent, but the response has begun already"),
        ([end], "`websocket.http.response.body` was sent, but `websocket.http.response.start` was not sent yet"),
        ([start, {**end, "body": "x"}], "TypeError: `body` of `websocket.http.response.body` must be bytes"),
        (
            [{"type": "websocket.accept", "headers": [(b"Sec-WebSocket-Protocol", b"a")]}],
            "ValueError: `sec-websocket-protocol` is set by `subprotocol` of `websocket.accept`, not by a header",
        ),
        ([ACCEPTS, {"type": "websocket.close", "code": "x"}], "TypeError: `code` of `websocket.close`"),
        ([ACCEPTS, {"type": "websocket.close", "code": 1005}], "must be one that can be sent (RFC 6455 §7.4), but is 1005"),
        ([ACCEPTS, {"type": "websocket.close", "code": 999}], "but is 999"),
        ([ACCEPTS, {"type": "websocket.close", "reason": b"x"}], "TypeError: `reason` of `websocket.close`"),
        ([ACCEPTS, {"type": "websocket.close", "reason": "\xe9" * 62}], "may have 123 bytes, but has 124"),
    ]

    async def application(scope, receive, send):
        for message in cases[int(scope["path"][1:])][0]:
            await send(message)

    with Worker(application) as worker:
        for number, (messages, wanted) in enumerate(cases):
            worker.request("/%d" % number, web_socket=True)
            first = worker.frame()
            if messages[0] is ACCEPTS:
                assert first.kind == ACCEPT, (messages, first)
                close, _ = worker.frames(CLOSE, DONE)
                assert close_of(close)[0] == (1000 if CLOSES in messages else 1011)
            else:
                assert first.kind == ANSWER, (messages, first)
                assert first.status == (b"403" if CLOSES is messages[0] else b"500"), (messages, first)
                worker.frames(DONE)
            worker.logged("exception while answering WebSocket /%d\n" % number)
            worker.logged(wanted)


def test_a_client_that_leaves_before_accept_is_no_error():
    async def application(scope, receive, send):
        assert (await receive())["type"] == "websocket.connect"
        message = await receive()
        assert message == {"type": "websocket.disconnect", "code": 1006, "reason": ""}, message
        await send(ACCEPTS)
        try:
            await send({"type": "websocket.send", "text": "x"})
        except OSError:
            log.write("as expected\n")
        await send(CLOSES)

    with Worker(application) as worker:
        number = worker.request(web_socket=True)
        worker.send(LEFT, number, b"")
        worker.frames(DONE)
        assert "exception" not in worker.logged("as expected\n")


def test_what_the_client_has_sent_before_it_left_is_received_first():
    async def application(scope, receive, send):
        await receive()
        await send(ACCEPTS)
        await takes(0.05)
        events = [await receive() for _ in range(3)]
        log.write("%r\n" % [event.get("text") or event["code"] for event in events])

    with Worker(application) as worker:
        number = worker.request(web_socket=True)
        frames = worker.frame_of(SEND_TEXT, number, b"a") + worker.frame_of(SEND_TEXT, number, b"b")
        worker.socket.sendall(frames + worker.frame_of(LEFT, number, left(1005)))
        while worker.frame().kind != DONE:
            pass
        worker.logged("['a', 'b', 1005]\n")


def test_accept_and_messages_may_come_from_another_task():
    async def application(scope, receive, send):
        async def speak():
            await send(ACCEPTS)
            await send({"type": "websocket.send", "text": "hello"})

        await receive()
        task = asyncio.ensure_future(speak())
        message = await receive()
        await task
        await send({"type": "websocket.send", "text": message["text"]})

    with Worker(application) as worker:
        number = worker.request(web_socket=True)
        worker.frames(ACCEPT, TEXT)
        worker.send(SEND_TEXT, number, b"back")
        frames = worker.frames(CREDIT, TEXT, CLOSE, DONE)
        assert frames[1].body == b"back"


def test_an_offer_that_is_not_answered_is_cancelled():
    async def application(scope, receive, send):
        await receive()
        assert (await receive())["type"] == "websocket.disconnect"
        await asyncio.Event().wait()

    with Worker(application) as worker:
        number = worker.request(web_socket=True)
        worker.send(CANCEL, number, b"this is too late")
        assert worker.frames(DONE).number == number
        assert "exception" not in worker.logged("this is too late. Stack (most recent call last):\n")
