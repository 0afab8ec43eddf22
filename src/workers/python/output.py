"""The log, as a worker writes to it: what cannot be written costs nobody a request, but is counted and said later.

Plain Python 3.8 and later, standard library only. A disk may be full, a file as long as it may be, a reader gone or stopped.
What the application prints is its log, and so is `wsgi.errors`.
"""

import sys
from io import BufferedWriter, FileIO, TextIOWrapper

from runner_kept import os, select, stat

ROOM = 4096  # bytes that a pipe takes without waiting if it takes any (PIPE_BUF)
PATIENCE = 1000  # milliseconds that a reader may take to make room, if it has made some the last time


class Losses:
    """How many lines are missing, where runner sees it: it says so when this worker ends before it can."""

    outputs = []
    counters = None
    place = pid = 0

    @classmethod
    def changed(cls):
        # What the application has forked speaks for itself.
        if cls.counters is not None and cls.pid == os.getpid():
            cls.counters[cls.place] = sum([output.lost for output in cls.outputs])


def report_losses(counters, place):
    Losses.counters, Losses.place, Losses.pid = counters, place, os.getpid()
    Losses.changed()


class Output(FileIO):
    """A descriptor that takes whatever is written to it."""

    def __init__(self, descriptor, name):
        super().__init__(descriptor, "w", closefd=False)
        self.name = name
        self.identity = identity(descriptor)
        self.is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self.lost = 0  # lines that could not be written since that was last said
        self.why = ""  # the last of them could not be
        self.is_torn = False  # the last line that was written is not whole

    def write(self, data):
        data = bytes(data)
        before = self.lost
        if before and self.put(self.apology()):
            self.lost = 0
        if self.lost or not self.put(data):
            self.lost += max(1, data.count(b"\n"))
        if self.lost != before:
            Losses.changed()
        return len(data)

    def apology(self):
        start = "\n" if self.is_torn else ""
        missing = "a line is" if self.lost == 1 else "%d lines are" % self.lost
        text = "%srunner worker %d: %s missing here: %s\n" % (start, os.getpid(), missing, self.why)
        return text.encode("utf-8", "backslashreplace")

    def put(self, data):
        """Writes, and tells whether all of it could be written."""
        rest = data
        try:
            while rest:
                if not self.is_file and not self.has_room():
                    self.why = "the log was not read"
                    break
                count = os.write(self.fileno(), rest if self.is_file else rest[:ROOM])
                rest = rest[count:]
        except (OSError, ValueError) as error:
            self.why = "the log could not be written: %s" % (getattr(error, "strerror", None) or error)
        if len(rest) < len(data):
            self.is_torn = bool(rest)
        return not rest

    def has_room(self):
        poll = select.poll()
        poll.register(self.fileno(), select.POLLOUT)
        return bool(poll.poll(0 if self.lost else PATIENCE))


class Log(TextIOWrapper):
    """`wsgi.errors`. An application that closes it does so for nobody else."""

    def close(self):
        self.flush()


def identity(descriptor):
    """What a descriptor is of: another may get its number when it has been closed."""
    about = os.fstat(descriptor)
    return about.st_dev, about.st_ino


def is_still(descriptor, wanted):
    try:
        return identity(descriptor) == wanted
    except OSError:
        return False


def text_of(output, kind, encoding):
    if output not in Losses.outputs:
        Losses.outputs.append(output)
    return kind(BufferedWriter(output), encoding=encoding, errors="backslashreplace", line_buffering=True)


# Nothing that an application does to descriptor 2 reaches this one.
OWN = Output(os.dup(2), "<log>")


def new_log():
    return text_of(OWN, Log, "utf-8")


def adopt_standard_streams():
    """Has what the application will print written as all else is."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        encoding = getattr(getattr(sys, name), "encoding", "utf-8")
        stream = text_of(Output(descriptor, "<%s>" % name), TextIOWrapper, encoding)
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)


def say(text):
    """Writes a line of our own, or several, to the log."""
    line = "runner worker %d: %s\n" % (os.getpid(), text.rstrip("\n"))
    try:
        output = OWN if is_still(OWN.fileno(), OWN.identity) else Output(2, "<stderr>")
        output.write(line.encode("utf-8", "backslashreplace"))
    except OSError:
        pass  # there is no log left
