"""What an ASGI application does with a request over HTTP, and which frames runner gets."""

import asyncio
import sys
import tempfile

from stand_in import (
    ANSWER,
    BLOCK,
    DONE,
    END,
    HEAD,
    LEFT,
    SEND_CREDIT,
    START,
    TRUNCATED,
    Mark,
    Worker,
    amount,
    body,
    says,
    start,
    turn,
)

HEADERS = [(b"content-type", b"text/plain")]
log = sys.stderr
FAILURE = b"500 Internal Server Error\n"
FIELD = "each of the `headers` of `http.response.start` must be a pair of bytes, but one is"


def test_a_scope_has_each_key_with_its_type():
    headers = [(b"host", b"example.org"), (b"x", b"1"), (b"x", b"2")]
    with Worker(says(lambda scope: sorted(scope.items()))) as worker:
        answer = worker.answer("/a/\xe9", query=b"b=%20", root_path="/a", headers=headers, method="PUT", length=b"0")
        got = dict(eval(answer.body))
        assert got == {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("example.org", 80),
            "client": ("127.0.0.1", 50000),
            "scheme": "http",
            "method": "PUT",
            "root_path": "/a",
            "path": "/a/\xe9",
            "raw_path": b"/a/\xe9",
            "query_string": b"b=%20",
            "headers": headers + [(b"content-length", b"0")],
            "extensions": {"http.response.pathsend": {}},
        }, got
        other = dict(eval(worker.answer(version="1.0", scheme="https", server=("/run/x", None), client=None).body))
        wanted = {"http_version": "1.0", "scheme": "https", "server": ("/run/x", None), "client": None}
        assert {key: other[key] for key in wanted} == wanted, other


def test_requests_share_nothing_of_their_scopes():
    def spoil(scope):
        seen = repr(scope)
        scope["state"]["leak"] = scope["asgi"]["leak"] = scope["extensions"]["leak"] = scope["leak"] = 1
        scope["extensions"]["http.response.pathsend"]["leak"] = 1
        scope["headers"].append((b"leak", b"1"))
        scope["state"]["shared"].append(1)
        return seen

    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["shared"] = []
            await send({"type": "lifespan.startup.complete"})
            return
        await send(START)
        await send(body(spoil(scope).encode()))

    with Worker(application, lifespan="on") as worker:
        for number in range(4):
            answer = worker.answer(slot=7, headers=[(b"a", b"b")])
            assert b"leak" not in answer.body, answer.body
            # The copy is shallow.
            assert (b"'shared': [%s]" % b", ".join([b"1"] * number)) in answer.body, answer.body


def test_a_head_that_was_kept_serves_other_requests_even_if_the_first_was_taken_back():
    with Worker(says(lambda scope: (scope["path"], scope["headers"]))) as worker:
        frame = worker.made("/dropped", slot=3, headers=[(b"a", b"b")])
        worker.socket.sendall(frame)  # without a token
        answer = worker.answer("/known", slot=3)
        assert answer.body == b"('/known', [(b'a', b'b')])", answer.body


def test_a_whole_answer_is_one_frame_and_the_end_another():
    async def application(scope, receive, send):
        assert await receive() == {"type": "http.request", "body": b"sent", "more_body": False}
        await send(start(201, [(b"a", b"1"), [b"A", bytearray(b"2")]]))
        await send({"type": "http.response.body", "body": b"x" * 1000})

    with Worker(application) as worker:
        answer = worker.answer(body=b"sent", method="POST")
        assert (answer.status, answer.headers) == (b"201", [(b"a", b"1"), (b"A", b"2")])
        assert answer.body == b"x" * 1000


def test_an_answer_without_headers_and_body():
    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    with Worker(application) as worker:
        answer = worker.answer()
        assert (answer.status, answer.headers, answer.body) == (b"204", [], b"")


def test_parts_of_a_body_are_frames_and_large_ones_are_divided():
    async def application(scope, receive, send):
        await send(START)
        if scope["path"] == "/parts":
            await send(body(b"a", True))
            await send(body(b"", True))
            await send(body(b"b" * 100000, True))
            await send(body(b"c"))
        else:
            await send(body(memoryview(b"d" * 140000)))

    with Worker(application) as worker:
        worker.request("/parts")
        head, *blocks, end, _ = worker.frames(HEAD, BLOCK, BLOCK, BLOCK, BLOCK, END, DONE)
        assert head.headers == HEADERS and head.body == b"", head
        assert [block.body for block in blocks] == [b"a", b"b" * 65536, b"b" * 34464, b"c"]
        assert end.flags == 0
        worker.request("/whole")
        head, *blocks, end, _ = worker.frames(HEAD, BLOCK, BLOCK, BLOCK, END, DONE)
        assert head.body == (140000).to_bytes(8, "little"), head  # its length is known
        assert b"".join(block.body for block in blocks) == b"d" * 140000


def test_large_blocks_are_in_slots_as_long_as_some_are_free():
    size = 64 * 1024

    async def application(scope, receive, send):
        await send(START)
        for number in range(8):
            await send(body(bytes([number]) * size, True))
        await send(body(b"small"))

    with Worker(application) as worker:

        def blocks(count):
            found = [worker.frames(BLOCK) for _ in range(count)]
            return [(block.slot, block.body[:1], len(block.body)) for block in found]

        worker.keeps_slots = True
        numbers = []
        for first in (0, 4, 8, 12):
            numbers.append(worker.request())
            worker.frames(HEAD)
            assert blocks(4) == [(first + number, bytes([number]), size) for number in range(4)]
        numbers.append(worker.request())
        worker.frames(HEAD)
        assert blocks(4) == [(None, bytes([number]), size) for number in range(4)]
        # In whatever order they come back.
        worker.give_back(7)
        worker.give_back(2)
        for number, slots in zip(reversed(numbers), ([2, 7, None, None], *[[None] * 4] * 4)):
            worker.send(SEND_CREDIT, number, amount(256 * 1024 + 1))
            assert [slot for slot, _, _ in blocks(4)] == slots
            assert worker.frames(BLOCK).body == b"small"
            worker.frames(END, DONE)


def test_a_head_waits_for_the_body_but_not_for_long():
    async def application(scope, receive, send):
        await send(START)
        if scope["path"] == "/fails":
            raise KeyError("after the start")
        await asyncio.Event().wait() if scope["path"] == "/waits" else None
        await send(body(b"x"))

    with Worker(application, disconnect_grace=0) as worker:
        number = worker.request("/waits")
        assert worker.frames(HEAD).headers == HEADERS
        worker.send(LEFT, number, b"")
        worker.frames(DONE)
        # What is not sent yet can still become a 500.
        answer = worker.answer("/fails")
        assert (answer.status, answer.body) == (b"500", FAILURE)
        assert "KeyError: 'after the start'" in worker.logged("KeyError")


def test_a_body_that_is_a_file_comes_in_pieces():
    async def application(scope, receive, send):
        pieces = []
        while True:
            message = await receive()
            pieces.append((len(message["body"]), message["more_body"]))
            if not message["more_body"]:
                break
        await send(START)
        await send(body(repr(pieces).encode()))

    with Worker(application) as worker, tempfile.TemporaryFile() as file:
        file.write(b"x" * 150000)
        file.flush()
        answer = worker.answer(method="POST", file=file.fileno(), length=b"150000")
        assert answer.body == b"[(65536, True), (65536, True), (18928, False)]", answer.body


def test_a_disconnect_is_told_also_before_the_body_is_read():
    async def application(scope, receive, send):
        await send(START)
        await send(body(b"first", True))
        if scope["path"] == "/read":
            assert (await receive())["body"] == b"unread"
            print((await receive())["type"], file=log)
        else:
            await left.wait()
            print((await receive())["type"], (await receive())["type"], file=log)

    left = Mark()
    with Worker(application) as worker:
        for path, wanted in (("/read", "http.disconnect\n"), ("/", "http.disconnect http.disconnect\n")):
            left.unset()
            number = worker.request(path, body=b"unread")
            worker.frames(HEAD, BLOCK)
            worker.send(LEFT, number, b"")
            worker.until_read()
            left.set()
            assert worker.frames(DONE).number == number
            worker.logged(wanted)


def test_after_a_response_receive_gives_the_disconnect_each_time():
    async def application(scope, receive, send):
        waiting = asyncio.ensure_future(receive_all(receive))
        await turn()
        await send(START)
        await send(body(b"x"))
        assert await receive() == {"type": "http.disconnect"}
        assert await receive() == {"type": "http.disconnect"}
        assert (await waiting)["type"] == "http.disconnect"
        raise KeyError("seen all")

    async def receive_all(receive):
        await receive()
        return await receive()

    with Worker(application) as worker:
        worker.answer()
        worker.logged("KeyError: 'seen all'")


def test_receive_does_not_suspend_if_there_is_a_message():
    async def application(scope, receive, send):
        for wanted in ("http.request", None):
            waits = receive()
            try:
                waits.send(None)
            except StopIteration as stop:
                assert stop.value["type"] == wanted
            else:
                assert wanted is None
                waits.close()
        await send(START)
        await send(body(b"fine"))

    with Worker(application) as worker:
        assert worker.answer().body == b"fine"


def test_receive_lets_a_cancellation_out_and_can_be_called_again():
    async def application(scope, receive, send):
        await receive()
        for _ in range(3):
            try:
                await asyncio.wait_for(receive(), 0.001)
            except asyncio.TimeoutError:
                pass
            else:
                raise AssertionError("there is no message")
        task = asyncio.ensure_future(receive())
        await turn()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            await send(START)
            await send(body(b"cancelled"))

    with Worker(application) as worker:
        assert worker.answer().body == b"cancelled"


def test_wrong_messages_are_refused_where_they_are_sent():
    cases = [
        ([body(b"x")], "RuntimeError: `http.response.body` was sent, but `http.response.start` was not sent yet"),
        ([START, START], "RuntimeError: `http.response.start` was sent, but the response has begun already"),
        ([START, body(b"x"), body(b"y")], "RuntimeError: `http.response.body` was sent, but the response is complete"),
        ([START, body(b"x"), START], "RuntimeError: `http.response.start` was sent, but the response has begun already"),
        ([{"type": "http.response.push"}], "ValueError: `http.response.push` is not a message that can be sent here"),
        ([{"type": "websocket.send"}], "ValueError: `websocket.send` is not a message that can be sent here"),
        ([{"status": 200}], "KeyError: \"the message lacks `type`: {'status': 200}\""),
        (["text"], "TypeError: a message must be a dict, but this is a str"),
        ([None], "TypeError: a message must be a dict, but this is a NoneType"),
        ([{"type": "http.response.start"}], "KeyError: '`http.response.start` lacks `status`'"),
        ([start("200")], "TypeError: `status` of `http.response.start` must be an integer, but is a str"),
        ([start(100)], "ValueError: `status` of `http.response.start` must be from 200 to 999, but is 100"),
        ([start(headers=[("a", "b")])], "TypeError: " + FIELD + " ('a', 'b')"),
        ([start(headers=[(b"a", "b")])], "TypeError: " + FIELD + " (b'a', 'b')"),
        ([start(headers=[(b"a", 1)])], "TypeError: " + FIELD + " (b'a', 1)"),
        ([start(headers=[b"a"])], "TypeError: " + FIELD + " b'a'"),
        ([start(headers=[b"ab"])], "TypeError: " + FIELD + " b'ab'"),
        ([start(headers=[(b"a", b"b"), (b"c",)])], "TypeError: " + FIELD + " (b'c',)"),
        ([start(headers=[(b"a", b"b", b"c")])], "TypeError: " + FIELD + " (b'a', b'b', b'c')"),
        ([start(headers=(field for field in [(b"a", None)]))], "TypeError: " + FIELD + " (b'a', None)"),
        ([start(headers=[(bytearray(b"a"), b"b")])], "TypeError: " + FIELD + " (bytearray(b'a'), b'b')"),
        ([start(headers=[None])], "TypeError: " + FIELD + " None"),
        ([start(headers={b"a": b"b"})], "TypeError: " + FIELD + " b'a'"),
        ([start(headers="a: b")], "TypeError: " + FIELD + " 'a'"),
        ([start(headers=7)], "TypeError: `headers` of `http.response.start` must be pairs of bytes, but are an int"),
        ([start(headers=None)], "TypeError: `headers` of `http.response.start` must be pairs of bytes, but are a"),
        ([start(headers=[(b"a b", b"c")])], "ValueError: b'a b' is not a header name"),
        ([start(headers=[(b"", b"c")])], "ValueError: b'' is not a header name"),
        ([start(headers=[(b"a", b"b\r\nc: d")])], "ValueError: the value of the header `a` contains a line break"),
        ([start(headers=[(b"a", b"b\0c")])], "ValueError: the value of the header `a` contains a line break or a zero"),
        ([start(headers=[(b"Content-Length", b"x")])], "ValueError: `Content-Length` must be a number, but is b'x'"),
        ([start(headers=[(b"content-length", b"1"), (b"content-length", b"2")])], "`Content-Length` is both 1 and 2"),
        ([START, body("text")], "TypeError: `body` of `http.response.body` must be bytes, but is a str"),
        ([START, body(None)], "TypeError: `body` of `http.response.body` must be bytes, but is a NoneType"),
        ([START, {"type": "http.response.pathsend"}], "KeyError: '`http.response.pathsend` lacks `path`'"),
        ([START, {"type": "http.response.pathsend", "path": b"/"}], "TypeError: `path` of `http.response.pathsend`"),
        ([START, {"type": "http.response.pathsend", "path": "/nowhere"}], "FileNotFoundError"),
        ([START, {"type": "http.response.pathsend", "path": "/dev/null"}], "OSError: `/dev/null` cannot be sent"),
    ]

    async def application(scope, receive, send):
        for message in cases[int(scope["path"][1:])][0]:
            await send(message)

    with Worker(application) as worker:
        for number, (messages, wanted) in enumerate(cases):
            answer = worker.answer("/%d" % number)
            is_complete = body(b"x") in messages[1:]
            assert answer.status == (b"200" if is_complete else b"500"), (messages, answer)
            log = worker.logged("exception while answering GET /%d\n" % number)
            worker.logged(wanted)
            assert "Traceback" in log


def test_an_application_may_go_on_after_a_message_was_refused():
    async def application(scope, receive, send):
        try:
            await send(body(b"too early"))
        except RuntimeError:
            await send(START)
        try:
            await send(body("text"))
        except TypeError:
            await send(body(b"fine"))

    with Worker(application) as worker:
        assert worker.answer().body == b"fine"


def test_a_return_after_all_that_was_announced_breaks_nothing_off():
    async def application(scope, receive, send):
        headers = [(b"content-length", scope["query_string"])] if scope["query_string"] else []
        await send(start(int(scope["path"][1:]), headers))
        if scope["query_string"] == b"4":
            await send(body(b"four", True))

    with Worker(application) as worker:
        for method, path, query in [
            ("GET", "/200", b"0"),
            ("GET", "/200", b"4"),
            ("GET", "/204", b""),
            ("GET", "/304", b"9"),
            ("HEAD", "/200", b"9"),
        ]:
            worker.request(path, method=method, query=query)
            kinds = (HEAD, BLOCK, END, DONE) if query == b"4" else (HEAD, END, DONE)
            end = worker.frames(*kinds)[-2]
            assert end.flags == 0, (method, path, query)
            worker.logged("%s %s" % (method, path))
        assert worker.log.decode().count("the application returned without the end of its response") == 5
        # Less than was announced, or nobody knows how much.
        for query in (b"9", b""):
            assert worker.answer("/200", query=query).status == b"500"


def test_exceptions_and_returns_before_and_after_the_head():
    class Odd(BaseException):
        pass

    async def application(scope, receive, send):
        if "begun" in scope["path"]:
            await send(START)
            await send(body(b"part", True))
        if "raises" in scope["path"]:
            raise {"a": KeyError, "b": SystemExit, "c": Odd, "d": asyncio.CancelledError}[scope["path"][-1]]("why")

    with Worker(application) as worker:
        for name in "abcd":
            assert worker.answer("/raises/%s" % name, query=b"q=1").status == b"500"
            worker.logged("exception while answering GET /raises/%s?q=1\n" % name)
            worker.request("/begun/raises/%s" % name)
            end = worker.frames(HEAD, BLOCK, END, DONE)[2]
            assert end.flags == TRUNCATED
            worker.logged("exception while answering GET /begun/raises/%s\n" % name)
        for name in ("KeyError: 'why'", "SystemExit: why", "Odd: why", "CancelledError"):
            assert name in worker.log.decode()
        assert worker.answer("/nothing").status == b"500"
        worker.logged("GET /nothing: the application returned without the response")
        worker.request("/begun")
        assert worker.frames(HEAD, BLOCK, END, DONE)[2].flags == TRUNCATED
        worker.logged("GET /begun: the application returned without the end of its response")


def test_a_result_is_ignored_and_an_application_that_is_no_coroutine_fails():
    async def result(scope, receive, send):
        await send(START)
        await send(body(b"x"))
        return 7

    def plain(scope, receive, send):
        return result(scope, receive, send)

    with Worker(plain) as worker:
        assert worker.answer("/result").body == b"x"
        worker.logged("GET /result: the application returned an int, which is ignored")
    with Worker(lambda scope, receive, send: None) as worker:
        assert worker.answer().status == b"500"
        worker.logged("TypeError: object NoneType can't be used in 'await' expression")


def test_content_length_and_body_have_to_agree():
    def of(length, *parts):
        headers = [(b"Content-Length", b"%d" % length), (b"content-length", b"%d" % length)]
        return [start(headers=headers), *(body(part, True) for part in parts[:-1]), body(parts[-1])]

    cases = [
        ("GET", of(3, b"abc"), None),
        ("GET", of(3, b"a", b"bc"), None),
        ("GET", of(3, b"abcd"), "the body has more than the 3 bytes of its Content-Length"),
        ("GET", of(3, b"ab", b"cd"), "the body has more than the 3 bytes of its Content-Length"),
        ("GET", of(3, b"ab"), "the body ends after 2 bytes, but its Content-Length is 3"),
        ("GET", of(3, b"a", b"b"), "the body ends after 2 bytes, but its Content-Length is 3"),
        ("HEAD", of(3, b""), None),
        ("GET", [start(304, [(b"content-length", b"7")]), body(b"")], None),
    ]

    async def application(scope, receive, send):
        for message in cases[int(scope["path"][1:])][1]:
            await send(message)

    with Worker(application) as worker:
        for number, (method, messages, why) in enumerate(cases):
            worker.request("/%d" % number, method=method)
            first = worker.frame()
            is_whole = len(messages) == 2
            assert first.kind == (ANSWER if is_whole else HEAD), first
            lengths = [value for name, value in first.headers if name.lower() == b"content-length"]
            if is_whole:
                assert first.status == (b"500" if why else b"%d" % messages[0]["status"]), first
            else:
                got = b""
                last = worker.frame()
                while last.kind == BLOCK:
                    got, last = got + last.body, worker.frame()
                assert last.kind == END and last.flags == (TRUNCATED if why else 0), last
                assert len(got) <= 3 and (got == b"abc" or why), got
            assert len(lengths) == 1, first
            worker.frames(DONE)
            if why:
                worker.logged(why)


def test_transfer_encoding_is_for_the_server_to_decide():
    async def application(scope, receive, send):
        await send(start(headers=[(b"Transfer-Encoding", b"chunked"), (b"a", b"b")]))
        await send(body(b"x"))

    with Worker(application) as worker:
        assert worker.answer().headers == [(b"a", b"b")]
