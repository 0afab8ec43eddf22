"""What a worker does besides answering requests: obeys runner, says where its threads are, keeps its limits.

Plain Python 3.8 and later, standard library only. Runner's side is src/workers/watch.rs: a stream socket, which
closes when runner ends. Runner sends bytes: 0 tells the worker to leave, any other asks where its lanes are, and
numbers the answer. That is a text as `faulthandler` writes it, then a line `reply NUMBER`. Who does not answer,
because the interpreter's lock is held, is sent a signal, upon which `faulthandler` writes to the same socket
without any lock.
"""

from functools import partial

from runner_exchange import Gone
from runner_kept import faulthandler, os, resource, signal, sys, thread, time
from runner_output import say

LEAVE = 0
DEEPEST = 100  # frames of a stack that are told, as many as faulthandler tells
THREAD = 3  # the lane's counter that holds its thread, as in src/protocol/worker.rs
MOMENT = 1.0  # seconds that anything may outlive runner


class Leaving:
    """Whether runner has told this worker to leave, though a request has not ended."""

    told = False


def no_action(number, _):
    """Signals of the terminal and of service managers are runner's to act on. A handler rather than SIG_IGN,
    which programs started by the application would inherit. One comes from ourselves: it has the main thread
    give up what it is at, so that `finally` is done."""
    if Forks.is_foreign:
        # This Python (PyPy) does not let go of a handler in a process that another thread than the main one has forked.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    elif Leaving.told:
        raise Gone


IGNORED = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGTSTP")
    if hasattr(signal, name)
]


def reserve(number, is_mine=False):
    """Keeps a signal for the control thread: whatever another thread is waiting for is not interrupted. Threads
    begin with what the one that starts them has."""
    if number and hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK if is_mine else signal.SIG_BLOCK, [number])


def unblock(*numbers):
    """Has this thread get signals that an application has blocked with all others."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


class Forks:
    """A process that the application forks is none of ours: it obeys signals like any other, does not hold our descriptors,
    and is no second worker on the same lanes if it comes back from the application."""

    is_foreign = False  # this is such a process
    makes_worker = False  # the fork is one of ours
    disown = tuple  # gives what is to be done to give up what is ours

    @classmethod
    def watch(cls):
        """To be done before the application is imported, which may fork already then."""
        if not hasattr(os, "register_at_fork"):
            return
        masked = thread._local()

        def before():
            # A signal that came before the handlers are taken away would be lost.
            masked.before = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)

        def after_in_parent():
            signal.pthread_sigmask(signal.SIG_SETMASK, masked.before)

        def after_in_child():
            # What such a process forks in turn has nothing of ours.
            if not (cls.makes_worker or cls.is_foreign):
                cls.is_foreign = True
                cls.give_up()
            after_in_parent()

        os.register_at_fork(before=before, after_in_parent=after_in_parent, after_in_child=after_in_child)

    @classmethod
    def give_up(cls):
        steps = list(cls.disown())
        steps += [partial(let_go, number) for number in IGNORED]
        for step in steps:
            try:
                step()
            except BaseException:
                pass  # whatever it was, the others are to be done all the same


def let_go(number):
    if signal.getsignal(number) is no_action:
        signal.signal(number, signal.SIG_DFL)


class Importing:
    """Meanwhile `faulthandler` writes to a descriptor, when it is sent the signal, where the main thread is. No thread
    is there for it: applications may fork while they are imported. Their own threads begin without the signal blocked,
    which costs them no more than that it may interrupt what they wait for."""

    def __init__(self, number, descriptor):
        self.number = number
        self.descriptor = descriptor

    def __enter__(self):
        signal.signal(self.number, no_action)  # it does no harm from now on, however late it comes
        try:
            faulthandler.register(self.number, file=self.descriptor, all_threads=False)
        except (AttributeError, OSError, RuntimeError, ValueError):
            pass  # nothing can be said
        reserve(self.number, is_mine=True)

    def __exit__(self, *_):
        reserve(self.number)
        if hasattr(faulthandler, "unregister"):
            faulthandler.unregister(self.number)
        try:
            os.close(self.descriptor)
        except OSError:
            pass  # the application has done it


class Room:
    """Meanwhile there is room for a descriptor of ours, however many the application has open or allows itself."""

    lock = thread.allocate_lock()

    def __enter__(self):
        self.lock.acquire()
        self.limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.limit[1], self.limit[1]))

    def __exit__(self, *_):
        resource.setrlimit(resource.RLIMIT_NOFILE, self.limit)
        self.lock.release()


def start_thread(run):
    """Starts a thread of the system, also where those of `threading` are none any more."""
    try:
        thread.start_new_thread(run, ())
    except RuntimeError as error:
        say("it is replaced, because a thread cannot be started: %s" % error)
        os._exit(1)


class Control:
    """The thread that obeys runner."""

    def __init__(self, descriptor, options, lanes):
        self.descriptor = descriptor
        self.grace = options["stop_timeout"]
        self.signal = options["stack_signal"]
        self.lanes = lanes
        self.main = thread.get_ident()

    def start(self):
        if self.signal:
            try:
                faulthandler.register(self.signal, file=self.descriptor, all_threads=True)
            except (AttributeError, OSError, RuntimeError, ValueError):
                signal.signal(self.signal, no_action)  # it is asked only
        reserve(self.signal, is_mine=True)
        # Of the size that is usual, whatever the application wants for its own.
        size = thread.stack_size(0)
        start_thread(self.obey)
        thread.stack_size(size)
        reserve(self.signal)

    def obey(self):
        """Nothing outlives runner. When it is gone, nobody waits for an answer any more: the time that a stop
        would give is for what else the application has in hand, and not more than a moment."""
        while True:
            order = self.receive()
            if not order:
                break
            if order[0] == LEAVE:
                Leaving.told = True
                if hasattr(signal, "pthread_kill"):
                    signal.pthread_kill(self.main, signal.SIGTERM)
            else:
                self.send(self.stacks() + "reply %d\n" % order[0])
        time.sleep(min(self.grace, MOMENT))
        os._exit(1)

    def receive(self):
        try:
            return os.read(self.descriptor, 1)
        except OSError:  # runner ended with words of ours unread
            return b""

    def send(self, text):
        data = text.encode("utf-8", "backslashreplace")
        try:
            while data:
                data = data[os.write(self.descriptor, data) :]
        except OSError:
            pass  # that it is gone is seen when reading

    def stacks(self):
        """Where the lanes are, as faulthandler would say it."""
        frames = sys._current_frames()
        frames.pop(thread.get_ident(), None)  # would keep all of them alive
        lines = []
        for lane in self.lanes:
            ident = lane.counters[THREAD]
            lines.append("Thread 0x%016x (most recent call first):" % ident)
            frame, depth = frames.get(ident), 0
            while frame is not None and depth < DEEPEST:
                code = frame.f_code
                name = code.co_filename.replace("\n", "?"), frame.f_lineno or 0, code.co_name.replace("\n", "?")
                lines.append('  File "%s", line %d in %s' % name)
                frame, depth = frame.f_back, depth + 1
            if frame is not None:
                lines.append("  ...")
            lines.append("")
        return "\n".join(lines) + "\n"

    def keep_to_ourselves(self):
        """The signals that are runner's to act on do nothing here, and what the application forks has nothing of ours."""
        unblock(signal.SIGTERM)
        for number in IGNORED:
            # An application has tidied up.
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, no_action)
        Forks.disown = self.disown

    def disown(self):
        """What to give up in a process that is no worker, the lanes first: nobody else may answer there."""
        for lane in self.lanes:
            yield lane.disown
        yield lambda: os.close(self.descriptor)
        if self.signal:
            yield lambda: faulthandler.unregister(self.signal)
            yield lambda: signal.signal(self.signal, signal.SIG_DFL)


def keep_limits(limits):
    """Limits what this process may use, and each that the application starts."""
    for name, value in limits.items():
        kind = getattr(resource, RESOURCES[name], None)
        if kind is None:
            continue
        value = int(value)
        # At the lower limit of time it is told (SIGXCPU), at the upper one it is killed without a word.
        most = value + 5 if name == "cpu" else value
        try:
            resource.setrlimit(kind, (value, most))
        except (OSError, ValueError):
            _, most = resource.getrlimit(kind)
            resource.setrlimit(kind, (most, most))
            say("runner.workers.limits.%s is %d, but %d is the most that the system allows" % (name, value, most))


RESOURCES = {
    "memory": "RLIMIT_AS",
    "files": "RLIMIT_NOFILE",
    "cpu": "RLIMIT_CPU",
    "processes": "RLIMIT_NPROC",
    "core": "RLIMIT_CORE",
}
