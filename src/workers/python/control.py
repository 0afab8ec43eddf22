"""The other tasks of a worker: it obeys runner, shows the stacks of its threads, keeps its limits.

Plain Python 3.8 and later, standard library only. Runner's side is src/workers/worker_control.rs: a stream socket, which
closes when runner ends. Runner sends single bytes: 0 tells the worker to leave, any other asks for the stacks of its lanes,
and numbers the answer: a text in the format of `faulthandler`, then a line `reply NUMBER`. If a worker does not answer
because a thread holds the interpreter's lock, runner sends it a signal, upon which `faulthandler` writes to the same
socket without any lock.
"""

from functools import partial

from runner_exchange import Gone
from runner_kept import faulthandler, os, resource, signal, sys, thread, time
from runner_output import say
from runner_title import entitle_fork

LEAVE = 0
DEEPEST = 100  # frames of a stack that are shown, as by faulthandler
THREAD = 3  # the lane's counter that holds its thread, as in src/protocol/worker/frame.rs
MOMENT = 1.0  # seconds that anything may outlive runner


class Leaving:
    """Whether runner has told this worker to leave, though a request has not ended."""

    told = False


def no_action(number, _):
    """Runner itself acts on the signals of terminals and service managers. A handler rather than SIG_IGN, which programs
    that the application starts would inherit. The control thread sends one, too: it interrupts the main thread so that
    `finally` blocks run."""
    if Forks.is_foreign:
        # PyPy does not remove a handler in a process that was forked by another thread than the main one.
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
    """Keeps a signal for the control thread, so that it does not interrupt calls of other threads. A thread inherits the
    signal mask of the thread that starts it."""
    if number and hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK if is_mine else signal.SIG_BLOCK, [number])


def unblock(*numbers):
    """Unblocks signals in this thread that the application may have blocked."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


class Forks:
    """A process that the application forks is no worker: it obeys signals, does not hold the worker's descriptors, and
    answers no requests on the same lanes when it returns from the application."""

    is_foreign = False  # this is such a process
    makes_worker = False  # the fork makes a worker
    disown = tuple  # returns the steps that give up what belongs to the worker

    @classmethod
    def watch(cls):
        """To be called before the application is imported, which may fork."""
        if not hasattr(os, "register_at_fork"):
            return
        masked = thread._local()

        def before():
            # A signal that came before the handlers are taken away would be lost.
            masked.before = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)

        def after_in_parent():
            signal.pthread_sigmask(signal.SIG_SETMASK, masked.before)

        def after_in_child():
            # Processes that such a process forks in turn have nothing to give up.
            if not (cls.makes_worker or cls.is_foreign):
                cls.is_foreign = True
                cls.give_up()
            after_in_parent()

        os.register_at_fork(before=before, after_in_parent=after_in_parent, after_in_child=after_in_child)

    @classmethod
    def give_up(cls):
        steps = list(cls.disown())
        steps += [partial(let_go, number) for number in IGNORED]
        steps.append(entitle_fork)
        for step in steps:
            try:
                step()
            except BaseException:
                pass  # the other steps are needed all the same


def let_go(number):
    if signal.getsignal(number) is no_action:
        signal.signal(number, signal.SIG_DFL)


class Importing:
    """Meanwhile `faulthandler` writes the stack of the main thread to a descriptor when the signal comes. There is no thread
    for it, because applications may fork while they are imported. Threads of the application do not block the signal, so
    that it may interrupt their calls."""

    def __init__(self, number, descriptor):
        self.number = number
        self.descriptor = descriptor

    def __enter__(self):
        signal.signal(self.number, no_action)  # a late signal does no harm from now on
        try:
            faulthandler.register(self.number, file=self.descriptor, all_threads=False)
        except (AttributeError, OSError, RuntimeError, ValueError):
            pass  # the stack cannot be shown
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
    """Meanwhile there is room for one more descriptor, however many the application has open or allows itself."""

    lock = thread.allocate_lock()

    def __enter__(self):
        self.lock.acquire()
        self.limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.limit[1], self.limit[1]))

    def __exit__(self, *_):
        resource.setrlimit(resource.RLIMIT_NOFILE, self.limit)
        self.lock.release()


def start_thread(run):
    """Starts a thread of the system, even if the application has replaced those of `threading`."""
    try:
        thread.start_new_thread(run, ())
    except RuntimeError as error:
        say("it is replaced, because a thread cannot be started: %s" % error)
        os._exit(1)


class Control:
    """The thread that obeys runner."""

    def __init__(self, descriptor, options, lanes, leave=None):
        """`leave` ends requests, called in this thread; without it, an exception in the main thread does."""
        self.descriptor = descriptor
        self.grace = options["stop_timeout"]
        self.signal = options["stack_signal"]
        self.lanes = lanes
        self.main = thread.get_ident()
        self.leave = leave or self.interrupt

    def start(self):
        if self.signal:
            try:
                faulthandler.register(self.signal, file=self.descriptor, all_threads=True)
            except (AttributeError, OSError, RuntimeError, ValueError):
                signal.signal(self.signal, no_action)  # runner can only ask
        reserve(self.signal, is_mine=True)
        # With the default stack size, whatever the application has set.
        size = thread.stack_size(0)
        start_thread(self.obey)
        thread.stack_size(size)
        reserve(self.signal)

    def obey(self):
        """Ends the process when runner is gone. No client waits for an answer then: the application gets only a moment for
        other work, or less if a stop would give it less."""
        while True:
            order = self.receive()
            if not order:
                break
            if order[0] == LEAVE:
                self.leave()
            else:
                self.send(self.stacks() + "reply %d\n" % order[0])
        time.sleep(min(self.grace, MOMENT))
        os._exit(1)

    def interrupt(self):
        Leaving.told = True
        if hasattr(signal, "pthread_kill"):
            signal.pthread_kill(self.main, signal.SIGTERM)

    def receive(self):
        try:
            return os.read(self.descriptor, 1)
        except OSError:  # runner ended without reading all answers
            return b""

    def send(self, text):
        data = text.encode("utf-8", "backslashreplace")
        try:
            while data:
                data = data[os.write(self.descriptor, data) :]
        except OSError:
            pass  # runner is gone, which the next read notices

    def stacks(self):
        """The stacks of the lanes in the format of `faulthandler`."""
        frames = sys._current_frames()
        frames.pop(thread.get_ident(), None)  # refers to the dictionary, and would keep all frames alive
        lines = []
        for lane in self.lanes:
            ident = lane.counters[THREAD] or self.main  # a lane that has not begun
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
        """Ignores the signals on which runner acts, and prepares for forks of the application."""
        unblock(signal.SIGTERM)
        for number in IGNORED:
            # The application has reset it.
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, no_action)
        Forks.disown = self.disown

    def disown(self):
        """The steps that give up what belongs to the worker, the lanes first: only the worker may answer there."""
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
        # At the lower limit of processor time the process gets SIGXCPU, at the upper one SIGKILL.
        most = value + 5 if name == "cpu" else value
        try:
            resource.setrlimit(kind, (value, most))
        except (OSError, ValueError):
            _, most = resource.getrlimit(kind)
            resource.setrlimit(kind, (most, most))
            say("runner.workers.limits.%s is %d, but %d is the most that the system allows" % (name, value, most), "warning")


RESOURCES = {
    "memory": "RLIMIT_AS",
    "files": "RLIMIT_NOFILE",
    "cpu": "RLIMIT_CPU",
    "processes": "RLIMIT_NPROC",
    "core": "RLIMIT_CORE",
}
