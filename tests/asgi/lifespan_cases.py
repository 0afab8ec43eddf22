"""The beginning and the end of an ASGI worker: lifespan, the event loop, and what becomes of requests and tasks."""

import asyncio
import os
import platform
import sys

import stand_in
from stand_in import ACCEPT, ANSWER, BLOCK, CLOSE, DONE, END, HEAD, LEAVE, UNABLE, Mark, Worker, takes, turn

log = sys.stderr
START = {"type": "http.response.start", "status": 200}
COMPLETE = {"type": "lifespan.startup.complete"}


async def answer(scope, send):
    await send(START)
    await send({"type": "http.response.body", "body": repr(scope.get("state")).encode()})


def with_lifespan(lifespan):
    """An application with this lifespan."""

    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            await lifespan(scope, receive, send)
        else:
            await answer(scope, send)

    return application


async def usual(scope, receive, send):
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}, scope
    assert await receive() == {"type": "lifespan.startup"}
    scope["state"]["a"] = 1
    await turn()
    await send(COMPLETE)
    assert await receive() == {"type": "lifespan.shutdown"}
    log.write("shutdown\n")
    await send({"type": "lifespan.shutdown.complete"})
    log.write("after\n")


def unable(lifespan, mode="auto"):
    """The text with which a worker says that it cannot serve, and its log."""
    worker = Worker(with_lifespan(lifespan), lifespan=mode, begins=False)
    text = worker.frames(UNABLE).body.decode()
    assert worker.frame() is None
    status, said = worker.ended()
    assert status == 1 and worker.counters[stand_in.THREAD] == 0
    worker.__exit__(None)
    return text, said


def test_the_usual_lifespan_in_each_mode():
    for mode, state in (("auto", b"{'a': 1}"), ("on", b"{'a': 1}"), ("off", b"None")):
        with Worker(with_lifespan(usual), lifespan=mode) as worker:
            assert worker.answer().body == state
            assert worker.leave() == (0, "shutdown\nafter\n" if mode != "off" else "")


def test_no_request_comes_before_startup_is_complete():
    async def slow(scope, receive, send):
        await receive()
        await mark.wait()
        await send(COMPLETE)
        await receive()

    mark = Mark()
    with Worker(with_lifespan(slow), lifespan="on", begins=False) as worker:
        worker.control.sendall(b"\7")  # it is asked for its stack meanwhile
        dump = b""
        while b"reply 7" not in dump:
            dump += worker.control.recv(65536)
        assert b"in run_worker" in dump, dump
        assert worker.counters[stand_in.THREAD] == 0
        mark.set()
        worker.await_wake_up()
        assert worker.counters[stand_in.THREAD]
        assert worker.answer().body == b"{}"


def test_an_application_that_takes_no_part():
    async def raises(scope, receive, send):
        raise AssertionError("only http")

    async def returns(scope, receive, send):
        pass

    async def cancelled(scope, receive, send):
        raise asyncio.CancelledError

    async def late(scope, receive, send):
        await receive()
        raise KeyError("no database")

    for lifespan, said in (
        (raises, "the application takes no part in lifespan: it raised AssertionError: only http\n"),
        (returns, "the application takes no part in lifespan: it returned\n"),
        (cancelled, "the application takes no part in lifespan: it raised CancelledError\n"),
        (late, "exception in lifespan, without which the application is served\nTraceback"),
    ):
        with Worker(with_lifespan(lifespan), lifespan="auto") as worker:
            assert worker.answer().body == b"None"
            status, log_of_worker = worker.leave()
            assert status == 0 and said in log_of_worker, log_of_worker
            assert ("Traceback" in log_of_worker) == (lifespan is late)
        # What is so in each worker is said by one of them.
        with Worker(with_lifespan(lifespan), lifespan="auto", is_first=False) as worker:
            assert worker.answer().body == b"None"
            assert (said in worker.leave()[1]) == (lifespan is late)
        text, log_of_worker = unable(lifespan, "on")
        assert text.startswith("its lifespan r") and text.endswith("before `lifespan.startup.complete`"), text
        assert ("Traceback" in log_of_worker) == (lifespan is not returns), log_of_worker


def test_a_startup_that_fails_says_why():
    async def fails(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async def silent(scope, receive, send):
        await send({"type": "lifespan.startup.failed"})
        await asyncio.Event().wait()

    async def exits(scope, receive, send):
        sys.exit("no database")

    for mode in ("auto", "on"):
        assert unable(fails, mode)[0] == "its lifespan failed: no database"
        assert unable(silent, mode)[0] == "its lifespan failed: the application does not say why"
        assert unable(exits, mode)[0] == "its lifespan ended with `SystemExit('no database')`"


def test_wrong_messages_are_refused_where_they_are_sent():
    cases = [
        ({"type": "lifespan.shutdown.complete"}, "RuntimeError: `lifespan.shutdown.complete` was sent, but startup is not"),
        ({"type": "http.response.start"}, "ValueError: `http.response.start` is not a message that can be sent here"),
        ({}, "KeyError: 'the message lacks `type`: {}'"),
        (None, "TypeError: a message must be a dict, but this is a NoneType"),
    ]

    for message, wanted in cases:

        async def lifespan(scope, receive, send):
            await send(message)

        text, said = unable(lifespan, "on")
        assert wanted in said, said

    async def twice(scope, receive, send):
        await receive()
        await send(COMPLETE)
        await send(COMPLETE)

    with Worker(with_lifespan(twice), lifespan="on") as worker:
        worker.logged("RuntimeError: `lifespan.startup.complete` was sent, but `lifespan.startup.complete` was sent already")
        assert worker.answer().body == b"{}"


def test_an_end_that_fails_is_logged():
    async def fails(scope, receive, send):
        await receive()
        await send(COMPLETE)
        await receive()
        if ending == "says so":
            await send({"type": "lifespan.shutdown.failed", "message": "lost"})
        else:
            raise KeyError("lost")

    for ending, said in (("says so", "its lifespan failed at the end: lost\n"), ("raises", "KeyError: 'lost'\n")):
        with Worker(with_lifespan(fails), lifespan="on") as worker:
            worker.answer()
            status, log_of_worker = worker.leave()
            assert status == 0 and said in log_of_worker, log_of_worker


def test_requests_end_before_lifespan_does():
    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            return await usual(scope, receive, send)
        await send(START)
        await send({"type": "http.response.body", "body": b"x"})
        await takes(0.05)
        log.write("background\n")

    with Worker(application, lifespan="on") as worker:
        worker.request()
        worker.frames(ANSWER)
        assert worker.leave() == (0, "background\nshutdown\nafter\n")
        worker.frames(DONE)


def test_whoever_waits_is_told_when_runner_has_gone():
    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            return await usual(scope, receive, send)
        await receive()
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        else:
            await send(START)
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        log.write("told %s\n" % (await receive())["type"])

    with Worker(application, lifespan="on") as worker:
        worker.request(web_socket=True)
        worker.frames(ACCEPT)
        worker.request()
        worker.frames(HEAD, BLOCK)
        status, said = worker.leave()
        assert said == "told websocket.disconnect\ntold http.disconnect\nshutdown\nafter\n", said


def test_a_worker_that_is_to_leave_cancels_its_requests():
    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            return await usual(scope, receive, send)
        await receive()
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        elif scope["path"] == "/begun":
            await send(START)
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        try:
            await asyncio.Event().wait()
        finally:
            log.write("finally\n")

    with Worker(application, lifespan="on") as worker:
        worker.request(web_socket=True)
        worker.frames(ACCEPT)
        worker.request("/begun")
        worker.frames(HEAD, BLOCK)
        worker.request()
        worker.until(lambda: worker.counters[stand_in.READ] == 3 and worker.counters[stand_in.WAITING])
        worker.control.sendall(LEAVE)
        frames = [worker.frame() for _ in range(6)]
        got = {frame.number: frame for frame in frames if frame.kind != DONE}
        assert got[1].kind == CLOSE and got[1].body[:2] == (1001).to_bytes(2, "little"), got
        assert got[2].kind == END and got[2].flags == 1, got
        assert got[3].kind == ANSWER and got[3].status == b"503", got
        assert worker.ended() == (0, "finally\n" * 3 + "shutdown\nafter\n")


def test_tasks_of_the_application_are_cancelled_in_the_end():
    tasks = []

    async def application(scope, receive, send):
        async def beside():
            try:
                await asyncio.Event().wait()
            finally:
                log.write("cancelled\n")

        tasks.append(asyncio.ensure_future(beside()))
        await turn()
        await answer(scope, send)

    with Worker(application) as worker:
        worker.answer()
        assert worker.leave() == (0, "cancelled\n")


def test_an_exit_in_a_task_of_the_application_ends_nothing_else():
    async def application(scope, receive, send):
        async def leave():
            sys.exit(3)

        if scope["path"] == "/exit":
            asyncio.ensure_future(leave())
            await takes(0.01)
        await answer(scope, send)

    with Worker(application) as worker:
        assert worker.answer("/exit").status == b"200"
        worker.logged("exception in a task of the application\n")
        assert worker.answer().status == b"200"


def test_a_fork_of_the_application_answers_nothing():
    async def application(scope, receive, send):
        if scope["path"] == "/fork":
            child = os.fork()
            if child:
                os.waitpid(child, 0)
        await answer(scope, send)
        if scope["path"] == "/fork":
            log.write("here\n")

    with Worker(application) as worker:
        for _ in range(3):
            worker.answer("/fork")
            worker.answer()
        assert worker.leave() == (0, "here\n" * 3)


def test_closed_descriptors_end_the_worker():
    async def application(scope, receive, send):
        os.closerange(3, 100)
        await takes(10)

    worker = Worker(application)
    worker.request()
    status, said = worker.ended()
    # libuv ends the process itself.
    assert status == 1 and "it is replaced, because" in said or "uv__io_poll" in said, said
    worker.__exit__(None)


async def waits():
    pass


def test_the_loop_is_the_one_that_was_asked_for():
    async def application(scope, receive, send):
        await send(START)
        kind = type(asyncio.get_running_loop())
        await send({"type": "http.response.body", "body": kind.__module__.encode()})

    try:
        import uvloop
    except ImportError:
        uvloop = None
    has_uvloop = uvloop is not None and platform.python_implementation() == "CPython"
    wanted = {"asyncio": b"asyncio.unix_events", "auto": b"uvloop" if has_uvloop else b"asyncio.unix_events"}
    wanted["asyncio:SelectorEventLoop"] = b"asyncio.unix_events"
    if has_uvloop:
        wanted["uvloop"] = b"uvloop"
    for loop, module in wanted.items():
        with Worker(application, loop=loop) as worker:
            assert worker.answer().body == module, loop
    for loop, why in (
        ("nowhere:loop", "`runner.asgi.loop` is `nowhere:loop`, which cannot be used: ModuleNotFoundError: No module named"),
        ("asyncio:nothing", "which cannot be used: `asyncio` has no attribute `nothing`"),
        ("builtins:dict", "`runner.asgi.loop` is `builtins:dict`, which makes no event loop, but a dict: a loop factory"),
        (
            "lifespan_cases:waits",
            "`lifespan_cases:waits`, which makes no event loop, but a coroutine: a loop factory is a plain function without "
            "arguments that returns a new event loop, as `asyncio:SelectorEventLoop` does",
        ),
        ("asyncio:Future.cancel", "which cannot be used: TypeError"),
    ):
        worker = Worker(application, loop=loop, begins=False)
        text = worker.frames(UNABLE).body.decode()
        assert why in text, text
        status, said = worker.ended()
        assert status == 1 and "never awaited" not in said, said
        worker.__exit__(None)


def test_a_loop_that_hides_nothing_still_claims_one_request_at_a_time():
    """A loop on which `call_soon` cannot be replaced: a request begins in the next turn."""

    class Loop(asyncio.SelectorEventLoop):
        def __setattr__(self, name, value):
            if name == "call_soon":
                raise AttributeError(name)
            super().__setattr__(name, value)

    async def application(scope, receive, send):
        if scope["path"] == "/blocks":
            begun.set()
            mark.block()
        await answer(scope, send)

    stand_in.Loop = Loop
    begun, mark = Mark(), Mark()
    with Worker(application, loop="stand_in:Loop") as worker:
        frames = [worker.made(path) for path in ("/before", "/blocks", "/behind")]
        for number in range(1, 4):
            worker.token(number)
        worker.socket.sendall(b"".join(frames))
        worker.until(begun.is_set)
        assert os.read(worker.unclaimed, 10) == b"\3"
        mark.set()
        worker.frames(ANSWER, DONE, ANSWER, DONE)
        assert worker.answer().status == b"200"


def test_a_loop_that_was_late_is_reported():
    async def application(scope, receive, send):
        if scope["path"] == "/blocks":
            until = asyncio.get_running_loop().time() + 0.05
            while asyncio.get_running_loop().time() < until:
                pass
        await answer(scope, send)

    with Worker(application) as worker:
        worker.request("/blocks")
        worker.frames(ANSWER, DONE)
        late = worker.lateness()
        assert 45000 <= late < 20000000, late


def test_a_loop_from_before_the_fork_is_not_used():
    early = asyncio.new_event_loop()
    asyncio.set_event_loop(early)

    async def application(scope, receive, send):
        assert asyncio.get_running_loop() is not early
        assert asyncio.get_event_loop_policy().get_event_loop() is asyncio.get_running_loop()
        await answer(scope, send)

    with Worker(application) as worker:
        assert worker.answer().status == b"200"
    asyncio.set_event_loop(None)
    early.close()


def test_processes_threads_and_streams_work_as_in_any_loop():
    async def application(scope, receive, send):
        process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
        output, _ = await process.communicate(b"through a process")
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, len, output) == 17 and process.returncode == 0
        await answer({"state": output}, send)

    with Worker(application) as worker:
        for _ in range(3):
            assert worker.answer().body == b"b'through a process'"
        assert worker.leave() == (0, "")
