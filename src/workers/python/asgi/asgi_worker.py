"""An ASGI worker: one event loop in the main thread, made after a fork, and any number of requests.

Plain Python 3.8 and later, standard library only. The process is made by template.py; asgi_lane.py has the requests.
"""

import importlib

from runner_asgi_lane import LAST_MOMENT, AsgiLane
from runner_asgi_lifespan import Lifespan, Unfit
from runner_asgi_loop import BadLoop, new_loop
from runner_asgi_outbox import UNABLE
from runner_control import Control, Forks, keep_limits
from runner_development import asgi_answer
from runner_exchange import report, trace
from runner_kept import os, sys
from runner_output import finish_lines, report_losses, say

LOST = 6  # the counter of lines that are missing, as in src/protocol/worker/frame.rs
AT_ONCE = 0.1  # seconds that tasks may take to end where the time for that is over
NAMED = 5  # threads in a line
LONGEST_TEXT = 1 << 16  # bytes of what is said about a failure


def run_worker(application, options, descriptors):
    """Serves until runner closes the lane."""
    asgi = options["asgi"]
    asyncio = importlib.import_module("asyncio")
    why = None
    try:
        loop = new_loop(asgi["loop"], options["is_forked"])
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
    lifespan = Lifespan(loop, application, asgi["lifespan"], options["is_first"], asgi["start_timeout"])
    times = options["stop_timeout"], asgi["last_moment"]
    work = loop.create_task(serve(lane, lifespan, why, times, asyncio.wait))
    run(loop, work)
    if Forks.is_foreign:
        os._exit(0)  # the application has forked this process, whose loop must not go on
    is_unfit = work.result()
    in_time = not lane.is_abandoned
    end_tasks(loop, asyncio, options["stop_timeout"] if in_time else AT_ONCE)
    lane.outbox.flush()
    lane.outbox.is_due = True  # nothing more is sent, even by a task that ends with the loop
    lane.close()
    lane.notes.catch_up()
    if is_unfit or not in_time:
        end_with_threads(int(is_unfit), not is_unfit)
    loop.close()
    if is_unfit:
        sys.exit(1)


def end_with_threads(status, is_said):
    """Ends this process if Python would wait for threads of the application first: there is no time for that."""
    threads = importlib.import_module("threading")
    rest = [each for each in threads.enumerate() if not each.daemon and each is not threads.main_thread()]
    if not rest:
        return
    if is_said:
        names = ", ".join(["`%s`" % each.name for each in rest[:NAMED]]) + (", ..." if len(rest) > NAMED else "")
        say("it ends at once, since it is to leave (runner.stop_timeout), though threads of it run on: %s" % names, "warning")
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # the application has replaced or closed it
    finish_lines()
    os._exit(status)


async def serve(lane, lifespan, why, times, wait):
    """Serves. Returns whether that was not possible. `times` are those that the application has to end: at a usual stop, and
    when this worker is to leave though requests have not ended."""
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
    patience, last_moment = times
    await lifespan.stop(last_moment - LAST_MOMENT if lane.is_abandoned else patience, wait)
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
            report(error, "exception in a task of the application")


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
