"""Lifespan: an ASGI application is told of the beginning and the end of its worker.

Plain Python 3.8 and later, standard library only. The rules are those of the ASGI specification, `specs/lifespan.rst`. An
application takes part if it says that its startup is complete; if it raises an exception before, or returns, it does not.
"""

from runner_asgi_loop import stack_of, stack_of_blocked
from runner_asgi_message import kind_of_message, unknown
from runner_control import MOMENT, Forks, start_thread
from runner_exchange import report
from runner_kept import thread
from runner_output import say

ENOUGH = 0.9  # of the time to start or to end, after which the log says where it hangs
LONGEST_WAIT = 1e6  # seconds that a lock can be waited for on each system
STARTING, STARTED, STOPPING, STOPPED, NONE = range(5)  # NONE: the application takes no part


class Unfit(Exception):
    """The application cannot serve. The message says why."""


class Lifespan:
    """The application's task beside its requests. It has a context of its own, which requests do not see."""

    def __init__(self, loop, application, mode, is_first, start_timeout):
        self.loop = loop
        self.application = application
        self.mode = mode  # `auto`, `on` or `off`, as in `runner.asgi.lifespan`
        self.start_timeout = start_timeout  # seconds, after which runner ends this worker; 0 for no limit
        self.is_first = is_first  # of the workers of its version: what is so in each of them is said once
        self.phase = STARTING
        self.state = {}
        self.task = None
        self.has_started = False
        self.told = 0  # events that the application has received
        self.failure = None  # what it said
        self.error = None  # or the exception that it raised
        self.wakers = []  # of `receive`
        self.change = None

    async def start(self):
        """Begins. Returns the state that requests get; `None` if the application takes no part.

        Raises `Unfit` if the application cannot serve."""
        if self.mode == "off":
            self.phase = NONE
            return None
        self.change = self.loop.create_future()
        self.task = self.loop.create_task(self.run())
        done = self.watched("startup is not complete", self.start_timeout, "runner.start_timeout")
        try:
            await self.change
        finally:
            done.release()
        if self.failure is not None:
            raise Unfit("its lifespan failed: %s" % (self.failure or "the application does not say why"))
        if self.has_started:
            return self.state
        self.phase = NONE
        error = self.error
        if isinstance(error, SystemExit):
            raise Unfit("its lifespan ended with `SystemExit(%r)`" % (error.code,))
        what = "raised %s" % summary(error) if error is not None else "returned"
        if self.mode == "on":
            if error is not None:
                report(error, "exception in lifespan")
            raise Unfit("its lifespan %s before `lifespan.startup.complete`" % what)
        if error is not None and self.told:
            report(error, "exception in lifespan, without which the application is served", level="warning")
        elif self.is_first:
            say("the application takes no part in lifespan: it %s" % what, "info")
        return None

    def watched(self, what, limit, setting):
        """Has it said where the application hangs, before runner ends this worker for that, until the lock is released that
        this returns. In a thread, since it may block the loop."""
        done = thread.allocate_lock()
        done.acquire()
        main = thread.get_ident()
        time = ENOUGH * limit

        def watch():
            if done.acquire(True, min(time, LONGEST_WAIT)) or Forks.is_foreign or self.change.done():
                return
            stack = stack_of_blocked(self.loop, main) or stack_of(self.task)
            heading = "its lifespan %s after %g s (%s)" % (what, round(time, 3), setting)
            say("%s. Stack (most recent call last):\n%s" % (heading, stack))

        if limit > 0:
            start_thread(watch)
        return done

    async def run(self):
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self.application(scope, self.receive, self.send)
        except BaseException as error:
            if isinstance(error, GeneratorExit) and not self.loop.is_running():
                raise  # Python closes the coroutine of a task that the end of the loop has left
            self.error = error
            if self.phase == STARTED or self.phase == STOPPING:
                report(error, "exception in lifespan")
        if self.phase != STARTING:
            self.phase = STOPPED
        self.changed()

    def changed(self):
        if not self.change.done():
            self.change.set_result(None)

    async def receive(self):
        if not self.told:
            self.told = 1
            return {"type": "lifespan.startup"}
        while self.phase != STOPPING or self.told > 1:
            waiter = self.loop.create_future()
            self.wakers.append(waiter)
            try:
                await waiter
            finally:
                self.wakers.remove(waiter)
        self.told = 2
        return {"type": "lifespan.shutdown"}

    async def send(self, message):
        try:
            kind = message["type"]
        except (KeyError, TypeError):
            kind = kind_of_message(message)
        if kind not in KINDS:
            raise unknown(message)
        wanted, after = KINDS[kind]
        if self.phase != wanted:
            raise RuntimeError("`%s` was sent, but %s" % (kind, WHY[self.phase]))
        if kind == "lifespan.startup.complete":
            self.has_started = True
        elif kind == "lifespan.startup.failed":
            self.failure = str(message.get("message") or "")
        elif kind == "lifespan.shutdown.failed":
            say("its lifespan failed at the end: %s" % (message.get("message") or "the application does not say why"))
        self.phase = after
        self.changed()

    async def stop(self, patience, wait):
        """Tells the application of the end, and waits for it. `wait` is that of asyncio."""
        if self.phase != STARTED:
            return
        self.phase = STOPPING
        self.change = self.loop.create_future()
        for waiter in self.wakers:
            if not waiter.done():
                waiter.set_result(None)
        done = self.watched("has not ended", patience, "runner.stop_timeout")
        try:
            await wait([self.change], timeout=patience)
        finally:
            done.release()
        if self.change.done():
            await wait([self.task], timeout=MOMENT)


KINDS = {
    "lifespan.startup.complete": (STARTING, STARTED),
    "lifespan.startup.failed": (STARTING, STOPPED),
    "lifespan.shutdown.complete": (STOPPING, STOPPED),
    "lifespan.shutdown.failed": (STOPPING, STOPPED),
}
WHY = {
    STARTING: "startup is not complete yet",
    STARTED: "`lifespan.startup.complete` was sent already",
    STOPPING: "this is the shutdown",
    STOPPED: "lifespan has ended",
    NONE: "the application takes no part in it any more",
}


def summary(error):
    return ("%s: %s" % (type(error).__name__, error)).split("\n")[0].rstrip(": ")
