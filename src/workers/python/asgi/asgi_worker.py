"""An ASGI worker: one event loop in the main thread, made after the fork, and any number of requests.

Plain Python 3.8 and later, standard library only. The process is made by template.py; asgi_lane.py has the requests.
"""

import importlib

from runner_asgi_lane import AsgiLane
from runner_asgi_lifespan import Lifespan, Unfit
from runner_asgi_loop import BadLoop, new_loop
from runner_asgi_outbox import UNABLE
from runner_control import Control, Forks, keep_limits
from runner_development import asgi_answer
from runner_exchange import trace
from runner_kept import os, sys
from runner_output import report_losses, say

LOST = 6  # the counter of lines that are missing, as in src/protocol/worker/frame.rs
LONGEST_TEXT = 1 << 16  # bytes of what is said about a failure


def run_worker(application, options, descriptors):
    """Serves until runner closes the lane."""
    asgi = options["asgi"]
    asyncio = importlib.import_module("asyncio")
    why = None
    try:
        loop = new_loop(asgi["loop"])
    except BadLoop as error:
        why = str(error)
        loop = asyncio.SelectorEventLoop()
    cancelled_error = asyncio.CancelledError
    shows = asgi_answer if options["development"] else None
    lane = AsgiLane(loop, descriptors[1:], application, asgi, cancelled_error, shows)
    report_losses(lane.counters, LOST)

    def leave():
        try:
            loop.call_soon_threadsafe(lane.abandon)
        except RuntimeError:
            pass  # the loop has ended

    control = Control(descriptors[0], options, [lane], leave)
    control.keep_to_ourselves()
    control.start()
    keep_limits(options["limits"])
    lifespan = Lifespan(loop, application, asgi["lifespan"], options["is_first"])
    work = loop.create_task(serve(lane, lifespan, why, options["stop_timeout"], asyncio.wait))
    run(loop, work)
    if Forks.is_foreign:
        os._exit(0)  # the application has forked this process, whose loop must not go on
    is_unfit = work.result()
    end_tasks(loop, asyncio, options["stop_timeout"])
    lane.outbox.flush()
    lane.outbox.is_due = True  # nothing more is sent, even by a task that ends with the loop
    lane.close()
    loop.close()
    if is_unfit:
        sys.exit(1)


async def serve(lane, lifespan, why, patience, wait):
    """Serves. Returns whether that was not possible."""
    try:
        if why is not None:
            raise Unfit(why)
        lane.state = await lifespan.start()
    except Unfit as error:
        lane.outbox.put(0, UNABLE, str(error).encode("utf-8", "backslashreplace")[:LONGEST_TEXT])
        lane.outbox.flush()
        return True
    lane.begin()
    await lane.over
    await lane.outbox.until_room()
    lane.outbox.flush()
    await lifespan.stop(patience, wait)
    return False


def run(loop, work):
    """Runs the loop until the work is done, whatever exception comes out of a callback of the application."""
    while True:
        try:
            return loop.run_until_complete(work)
        except BaseException as error:
            if work.done() or Forks.is_foreign:
                return None
            if isinstance(error, Exception):
                say("it is replaced, because its event loop has failed\n" + trace(error))
                os._exit(1)
            # SystemExit and KeyboardInterrupt leave the loop.
            say("exception in a task of the application\n" + trace(error))


def end_tasks(loop, asyncio, patience):
    """Cancels what the application has left running."""
    tasks = [task for task in asyncio.all_tasks(loop) if not task.done()]
    for task in tasks:
        task.cancel()

    async def end():
        if tasks:
            await asyncio.wait(tasks, timeout=patience)
        await loop.shutdown_asyncgens()

    run(loop, loop.create_task(end()))
