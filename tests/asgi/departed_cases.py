"""Requests whose clients have left: what the application may still do, and for how long."""

import asyncio
import sys

from stand_in import (
    ACCEPT,
    ANSWER,
    BLOCK,
    CANCEL,
    DONE,
    HEAD,
    LEFT,
    START,
    Mark,
    Worker,
    body,
    turn,
)

log = sys.stderr
WINDOW = 256 * 1024  # bytes that an application may send before its client has taken any
ENOUGH = 16  # messages, as in asgi_response.py
OPEN = {"type": "websocket.accept"}


def exhausted(worker, number):
    """Takes the blocks of an endless response until its `send()` waits for the client."""
    worker.frames(HEAD)
    got = 0
    while got < WINDOW:
        got += len(worker.frames(BLOCK).body)
    worker.send(LEFT, number, b"")


def test_another_request_that_sends_to_a_client_that_has_left_goes_on():
    members = []

    async def application(scope, receive, send):
        if scope["path"] == "/member":
            is_over = asyncio.Event()
            members.append((send, is_over))
            await send(START)
            await send(body(b"x", True))
            return await is_over.wait()
        [(send_to_it, is_over)] = members
        refused = 0
        for _ in range(2 * ENOUGH):
            try:
                await send_to_it(body(b"news", True))
            except OSError:
                refused += 1
        is_over.set()
        await send(START)
        await send(body(b"%d refused" % refused))

    with Worker(application) as worker:
        number = worker.request("/member")
        worker.frames(HEAD, BLOCK)
        worker.send(LEFT, number, b"")
        assert worker.answer("/news").body == b"%d refused" % ENOUGH


def test_an_application_that_sends_on_ends_at_once():
    async def application(scope, receive, send):
        if scope["path"] == "/other":
            await send(START)
            return await send(body(b"other"))
        try:
            await send(START)
            while True:
                try:
                    await send(body(b"x" * 1000, True))
                except Exception:
                    pass  # what ends it must not be caught by the way
        finally:
            log.write("it has cleaned up.\n")

    async def by_another_task(scope, receive, send):
        await asyncio.gather(application(scope, receive, send), turn())

    for whole in (application, by_another_task):
        with Worker(whole) as worker:  # with so long a grace that the test would fail
            number = worker.request("/endless")
            exhausted(worker, number)
            assert worker.frames(DONE).number == number
            assert worker.answer("/other").body == b"other"
            assert worker.leave() == (0, "it has cleaned up.\n")


def test_a_response_that_is_ready_is_sent_to_its_end_and_what_follows_runs():
    async def application(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        await send(START)
        for _ in range(ENOUGH - 2):
            await send(body(b"x", True))
        await send(body(b"x"))
        log.write("it goes on.\n")

    with Worker(application) as worker:
        number = worker.request()
        worker.send(LEFT, number, b"")
        assert worker.frames(DONE).number == number
        assert worker.logged("it goes on.\n") == "it goes on.\n"


def test_an_application_that_will_not_end_gets_slower():
    async def application(scope, receive, send):
        begin = asyncio.get_running_loop().time()
        while (await receive())["type"] != "http.disconnect":
            pass
        sent = 0
        while asyncio.get_running_loop().time() - begin < 0.1:
            try:
                await send(body(b"x", True))
            except asyncio.CancelledError:
                pass
            sent += 1
        log.write("%d messages.\n" % sent)

    with Worker(application) as worker:
        number = worker.request()
        worker.send(LEFT, number, b"")
        worker.frames(DONE)
        # Pauses of 1, 2, 4 ms and so on.
        assert int(worker.logged("messages.\n").split()[0]) <= ENOUGH + 10


def test_the_task_of_a_client_that_has_left_is_cancelled_after_the_grace():
    async def application(scope, receive, send):
        await send(START)
        await send(body(b"x", True))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.write("cancelled\n")
            raise

    with Worker(application, disconnect_grace=0.05) as worker:
        number = worker.request()
        worker.frames(HEAD, BLOCK)
        worker.send(LEFT, number, b"")
        assert worker.frames(DONE).number == number
        assert "exception" not in worker.logged("cancelled\n")


def test_a_background_task_runs_on_although_the_client_leaves():
    async def application(scope, receive, send):
        await send(START)
        await send(body(b"x"))
        await mark.wait()
        log.write("done in the background\n")

    mark = Mark()
    with Worker(application, disconnect_grace=0) as worker:
        number = worker.request()
        worker.frames(ANSWER)
        worker.send(LEFT, number, b"")
        worker.until_read()
        mark.set()
        worker.frames(DONE)
        worker.logged("done in the background")


def test_of_more_than_the_concurrency_those_that_have_gone_on_longest_are_cancelled():
    async def application(scope, receive, send):
        if scope["type"] == "websocket":
            await send(OPEN)
        else:
            await send(START)
            await send(body(b"x", True))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await mark.wait()
            raise

    mark = Mark()
    with Worker(application, concurrency=2) as worker:
        numbers = []
        for web_socket in (False, True, False, True):
            numbers.append(worker.request(web_socket=web_socket))
            worker.frames(*([ACCEPT] if web_socket else [HEAD, BLOCK]))
        for number in numbers:
            worker.send(LEFT, number, b"")
        worker.until_read()
        mark.set()
        assert sorted(frame.number for frame in worker.frames(DONE, DONE)) == numbers[:2]
        # Those that have ended make room for others; the place of one that is cancelled is free at once.
        numbers.append(worker.request())
        worker.frames(HEAD, BLOCK)
        worker.send(LEFT, numbers[-1], b"")
        assert worker.frames(DONE).number == numbers[2]
        for number in numbers[3:]:
            worker.send(CANCEL, number, b"")
        assert sorted(frame.number for frame in worker.frames(DONE, DONE)) == numbers[3:]
