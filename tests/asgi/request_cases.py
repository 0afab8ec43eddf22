"""Requests over HTTP beside each other: credit, room, clients that leave, deadlines, claims, contexts, threads and files."""

import asyncio
import contextvars
import os
import sys
import tempfile
import threading
from functools import partial

from stand_in import (
    ANSWER,
    BLOCK,
    CANCEL,
    CAPACITY,
    DONE,
    END,
    FILE,
    FULL,
    HEAD,
    LAST,
    LEFT,
    READ,
    SEND_CREDIT,
    SHOW,
    START,
    TRUNCATED,
    WAITING,
    NAMES,
    Mark,
    Worker,
    amount,
    body,
    received_file,
    says,
    start,
    takes,
    turn,
)

log = sys.stderr
WINDOW = 256 * 1024


def test_send_waits_for_credit_and_nobody_else_does():
    async def application(scope, receive, send):
        if scope["path"] == "/quick":
            await send(START)
            return await send(body(b"quick"))
        await send(START)
        for number in range(100):
            await send(body(b"x" * 10000, True))
        await send(body(b"end"))

    with Worker(application) as worker:
        number = worker.request("/slow")
        worker.frames(HEAD)
        got = 0
        while got < WINDOW:
            got += len(worker.frames(BLOCK).body)
        assert got < WINDOW + 10000, got
        assert worker.answer("/quick").body == b"quick"
        assert worker.peek() is None
        while got < 1000003:
            taken = 100000
            worker.send(SEND_CREDIT, number, amount(taken))
            limit = min(got + taken, 1000003)
            while got < limit:
                got += len(worker.frames(BLOCK).body)
            assert got < limit + 10000
        worker.frames(END, DONE)


def test_a_stream_without_room_holds_nothing_back_but_what_goes_there():
    """Many large answers at once: frames wait for room, in order, and none is lost."""
    count = 40

    async def application(scope, receive, send):
        await send(START)
        await send(body(scope["path"].encode() * 10000))

    with Worker(application) as worker:
        paths = ["/%05d" % number for number in range(count)]
        frames = []
        for path in paths:
            frames.append(worker.made(path))
            worker.token(worker.number)
        worker.socket.sendall(b"".join(frames))
        worker.until(lambda: worker.counters[FULL])  # it says that it waits
        got = []
        for _ in range(2 * count):
            frame = worker.frame()
            if frame.kind == ANSWER:
                got.append(frame.body)
        assert got == [path.encode() * 10000 for path in paths]


def test_tasks_that_send_parts_at_once_send_them_one_after_the_other():
    async def application(scope, receive, send):
        await send(START)
        large = asyncio.ensure_future(send(body(b"a" * 2 * WINDOW, True)))
        await turn()
        # One begins in each turn, and so also in that in which there is credit and the first has not gone on yet.
        others = []
        while not large.done():
            if len(others) < 5000:
                others.append(asyncio.ensure_future(send(body(b"b", True))))
            await turn()
        await asyncio.gather(large, *others)
        await send(body(b"c" * len(others)))

    with Worker(application) as worker:
        number = worker.request()
        worker.frames(HEAD)
        got, frame = b"", worker.frame()
        while frame.kind == BLOCK:
            got += frame.body
            worker.send(SEND_CREDIT, number, amount(len(frame.body)))
            frame = worker.frame()
        assert (frame.kind, frame.flags) == (END, 0)
        count = (len(got) - 2 * WINDOW) // 2
        assert count and got == b"a" * 2 * WINDOW + b"b" * count + b"c" * count
        worker.frames(DONE)


def test_a_part_whose_send_is_cancelled_is_sent_as_a_whole_or_makes_the_body_end_early():
    async def application(scope, receive, send):
        length = [(b"content-length", b"%d" % (2 * WINDOW))] if scope["query_string"] else []
        await send(start(headers=length))
        if scope["path"] == "/nothing":
            await send(body(b"x" * WINDOW, True))
        size = WINDOW if scope["path"] == "/nothing" else 2 * WINDOW
        try:
            await asyncio.wait_for(send(body(b"x" * size, True)), 0.01)
        except asyncio.TimeoutError:
            cancelled.set()
        if scope["path"] == "/returns":
            return
        await send(body(b"y" * WINDOW if scope["path"] == "/nothing" else b""))

    cancelled = Mark()
    with Worker(application) as worker:
        for path, query in [("/part", b""), ("/returns", b""), ("/returns", b"length"), ("/nothing", b""), ("/nothing", b"length")]:
            cancelled.unset()
            number = worker.request(path, query=query)
            worker.frames(HEAD)
            worker.until(cancelled.is_set)
            got = b""
            while len(got) < WINDOW:
                got += worker.frames(BLOCK).body
            if path == "/nothing":
                worker.send(SEND_CREDIT, number, amount(WINDOW))
                while len(got) < 2 * WINDOW:
                    got += worker.frames(BLOCK).body
                assert got == b"x" * WINDOW + b"y" * WINDOW
                assert worker.frames(END, DONE)[0].flags == 0
            else:
                assert worker.frames(END, DONE)[0].flags == TRUNCATED
        worker.logged("RuntimeError: `http.response.body` was sent, but the body has a gap: an earlier `send` was cancelled")


def test_an_answer_is_the_last_frame_if_nothing_comes_behind_it():
    async def application(scope, receive, send):
        await send(START)
        await send(body(b"x"))
        if scope["path"] == "/goes-on":
            await turn()

    with Worker(application) as worker:
        for path, flags in [("/", LAST), ("/goes-on", 0), ("/", LAST)]:
            answer = worker.answer(path)
            assert (answer.body, answer.flags) == (b"x", flags), path
        # Up to the end of the memory, and beyond it.
        for _ in range(CAPACITY // 50):
            assert worker.answer().flags == LAST


def test_a_process_that_is_forked_behind_the_answer_says_nothing_to_runner():
    async def application(scope, receive, send):
        await send(START)
        await send(body(b"x"))
        if scope["path"].startswith("/forks"):
            children.append(os.fork())
            if not children[-1]:
                mark.block()
                if scope["path"] == "/forks/waits":
                    await turn()
        elif scope["path"] == "/wait":
            assert os.waitpid(children[-1], 0)[1] == 0

    children, mark = [], Mark()
    with Worker(application) as worker:
        for path in ("/forks", "/forks/waits"):
            mark.unset()
            for path in (path, "/", "/"):
                worker.answer(path)
            mark.set()
            worker.answer("/wait")
        assert worker.leave() == (0, "")


def test_a_request_that_is_too_late_is_cancelled_with_its_stack_and_no_other():
    async def inner(what):
        await what

    async def generator():
        await inner(asyncio.Event().wait())
        yield 1

    async def through():
        async for _ in generator():
            pass

    async def application(scope, receive, send):
        if scope["path"] == "/hangs":
            await asyncio.ensure_future(through())
        elif scope["path"] == "/stubborn":
            while not mark.is_set():
                try:
                    await takes(0.01)
                except asyncio.CancelledError:
                    await send(START)
        await send(START)
        await send(body(b"x"))

    mark = Mark()
    with Worker(application) as worker:
        number = worker.request("/hangs")
        worker.answer("/other")
        worker.send(SHOW, number, "this is slow".encode())
        worker.answer("/other")
        log = worker.logged("this is slow. Stack (most recent call last):\n")
        for name in ("application", "through", "generator", "inner", "wait"):
            assert ", in %s\n" % name in log, log
        assert "await inner(asyncio.Event().wait())" in log, log
        assert "runner/" not in log, log
        worker.send(CANCEL, number, "this is too late".encode())
        assert worker.frames(DONE).number == number
        assert "goes on" not in worker.logged("this is too late. Stack (most recent call last):\n")
        number = worker.request("/stubborn")
        worker.answer("/other")
        worker.send(CANCEL, number, "this is too late, too".encode())
        log = worker.logged("GET /stubborn goes on 1 s after it was cancelled. Stack (most recent call last):\n")
        assert "too late, too. Stack (most recent call last):\n" in log
        mark.set()
        assert worker.frames(DONE).number == number


def test_the_stack_of_a_request_shows_what_it_has_started():
    async def application(scope, receive, send):
        if scope["path"] == "/thread":
            if hasattr(asyncio, "to_thread"):
                await asyncio.to_thread(view)
            else:
                context = contextvars.copy_context()
                await asyncio.get_running_loop().run_in_executor(None, partial(context.run, view))
        elif scope["path"] == "/task":
            done = asyncio.Event()
            task = asyncio.ensure_future(handler(done))
            await done.wait()
            await task
        await send(START)
        await send(body(b"x"))

    def view():
        mark.block()

    async def handler(done):
        while not mark.is_set():
            await takes(0.01)
        done.set()

    mark = Mark()
    with Worker(application) as worker:
        thread = worker.request("/thread")
        task = worker.request("/task")
        worker.until_read()
        worker.send(SHOW, thread, b"this is the first")
        said = worker.logged(", in view\n")
        assert "this is the first. Stack" in said and "  its thread `" in said and "handler" not in said, said
        worker.send(SHOW, task, b"this is the second")
        said = worker.logged(", in handler\n").partition("this is the second. Stack")[2]
        assert "  its task `" in said and "in view" not in said, said
        mark.set()
        assert sorted(NAMES[worker.frame().kind] for _ in range(4)) == ["ANSWER", "ANSWER", "DONE", "DONE"]


def test_a_task_that_is_cancelled_for_its_client_is_named():
    async def application(scope, receive, send):
        while not mark.is_set():
            try:
                await takes(0.01)
            except asyncio.CancelledError:
                pass

    mark = Mark()
    with Worker(application, disconnect_grace=0.05) as worker:
        number = worker.request("/stubborn")
        worker.until_read()
        worker.send(LEFT, number, b"")
        worker.logged("GET /stubborn is cancelled: 0.05 s after its client has left, or was told to leave (runner.asgi.disconnect_grace)\n")
        worker.logged("GET /stubborn goes on 1 s after it was cancelled. Stack")
        mark.set()
        worker.frames(DONE)


def test_what_stands_behind_a_request_that_blocks_the_loop_is_not_claimed():
    async def application(scope, receive, send):
        if scope["path"] == "/blocks":
            begun.set()
            mark.block()
        await send(START)
        await send(body(scope["path"].encode()))

    begun, mark = Mark(), Mark()
    with Worker(application) as worker:
        frames = [worker.made(path) for path in ("/before", "/blocks", "/behind", "/further")]
        for number in range(1, 5):
            worker.token(number)
        worker.socket.sendall(b"".join(frames))
        worker.until(begun.is_set)
        # What is answered before is in the memory, what has begun is told, the rest can be taken back.
        assert worker.peek().body == b"/before"
        assert worker.peek().kind == DONE
        assert worker.counters[READ] == 2
        assert os.read(worker.unclaimed, 10) == b"\3\4"
        mark.set()
        assert worker.frames(ANSWER, DONE)[0].body == b"/blocks"
        worker.until(lambda: worker.counters[READ] == 4 and worker.counters[WAITING] == 1)
        assert worker.answer("/after").body == b"/after"


def test_a_request_that_was_taken_back_is_dropped_with_its_file():
    with Worker(says(lambda scope: scope["path"])) as worker:
        for _ in range(3):
            with tempfile.TemporaryFile() as file:
                worker.socket.sendall(worker.made("/dropped", file=file.fileno()))
            with tempfile.TemporaryFile() as file:
                file.write(b"x")
                file.flush()
                assert worker.answer("/begun", file=file.fileno()).body == b"'/begun'"


def test_frames_may_come_in_any_pieces():
    with Worker(says(lambda scope: scope["path"])) as worker:
        frame = worker.made("/slowly", headers=[(b"a", b"b" * 100000)])
        worker.token(worker.number)
        for start in range(0, len(frame), 30001):
            worker.socket.sendall(frame[start : start + 30001])
        assert worker.frames(ANSWER, DONE)[0].body == b"'/slowly'"
        frame = worker.made("/bytewise") + worker.made("/next")
        worker.token(worker.number - 1)
        worker.token(worker.number)
        for start in range(len(frame)):
            worker.socket.sendall(frame[start : start + 1])
        assert [frame.body for frame in worker.frames(ANSWER, DONE, ANSWER, DONE)][::2] == [b"'/bytewise'", b"'/next'"]


def test_requests_begin_in_a_clean_context():
    variable = contextvars.ContextVar("variable", default="clean")

    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            variable.set("lifespan")
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return
        seen = variable.get()
        variable.set(scope["path"])
        await turn()
        assert variable.get() == scope["path"]
        await send(START)
        await send(body(seen.encode()))

    with Worker(application, lifespan="on") as worker:
        for path in ("/a", "/b", "/c"):
            assert worker.answer(path).body == b"clean"


def test_each_request_has_a_task_of_its_own():
    tasks = []

    async def application(scope, receive, send):
        tasks.append(asyncio.current_task())
        assert asyncio.current_task() is not None and len(set(map(id, tasks))) == len(tasks)
        await send(START)
        await send(body(b"x"))
        await turn()
        assert asyncio.current_task() is tasks[-1]

    with Worker(application) as worker:
        for _ in range(3):
            worker.answer()
        assert worker.leave() == (0, "")


def test_receive_and_send_are_refused_in_other_threads():
    async def application(scope, receive, send):
        errors = []

        def run():
            for call in (receive, lambda: send(START)):
                try:
                    call().send(None)
                except BaseException as error:
                    errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        await send(START)
        await send(body(repr([type(error).__name__ for error in errors]).encode()))

    with Worker(application) as worker:
        assert worker.answer().body == b"['RuntimeError', 'RuntimeError']"


def test_a_file_is_opened_by_the_worker_and_handed_over():
    async def application(scope, receive, send):
        length = [(b"content-length", scope["query_string"])] if scope["query_string"] else []
        await send(start(headers=length))
        await send({"type": "http.response.pathsend", "path": scope["path"]})
        try:
            await send(body(b"x"))
        except RuntimeError:
            return

    with Worker(application) as worker, tempfile.NamedTemporaryFile() as file:
        file.write(b"0123456789")
        file.flush()
        for query in (b"", b"10", b"4"):
            worker.request(file.name, query=query)
            frame, _ = worker.frames(FILE, DONE)
            assert frame.body == (0).to_bytes(8, "little") + (10).to_bytes(8, "little")
            assert received_file(worker) == b"0123456789"
        assert worker.answer(file.name, query=b"11").status == b"500"
        worker.logged("has 10 bytes, but its Content-Length is 11")
        # More files than the socket for descriptors has room for.
        frames = [worker.made(file.name) for _ in range(600)]
        sent = 0
        while sent < 600:
            for number in range(200):
                worker.token(worker.number - 599 + sent + number)
            worker.socket.sendall(b"".join(frames[sent : sent + 200]))
            sent += 200
        kinds = []
        for _ in range(1200):
            kinds.append(worker.frame().kind)
            if kinds[-1] == FILE:
                assert received_file(worker) == b"0123456789"
        assert kinds.count(FILE) == kinds.count(DONE) == 600


def test_parts_that_tasks_send_when_the_application_ends_are_let_go():
    """What waits since before the end, behind what the client takes or behind another part, is no mistake."""

    async def application(scope, receive, send):
        await send(START)
        await send(body(b"x" * WINDOW, True))
        parts = [asyncio.ensure_future(send(body(b"y" * size, True))) for size in (WINDOW, 1)]
        await takes(0.01)
        asyncio.gather(*parts).add_done_callback(lambda done: log.write("let go %s\n" % done.exception()))
        raise KeyError("why")

    with Worker(application) as worker:
        worker.request()
        worker.logged("let go None\n")


def test_a_client_that_left_frees_what_waits_for_it():
    """Neither the task nor the body is kept when an exchange is over."""
    import gc
    import weakref

    seen = []

    class Thing:
        pass

    async def application(scope, receive, send):
        thing = Thing()
        seen.append(weakref.ref(thing))
        scope["thing"] = thing
        await receive()
        await send(START)
        await send(body(b"%d" % sum(reference() is not None for reference in seen)))

    with Worker(application) as worker:
        gc_counts = [worker.answer().body for _ in range(5)]
        if gc.isenabled() and hasattr(gc, "freeze"):  # PyPy frees later
            assert gc_counts == [b"1"] * 5, gc_counts
