"""Looks for resources that two processes cannot share, in a template that has imported the application.

Plain Python 3.8 and later, standard library only.

- Threads: a fork has only the thread that forks. Native threads count, too, which libraries start without Python's
  knowledge; but not threads that their library ends before each fork (OpenBLAS).
- Child processes: only the process that started them can wait for them; to another they seem to have ended. The resource
  tracker of `multiprocessing` does not count.
- Sockets: data that one process reads is missing in the other, and an unconnected socket would be connected by all of them.
  Listening sockets are meant to be shared: each connection goes to one process, and a second process could not listen at
  the same address. Unnamed datagram sockets (syslog's), which get no answers, do no harm.
- File locks: one process holds them, or all do and each believes that it is the only one.
- Notifications that only one process gets: epoll, eventfd, inotify, timers; and pipes that another process writes to.
- Devices, whose drivers know the process that opened them; not terminals, `/dev/null` and the like.
- Files that are read: all processes share one position, and a database takes locks that a fork loses. Files that are only
  written or appended to without a lock are logs; files that are mapped into memory are read there.

Descriptors that this process was started with, or that runner gave it, do not count.
"""

import sys
import threading

from runner_kept import os, signal, socket, stat, time

MOMENT = 0.25  # seconds that an ending thread may take
MOST = 4  # hindrances that are named
ACCESS = os.O_RDONLY | os.O_WRONLY | os.O_RDWR
MEMORY = 1  # the major number of /dev/null, /dev/zero, /dev/urandom and their like
HARMLESS = ("pidfd", "signalfd", "bpf", "seccomp", "landlock")  # without a file; each process has its own use of them
NAMES = {"eventpoll": "an epoll", "eventfd": "an eventfd", "timerfd": "a timer", "io_uring": "an io_uring"}


class Sharing:
    """Looks at this process, and knows what it had before the import."""

    def __init__(self, ours):
        self.ours = set(ours)
        self.inherited = set()
        self.children = set(children())
        for number in numbers():
            if is_inherited(number):
                self.ours.add(number)
                self.inherited.add(identity(number))

    def hindrances(self):
        """What keeps this process from being forked, in words; nothing if it can be."""
        try:
            return self.look()
        except Exception as error:  # the application has changed a module that is needed here
            return "what cannot be looked at (%s: %s)" % (type(error).__name__, error)

    def look(self):
        found = list(threads())
        deadline = time.monotonic() + MOMENT
        while found and time.monotonic() < deadline:
            time.sleep(0.005)
            found = list(threads())
        if found and len(found) == native_threads():
            try_fork()
            found = list(threads())
        found += [described_child(child) for child in children() if child not in self.children]
        found += timers()
        found += self.descriptors()
        told = found[:MOST] + (["%d more" % (len(found) - MOST)] if len(found) > MOST else [])
        return ", ".join(told)

    def descriptors(self):
        mapped = lines("/proc/self/maps")
        mapped = {line.split(None, 5)[5].rstrip("\n") for line in mapped if line.count(" ") >= 5 and "/" in line}
        new = [number for number in numbers() if number not in self.ours]
        written = {identity(number) for number in new if is_pipe(number) and flags(number) & ACCESS != os.O_RDONLY}
        for number in new:
            try:
                if identity(number) in self.inherited:
                    continue
                what = hindrance(number, mapped, written)
            except OSError:  # the descriptor of the listing itself, which is closed
                continue
            if what:
                yield "%s (descriptor %d)" % (what, number)


def numbers():
    """The open descriptors, and perhaps the one with which they were listed."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return sorted(map(int, os.listdir(folder)))
        except OSError:
            pass
    return []


def identity(number):
    """The file behind a descriptor, which several descriptors may have; its number if it is no file."""
    try:
        found = os.fstat(number)
    except OSError:
        return number
    return (found.st_dev, found.st_ino) if stat.S_IFMT(found.st_mode) else number


def is_inherited(number):
    """Whether the process was started with a descriptor: Python makes its own ones non-inheritable."""
    try:
        return os.get_inheritable(number)
    except OSError:
        return False


def is_pipe(number):
    try:
        return stat.S_ISFIFO(os.fstat(number).st_mode)
    except OSError:
        return False


def lines(path):
    try:
        with open(path, errors="surrogateescape") as file:
            return file.readlines()
    except OSError:
        return []


def about(number):
    """The system's information on a descriptor, if there is any."""
    return lines("/proc/self/fdinfo/%d" % number)


def flags(number):
    """The flags with which a descriptor was opened; write-only where the system does not tell."""
    for line in about(number):
        if line.startswith("flags:"):
            return int(line.split()[1], 8)
    return os.O_WRONLY


def hindrance(number, mapped, written):
    """Why two processes cannot share a descriptor; `None` if they can."""
    mode = os.fstat(number).st_mode
    try:
        path = os.readlink("/proc/self/fd/%d" % number)
    except OSError:
        path = "?"
    if stat.S_ISSOCK(mode):
        return connection(number)
    if any(line.startswith("lock:") for line in about(number)):
        return "a lock of the file `%s`" % path
    if stat.S_ISFIFO(mode):
        theirs = flags(number) & ACCESS == os.O_RDONLY and identity(number) not in written
        return "a pipe that another process writes to" if theirs else None
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        # A terminal is harmless, its controlling end is not.
        terminal = os.isatty(number) and not path.endswith("/ptmx")
        memory = stat.S_ISCHR(mode) and os.major(os.fstat(number).st_rdev) == MEMORY
        return None if terminal or memory else "the device `%s`" % path
    if stat.S_ISREG(mode):
        opened = flags(number)
        if opened & getattr(os, "O_PATH", 0) or opened & os.O_APPEND or opened & ACCESS == os.O_WRONLY:
            return None
        for_both = path.endswith(" (deleted)") or path.startswith("/dev/shm/")
        if path in mapped and (for_both or opened & ACCESS == os.O_RDONLY):
            return None
        return "the open file `%s`" % path
    if stat.S_IFMT(mode) or not path.startswith("anon_inode:"):
        return None
    name = path[len("anon_inode:") :].strip("[]")
    return None if name.startswith(HARMLESS) else NAMES.get(name, "an `%s`" % name)


def connection(number):
    waits = os.get_blocking(number)
    opened = socket.socket(fileno=os.dup(number))
    try:
        own, peer = address(opened.getsockname), address(opened.getpeername)
        if is_listening(opened):
            return None
        if opened.family == socket.AF_UNIX and opened.type != socket.SOCK_STREAM and not own:
            return None
    finally:
        opened.close()
        # With a default timeout, making the socket object has changed this, for all descriptors of the socket.
        os.set_blocking(number, waits)
    if peer is not None:
        return "a connection to %s" % peer if peer else "a connected socket"
    return "a socket bound to %s" % own if own else "an unconnected socket"


def is_listening(opened):
    try:
        return opened.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:  # this kind of socket cannot listen
        return False


def address(get):
    """An address in words; "" if it has no name, `None` if there is none."""
    try:
        found = get()
    except OSError:
        return None
    if isinstance(found, tuple) and len(found) >= 2 and isinstance(found[0], str) and isinstance(found[1], int):
        host = "[%s]" % found[0] if ":" in found[0] else found[0]
        return "%s:%d" % (host, found[1]) if found[1] else ""
    if isinstance(found, bytes):
        found = os.fsdecode(found)
    return "`unix:%s`" % found if found and isinstance(found, str) else ""


def children():
    """The child processes that were not waited for."""
    try:
        tasks = os.listdir("/proc/self/task")
    except OSError:
        return []
    found = [child for task in tasks for line in lines("/proc/self/task/%s/children" % task) for child in line.split()]
    tracker = getattr(sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None)
    return [child for child in map(int, found) if child != getattr(tracker, "_pid", None)]


def described_child(child):
    name = "".join(lines("/proc/%d/comm" % child)).rstrip("\n")
    return "the child process %d (`%s`)" % (child, name)


def threads():
    """The threads other than the main one, in words."""
    known = {thread.native_id: thread for thread in threading.enumerate() if hasattr(thread, "native_id")}
    try:
        tasks = [int(task) for task in os.listdir("/proc/self/task")]
    except OSError:
        main = threading.main_thread()
        for thread in threading.enumerate():
            if thread is not main:
                yield "the thread `%s`%s" % (thread.name, place(thread))
        return
    for task in tasks:
        if task == os.getpid():
            continue
        thread = known.get(task)
        if thread is not None:
            yield "the thread `%s`%s" % (thread.name, place(thread))
            continue
        for name in lines("/proc/self/task/%d/comm" % task):
            yield "a native thread `%s`" % name.rstrip("\n")


def native_threads():
    """How many threads Python does not know."""
    return len(list(threads())) - (len(threading.enumerate()) - 1)


def place(thread):
    """The outermost function of the application in which a thread is."""
    frame, begun = sys._current_frames().get(thread.ident), None
    while frame is not None:
        if not frame.f_code.co_filename.startswith("<") and frame.f_code.co_filename != threading.__file__:
            begun = frame
        frame = frame.f_back
    if begun is None:
        return ""
    return " (%s, in %s)" % (begun.f_code.co_filename, begun.f_code.co_name)


def try_fork():
    """Has libraries end the threads that they end before a fork."""
    try:
        pid = os.fork()
    except OSError:
        return
    if pid == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    deadline = time.monotonic() + 4 * MOMENT
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:  # a library's fork handler hangs
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def timers():
    """The timers of this process: a fork has none."""
    for kind in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF"):
        if hasattr(signal, kind) and signal.getitimer(getattr(signal, kind))[0]:
            yield "a timer"
    if lines("/proc/self/timers"):
        yield "a timer"
