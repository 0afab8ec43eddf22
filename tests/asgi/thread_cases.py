"""Threads and tasks of an ASGI application that do not end, beside lifespan: at its start and at its end."""

import asyncio
import threading

from lifespan_cases import COMPLETE, START, unable, usual, with_lifespan
from stand_in import ANSWER, LEAVE, Mark, Worker, takes


def test_a_thread_that_runs_on_does_not_cost_the_end_of_lifespan():
    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            return await usual(scope, receive, send)
        await send(START)
        await send({"type": "http.response.body", "body": b"x"})
        work = asyncio.get_running_loop().run_in_executor(None, mark.block)
        while not work.done():
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                pass  # as anyio does for a thread that cannot be abandoned

    mark = Mark()
    with Worker(application, lifespan="on") as worker:
        worker.request("/thread")
        worker.frames(ANSWER)
        worker.control.sendall(LEAVE)
        status, said = worker.ended()
        assert status == 0, said
        places = [
            said.index(line)
            for line in (
                "the background work of GET /thread is cancelled: the time for it is over (runner.stop_timeout)\n",
                "GET /thread goes on though it was cancelled, and ends with its worker. Stack",
                "shutdown\nafter\n",
                "it ends at once, since it is to leave (runner.stop_timeout), though threads of it run on: `",
            )
        ]
        assert places == sorted(places), said


def test_background_work_that_is_cancelled_at_the_stop_is_named():
    async def application(scope, receive, send):
        await send(START)
        await send({"type": "http.response.body", "body": b"x"})
        await asyncio.Event().wait()

    with Worker(application) as worker:
        for _ in range(30):
            worker.request("/background")
        for _ in range(30):
            worker.frames(ANSWER)
        worker.control.sendall(LEAVE)
        status, said = worker.ended()
        assert status == 0
        assert said.count("the background work of GET /background is cancelled") == 20, said
        assert said.endswith("10 more lines about requests that were ended are left out\n"), said


def test_a_failed_start_does_not_wait_for_threads():
    async def fails(scope, receive, send):
        threading.Thread(target=mark.block).start()
        raise ValueError("no database")

    mark = Mark()
    text, said = unable(fails, "on")
    assert text.startswith("its lifespan raised ValueError: no database") and "threads" not in said, said


def test_a_startup_that_hangs_is_shown():
    async def waits(scope, receive, send):
        await receive()
        while not mark.is_set():
            await takes(0.01)
        await send(COMPLETE)
        await receive()

    async def blocks(scope, receive, send):
        await receive()
        mark.block()
        await send(COMPLETE)
        await receive()

    for lifespan, call in ((waits, ", in waits\n"), (blocks, ", in block\n")):
        mark = Mark()
        with Worker(with_lifespan(lifespan), lifespan="on", begins=False, start_timeout=0.5) as worker:
            said = worker.logged("its lifespan startup is not complete after 0.45 s (runner.start_timeout). Stack")
            said = worker.logged(call)
            assert "runner/" not in said, said
            mark.set()
            worker.await_wake_up()
            worker.answer()
