"""The log, as a worker writes it: a line that cannot be written never costs a request. It is counted and reported later.

Plain Python 3.8 and later, standard library only. A disk may be full, a file may have reached its size limit, a reader may be
gone or stopped. The output of the application is its log, and so is `wsgi.errors`. A terminal shows what is written and does
not obey it: control characters, which may come from a client, are escaped as in src/log/control_characters.rs.
"""

import re
import sys
from io import BufferedWriter, FileIO, TextIOWrapper

from runner_kept import os, select, stat, time

ROOM = 4096  # bytes that a pipe takes without waiting if it takes any (PIPE_BUF)
PRIORITIES = {"error": "<3>", "warning": "<4>", "info": "<6>"}  # as the journal reads them
PATIENCE = 1000  # milliseconds that a reader may take to make room, if it has made room the last time


# Control characters without tabs and line ends, in UTF-8, and those that change the order of a line's text.
HARMFUL = re.compile(
    rb"\r\n|\x1b\[[0-9;:]*m|[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]"
)
# The beginning of one, where a write may end.
CUT = re.compile(rb"(?:\xc2|\xe2[\x80\x81]?)\Z")


class Losses:
    """The number of lines that are missing, where runner sees it: it reports them if this worker ends before it can."""

    outputs = []
    counters = None
    place = pid = 0

    @classmethod
    def changed(cls):
        # A process that the application has forked does not count for the worker.
        if cls.counters is not None and cls.pid == os.getpid():
            cls.counters[cls.place] = sum([output.lost for output in cls.outputs])


def report_losses(counters, place):
    Losses.counters, Losses.place, Losses.pid = counters, place, os.getpid()
    Losses.changed()


class Output(FileIO):
    """A file that accepts all that is written to it, and counts the lines that it cannot write."""

    def __init__(self, descriptor, name):
        super().__init__(descriptor, "w", closefd=False)
        self.name = name
        self.identity = identity(descriptor)
        self.is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self.lost = 0  # lines that could not be written since the last report
        self.why = ""  # the last of them could not be written
        self.is_torn = False  # the last line was written only in part
        self.cut = b""  # the last bytes, if they may begin a character that is to be escaped
        # https://force-color.org: whoever sets it wants colours in files, too.
        self.has_colours = os.isatty(descriptor) or bool(os.environ.get("FORCE_COLOR"))

    def write(self, data):
        data = bytes(data)
        shown = self.visible(data)
        before = self.lost
        if before and self.put(self.apology()):
            self.lost = 0
        if self.lost or not self.put(shown):
            self.lost += max(1, data.count(b"\n"))
        if self.lost != before:
            Losses.changed()
        return len(data)

    def visible(self, data):
        """Data as a terminal can get it: colours stay where they are seen."""
        whole = HARMFUL.match(self.cut + data) if self.cut else None
        start, after = b"", 0
        if whole and whole.end() > len(self.cut):
            start, after = self.escape(whole), whole.end() - len(self.cut)
        cut = CUT.search((self.cut + data)[-2:])
        self.cut = cut.group() if cut else b""
        return start + HARMFUL.sub(self.escape, data[after:])

    def escape(self, found):
        harmful = found.group()
        if harmful == b"\r\n":
            return harmful
        if harmful[-1:] == b"m":
            return harmful if self.has_colours else b"\\x1b" + harmful[1:]
        return harmful.decode().encode("unicode_escape")

    def apology(self):
        start = "\n" if self.is_torn else ""
        missing = "a line is" if self.lost == 1 else "%d lines are" % self.lost
        return start.encode() + own_lines("%s missing here: %s" % (missing, self.why), "warning")

    def put(self, data):
        """Writes data. Returns whether all of it was written."""
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
    """`wsgi.errors`. An application that closes it closes nothing."""

    def close(self):
        self.flush()


def identity(descriptor):
    """The file behind a descriptor: when a descriptor is closed, another file may get its number."""
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


# The application may close or replace descriptor 2: this is another one.
OWN = Output(os.dup(2), "<log>")


def new_log():
    return text_of(OWN, Log, "utf-8")


def adopt_standard_streams():
    """Has the output of the application written in the same way."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        encoding = getattr(getattr(sys, name), "encoding", "utf-8")
        stream = text_of(Output(descriptor, "<%s>" % name), TextIOWrapper, encoding)
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)


ESCAPED = [*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
CONTROLS = {code: chr(code).encode("unicode_escape").decode() for code in ESCAPED}


class Form:
    """What stands before each line of runner's own, as in src/log/form.rs."""

    stamp = "plain"
    name = ""
    names_requests = False  # by their ids


def form_lines(stamp, name, names_requests):
    Form.stamp, Form.name = stamp, name + ": " if name else ""
    Form.names_requests = names_requests


def named(request_id):
    """How lines about a request name it, if it has an id and they do."""
    return " (request %s)" % request_id if Form.names_requests and request_id else ""


def named_in(scope):
    """The same by the scope of ASGI, which the application may have changed."""
    if not Form.names_requests:
        return ""
    try:
        return named(dict(scope["headers"])[b"x-request-id"].decode("latin-1"))
    except Exception:
        return ""


def own_lines(text, level):
    """Lines of runner's own, each with what belongs before it. They have no colours."""
    text = text.translate(CONTROLS)
    before = Form.name
    if Form.stamp == "journal":
        before = PRIORITIES[level] + before
    elif Form.stamp == "time":
        now = time.time()
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        before = "%s.%03dZ %s %s" % (second, now % 1 * 1000, level, before)
    lines = ("runner worker %d: %s" % (os.getpid(), text.rstrip("\n"))).split("\n")
    return "".join("%s%s\n" % (before, line) for line in lines).encode("utf-8", "backslashreplace")


def say(text, level="error"):
    """Writes lines of runner's own to the log."""
    try:
        output = OWN if is_still(OWN.fileno(), OWN.identity) else Output(2, "<stderr>")
        output.write(own_lines(text, level))
    except OSError:
        pass  # there is no log left
