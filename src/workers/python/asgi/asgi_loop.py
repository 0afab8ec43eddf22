"""The event loop of an ASGI worker, and its tasks: how they begin, and where they are.

Plain Python 3.8 and later, standard library only. `asyncio` is taken as the application has left it, since the tasks of the
application have to understand those of runner; a loop that the application has made at its import is not used, because a
fork would share it with other processes.
"""

import gc
import importlib
import platform
import traceback
from types import coroutine

from runner_kept import sys
from runner_resolve import BadName, described, resolve

DEEPEST = 100  # calls of a stack that are shown
# Coroutines, generators and asynchronous generators: the attributes of their frame, and of what they await.
KINDS = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))
OURS = "runner/"  # the beginning of the file names of runner's modules


class BadLoop(Exception):
    """The loop that the user wants cannot be made. The message says why."""


def new_loop(name):
    """Makes the event loop of `runner.asgi.loop`, and sets it as the one of this thread."""
    asyncio = importlib.import_module("asyncio")
    loop = made(name, asyncio)
    if not callable(getattr(loop, "add_reader", None)) or not callable(getattr(loop, "run_until_complete", None)):
        if hasattr(loop, "cr_frame"):
            loop.close()  # or Python would warn that it was never awaited
        text = (
            "`runner.asgi.loop` is `%s`, which makes no event loop, but %s: a loop factory is a plain function without "
            "arguments that returns a new event loop, as `asyncio:SelectorEventLoop` does"
        )
        raise BadLoop(text % (name, described(loop)))
    asyncio.set_event_loop(loop)
    return loop


def made(name, asyncio):
    if name == "asyncio":
        return asyncio.SelectorEventLoop()
    if name == "auto":
        try:
            return uvloop() if platform.python_implementation() == "CPython" else asyncio.SelectorEventLoop()
        except Exception:
            return asyncio.SelectorEventLoop()
    try:
        return uvloop() if name == "uvloop" else resolve(name)()
    except BadName as error:
        reason = error.message
    except Exception as error:
        reason = "%s: %s" % (type(error).__name__, error)
    raise BadLoop("`runner.asgi.loop` is `%s`, which cannot be used: %s" % (name, reason))


def uvloop():
    return importlib.import_module("uvloop").new_event_loop()


class Starter:
    """Begins tasks at once: they run up to their first wait before the call returns. So a task that never waits costs no
    turn of the loop, and none behind one that blocks the loop has been begun.

    Python has tasks that do this from 3.12 on. In earlier versions a new task asks its loop to call its first step soon.
    Meanwhile the loop has another `call_soon`, which takes note of the step, and it is called right then."""

    def __init__(self, loop):
        self.loop = loop
        self.make = importlib.import_module("asyncio").Task
        self.step = self.context = None
        self.is_eager = True
        # A class that the application has put in its place may know less.
        if sys.version_info >= (3, 12) and self.make.__module__ == "_asyncio":
            self.begin = self.begin_eagerly
        elif not self.can_note():
            self.is_eager = False
            self.begin = self.begin_soon

    def begin_eagerly(self, work):
        """Makes a task that has begun."""
        return self.make(work, loop=self.loop, eager_start=True)

    def begin_soon(self, work):
        """The same where the loop does not allow more: it begins in the next turn."""
        return self.make(work, loop=self.loop)

    def begin(self, work):
        """The same on earlier versions."""
        loop = self.loop
        loop.call_soon = self.note
        try:
            task = self.make(work, loop=loop)
        finally:
            del loop.call_soon
        self.context.run(self.step)
        return task

    def can_note(self):
        """Whether the loop allows it."""
        try:
            if "call_soon" in vars(self.loop):
                return False
            self.loop.call_soon = self.note
            del self.loop.call_soon
        except (AttributeError, TypeError):
            return False
        return True

    def note(self, step, *_, context=None):
        self.step, self.context = step, context


@coroutine
def turn():
    """Waits for the next turn of the loop."""
    yield


def stack_of(task):
    """Where a task is, through all that it waits for, in the format of Python's tracebacks."""
    try:
        calls = []
        seen = set()
        # A task may wait for another one.
        while hasattr(task, "get_coro") and task not in seen:
            seen.add(task)
            calls += calls_of(task.get_coro())
            task = getattr(task, "_fut_waiter", None)
        shown = [call for call in calls if not call.filename.startswith(OURS)]
        return "".join(traceback.format_list(shown[:DEEPEST]))
    except Exception as error:  # the application has changed what is needed here
        return "  (its stack cannot be shown: %s: %s)\n" % (type(error).__name__, error)


def calls_of(work):
    """The calls of a coroutine, and of those that it awaits."""
    calls = []
    while work is not None and len(calls) < DEEPEST:
        kind = next((kind for kind in KINDS if hasattr(work, kind[0])), None)
        if kind is None:
            work = behind(work)
            continue
        frame = getattr(work, kind[0])
        if frame is not None:
            code = frame.f_code
            calls.append(traceback.FrameSummary(code.co_filename, frame.f_lineno or 0, code.co_name))
        work = getattr(work, kind[1])
    return calls


def behind(awaited):
    """The generator that an iterator of Python's own drives, such as that of `async for`."""
    found = (thing for thing in gc.get_referents(awaited) if any(hasattr(thing, kind[0]) for kind in KINDS))
    return next(found, None)
