"""The event loop of an ASGI worker, and its tasks: how they begin, and where they are, with what they have started.

Plain Python 3.8 and later, standard library only. `asyncio` is taken as the application has left it, since the tasks of the
application have to understand those of runner. A loop that the application has made at its import is used if this process
has imported it: a lock, a pool of connections or a task that was made there belongs to it. In a fork it would be shared with
other processes.
"""

import gc
import importlib
import platform
import traceback
from contextvars import Context, ContextVar
from functools import partial
from itertools import islice
from types import BuiltinMethodType, coroutine

from runner_kept import sys, thread
from runner_resolve import BadName, described, resolve

DEEPEST = 100  # calls of a stack that are shown
# Coroutines, generators and asynchronous generators: the attributes of their frame, and of what they await.
KINDS = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))
OURS = "runner/"  # the beginning of the file names of runner's modules
MOST = 5  # tasks and threads of a request that are shown
# What leads from a call of a thread to the context in which it calls on: that of `asyncio.to_thread`, for example.
LEADS = (partial, tuple, BuiltinMethodType)

# The number of the request for which code runs. Tasks inherit it that a request starts, and threads if their libraries pass
# the context on, as anyio, asyncio and asgiref do.
RUNNING = ContextVar("running")


class BadLoop(Exception):
    """The loop that the user wants cannot be made. The message says why."""


def new_loop(name, is_forked):
    """Makes the event loop of `runner.asgi.loop`, and sets it as the one of this thread."""
    asyncio = importlib.import_module("asyncio")
    loop = of_import(asyncio) if name == "auto" and not is_forked else None
    loop = loop or made(name, asyncio)
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


def of_import(asyncio):
    """The loop that the application has made at its import for this thread, if it can go on."""
    if sys.version_info >= (3, 14):
        try:
            loop = asyncio.get_event_loop()
        except RuntimeError:
            return None
    else:
        # Before, to ask for it would make one.
        loop = getattr(getattr(asyncio.get_event_loop_policy(), "_local", None), "_loop", None)
    return loop if loop is not None and not loop.is_closed() and not loop.is_running() else None


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


def stacks_of(task, number):
    """Where a request is: its task, and those tasks and threads that were started for it, in the format of Python's
    tracebacks."""
    seen = set()
    text = stack_of(task, seen)
    try:
        kin = [*tasks_beside(task, number, seen), *threads_of(number)]
        for heading, stack in islice(kin, MOST):
            text += "  %s:\n%s" % (heading, stack)
        if len(kin) > MOST:
            text += "  and %d more tasks and threads of it\n" % (len(kin) - MOST)
    except Exception as error:  # the application has changed what is needed here
        text += "  (what it has started cannot be shown: %s: %s)\n" % (type(error).__name__, error)
    return text


def tasks_beside(task, number, seen):
    """The other tasks that a request has started, apart from those that were seen already."""
    for other in importlib.import_module("asyncio").all_tasks(task.get_loop()):
        if other is task or other in seen or number_in(context_of(other)) != number:
            continue
        stack = stack_of(other, seen)
        if stack:
            name = other.get_name() if hasattr(other, "get_name") else "?"
            yield "its task `%s`" % name, stack


def context_of(task):
    """The context of a task, or `None`."""
    if hasattr(task, "get_context"):
        return task.get_context()
    # Before Python 3.12 those that are not written in Python do not say it.
    return getattr(task, "_context", None) or next(contexts_in(gc.get_referents(task)), None)


def number_in(context):
    return context.get(RUNNING) if context is not None else None


def contexts_in(things, depth=4):
    for thing in things:
        kind = type(thing)
        if kind is Context:
            yield thing
        elif depth and (kind in LEADS or kind.__module__ == "concurrent.futures.thread"):
            yield from contexts_in(gc.get_referents(thing), depth - 1)
        elif 0 < depth < 4 and kind is dict:
            yield from contexts_in(list(thing.values()), depth - 1)  # the attributes of one of these


def threads_of(number):
    """The threads that run for a request, without the calls that led to the application's."""
    names = {each.ident: each.name for each in importlib.import_module("threading").enumerate()}
    frames = sys._current_frames()
    frames.pop(thread.get_ident(), None)
    for ident, frame in frames.items():
        calls = []
        while frame is not None and len(calls) < DEEPEST:
            if any(number_in(context) == number for context in contexts_in(list(frame.f_locals.values()))):
                break
            calls.append(call_at(frame))
            frame = frame.f_back
        # A thread that waits for its next work still knows the last.
        if frame is not None and calls and not calls[-1].filename.endswith("/queue.py"):
            stack = "".join(traceback.format_list(calls[::-1]))
            yield "its thread `%s`" % names.get(ident, "?"), stack


def stack_of_blocked(loop, ident):
    """Where the thread of an event loop is in a task. Empty if it is in none."""
    calls = []
    is_in_task = importlib.import_module("asyncio").current_task(loop) is not None
    frame = sys._current_frames().get(ident) if is_in_task else None
    while frame is not None and len(calls) < DEEPEST and not frame.f_code.co_filename.startswith(OURS):
        calls.append(call_at(frame))
        frame = frame.f_back
    return "".join(traceback.format_list(calls[::-1]))


def stack_of(task, seen=None):
    """Where a task is, through all that it waits for, in the format of Python's tracebacks. Adds the tasks to `seen`."""
    try:
        calls = []
        seen = set() if seen is None else seen
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
            calls.append(call_at(frame))
        work = getattr(work, kind[1])
    return calls


def call_at(frame):
    code = frame.f_code
    return traceback.FrameSummary(code.co_filename, frame.f_lineno or 0, code.co_name)


def behind(awaited):
    """The generator that an iterator of Python's own drives, such as that of `async for`."""
    found = (thing for thing in gc.get_referents(awaited) if any(hasattr(thing, kind[0]) for kind in KINDS))
    return next(found, None)
