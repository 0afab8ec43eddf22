"""The log, as a worker writes it: a line that cannot be written never costs a request. It is counted and reported later.

Plain Python 3.8 and later, standard library only. A disk may be full, a file may have reached its size limit, a reader may be
gone or stopped. The output of the application is its log, and so is `wsgi.errors`. A terminal shows what is written and does
not obey it: control characters, which may come from a client, are escaped as in src/log/control_characters.rs. Where the log
has objects, runner gets each as one packet of a socket: see src/log/application_output.rs.
"""

import re
import sys
import threading
import traceback
from io import BufferedWriter, FileIO, TextIOWrapper

from runner_json_lines import LEVEL, REQUEST, object_line
from runner_kept import os, select, stat, time

ROOM = 4096  # bytes that a pipe takes without waiting if it takes any (PIPE_BUF)
PRIORITIES = {"error": "<3>", "warning": "<4>", "info": "<6>"}  # as the journal reads them
LONGEST = 1 << 15  # bytes of a message in an object: escaped, they fit into a packet
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
            cls.counters[cls.place] = sum([output.lost + bool(output.held) for output in cls.outputs])


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
        self.held = b""  # the beginning of a line whose end is to come, where lines are objects
        # https://force-color.org: whoever sets it wants colours in files, too.
        self.has_colours = os.isatty(descriptor) or bool(os.environ.get("FORCE_COLOR"))

    def write(self, data):
        data = bytes(data)
        if Form.stamp == "json":
            self.hold(data)
        else:
            self.deliver(self.visible(data), max(1, data.count(b"\n")))
        return len(data)

    def deliver(self, shown, lines):
        """Writes lines in their form, or counts them."""
        before = self.lost
        if before and self.put(self.apology()):
            self.lost = 0
        if self.lost or not self.put(shown):
            self.lost += lines
        if self.lost != before:
            Losses.changed()

    def hold(self, data):
        """Makes one object of what comes in one write, such as a traceback, if its last line is whole."""
        had = bool(self.held)
        self.held += data
        if self.held.endswith(b"\n") or Form.is_ending:
            self.finish()
        elif len(self.held) > LONGEST:
            self.held = self.deliver_beginning(self.held)
        if bool(self.held) != had:
            Losses.changed()

    def finish(self):
        """Delivers a line that has no end."""
        whole, self.held = self.held, b""
        if whole:
            self.deliver_object(self.deliver_beginning(whole[:-1] if whole.endswith(b"\n") else whole))

    def deliver_beginning(self, text):
        """Delivers what is too long for one object, in parts that say that they go on. Returns the rest, which is not empty if
        there were any.
        """
        begin = 0
        while len(text) - begin > LONGEST:
            end = character_end(text, begin + LONGEST)
            self.deliver_object(text[begin:end], partial=True)
            begin = end
        return text[begin:]

    def deliver_object(self, text, **members):
        members["stream"] = STREAMS.get(self.name, self.name)
        message = text.decode("utf-8", "backslashreplace")
        self.deliver(object_of(message, LEVEL.get(), REQUEST.get(), members), 1)

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
        is_packet = Form.channel is not None and is_still(*Form.channel)
        try:
            descriptor = Form.channel[0] if is_packet else self.fileno()
            while rest:
                is_whole = is_packet or self.is_file
                if (is_packet or not self.is_file) and not self.has_room(descriptor):
                    self.why = "the log was not read"
                    break
                count = os.write(descriptor, rest if is_whole else rest[:ROOM])
                rest = rest[count:]
        except (OSError, ValueError) as error:
            self.why = "the log could not be written: %s" % (getattr(error, "strerror", None) or error)
        if len(rest) < len(data):
            self.is_torn = bool(rest)
        return not rest

    def has_room(self, descriptor):
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        return bool(poll.poll(0 if self.lost else PATIENCE))


def character_end(text, place):
    """Where a text in UTF-8 can be cut so that no character is torn, shortly before a place in it."""
    for end in range(place, place - 4, -1):
        if text[end] & 0xC0 != 0x80:
            return end
    return place


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


# The streams of the application by their names in objects.
STREAMS = {"<stdout>": "stdout", "<stderr>": "stderr", "<log>": "wsgi.errors"}
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
    if Form.stamp == "json":
        write_tracebacks_whole()


def write_tracebacks_whole():
    """Python writes those of threads, and of what cannot raise (`__del__`), in parts, and each would be an object. The
    application may have other hooks."""

    def of_thread(args):
        if args.exc_type is not SystemExit:
            show("Exception in thread %s" % (args.thread.name if args.thread is not None else "?"), args)

    def ignored(args):
        what = args.err_msg or "Exception ignored in"
        show(what if args.object is None else "%s: %s" % (what, shown(args.object)), args)

    def show(what, args):
        if sys.stderr is not None:
            said = traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback)
            before = LEVEL.set("error")
            try:
                sys.stderr.write("%s:\n%s" % (what, "".join(said)))
            finally:
                LEVEL.reset(before)

    threading.excepthook = of_thread
    sys.unraisablehook = ignored


def shown(thing):
    try:
        return repr(thing)
    except Exception:
        return "<object repr() failed>"  # as Python says


ESCAPED = [*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
CONTROLS = {code: chr(code).encode("unicode_escape").decode() for code in ESCAPED}


class Form:
    """What stands before each line of runner's own, as in src/log/form.rs; or that all lines are objects."""

    stamp = "plain"
    name = ""
    application = ""  # its name, where a server has several
    names_requests = False  # by their ids
    marks_requests = False  # objects have members for the ids
    channel = None  # the descriptor that takes objects, and its identity
    is_ending = False  # lines need no end any more


def form_lines(stamp, name, application, names_requests, channel):
    Form.stamp, Form.name, Form.application = stamp, name, application
    Form.names_requests = names_requests
    if stamp == "json":
        Form.marks_requests = names_requests
        Form.channel = channel, identity(channel)


def finish_lines():
    """Delivers lines that have no end: a process that is forked would have them, too."""
    for output in Losses.outputs:
        output.finish()
    Losses.changed()


def end_lines():
    """The same at the end of this process, when Python flushes its streams a last time."""
    Form.is_ending = True
    finish_lines()


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


def moment():
    """The time, as all lines have it: RFC 3339, UTC, with milliseconds."""
    now = time.time()
    return "%s.%03dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)), now % 1 * 1000)


def object_of(message, level, ids, more):
    """A message as an object of JSON, on a line."""
    first = {"time": moment(), "level": level, "name": Form.name or None, "message": message, "worker": os.getpid()}
    if Form.application:
        first["application"] = Form.application
    return object_line({**first, **ids, **more})


def own_lines(text, level, ids=None):
    """Lines of runner's own, each with what belongs before it. They have no colours."""
    if Form.stamp == "json":
        return object_of(text.rstrip("\n"), level, REQUEST.get() if ids is None else ids, {})
    text = text.translate(CONTROLS)
    before = Form.name + ": " if Form.name else ""
    if Form.stamp == "journal":
        before = PRIORITIES[level] + before
    elif Form.stamp == "time":
        before = "%s %s %s" % (moment(), level, before)
    about = Form.application + ": " if Form.application else ""
    lines = ("runner worker %d: %s%s" % (os.getpid(), about, text.rstrip("\n"))).split("\n")
    return "".join("%s%s\n" % (before, line) for line in lines).encode("utf-8", "backslashreplace")


def say(text, level="error", ids=None):
    """Writes lines of runner's own to the log: about the request that is answered here, or about the one with these ids."""
    try:
        output = OWN if is_still(OWN.fileno(), OWN.identity) else Output(2, "<stderr>")
        lines = own_lines(text, level, ids)
        output.deliver(lines, lines.count(b"\n"))
    except OSError:
        pass  # there is no log left
