"""One request and its answer, by PEP 3333.

Plain Python 3.8 and later, standard library only. worker.py makes an exchange for each request.
"""

from io import BufferedRandom, BufferedReader, FileIO
from struct import pack

from runner_json_lines import LEVEL
from runner_kept import os, stat, sys
from runner_output import say
from runner_resolve import described, frames_of, traceback_of

WAKE, ANSWER, HEAD, BLOCK, END, FILE, ERRORS = range(7)  # kinds of frames, as in src/protocol/worker/frame.rs
SLOT = 15
TRUNCATED = 1
MOST_FIELDS = 65535  # that a frame can count
HEAD_LIMIT = 256 * 1024  # bytes of a head, as in src/protocol/worker/answer_head.rs
FIELDS_LIMIT = 1000  # header fields of it, as there
LONGEST_HEAD = HEAD_LIMIT + 1  # bytes of a head that are sent at most: enough to see that it is larger
LARGEST_WHOLE = (1 << 18) - 64  # bytes of an answer that fits the ring
LONGEST_TEXT = 1 << 16  # bytes of a text for `wsgi.errors` in one frame
CHARACTERS = LONGEST_TEXT // 6  # whole characters that fit: one takes up to six bytes (`\udc80`)
LOGGER = "runner.error"  # the logger of exceptions, as `gunicorn.error` and `uvicorn.error` are


class Gone(BaseException):
    """Runner is gone, and with it all clients. No application catches this by mistake."""


class Abandoned(Exception):
    """The client has gone away: the rest of the answer is not needed."""


class FileWrapper:
    """`wsgi.file_wrapper`: runner sends the file itself if it is a real one."""

    def __init__(self, filelike, block_size=65536):
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self):
        return self

    def __next__(self):
        block = self.filelike.read(self.block_size)
        if block:
            return block
        raise StopIteration


class BodyFile(BufferedReader):
    """`wsgi.input` where the body is a file. As with a body in memory, any negative size means the rest."""

    def read(self, size=-1):
        return super().read(size if size is None or size >= 0 else -1)


class Errors:
    """`wsgi.errors` where the gateway sends it to the web server (`FCGI_STDERR`). Sent at once, so that it outlives a crash."""

    def __init__(self, lane, number):
        self.lane, self.number = lane, number

    def write(self, text):
        for start in range(0, len(text), CHARACTERS):
            data = text[start : start + CHARACTERS].encode("utf-8", "backslashreplace")
            self.lane.spoken = self.number
            self.lane.send(ERRORS, self.number, data)
        return len(text)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def flush(self):
        pass


class Exchange:
    """One request and its answer."""

    __slots__ = ("lane", "number", "begin", "status", "headers", "begun", "ended")

    def __init__(self, lane, number, begin):
        self.lane = lane
        self.number = number
        self.begin = begin
        self.status = None
        self.headers = None
        self.begun = False  # the head has been sent
        self.ended = False  # and all of the body too

    def start_response(self, status, headers, exc_info=None):
        if exc_info is not None:
            try:
                if self.begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # breaks the cycle with the traceback's frame
        elif self.status is not None:
            raise AssertionError("start_response was called a second time without exc_info")
        self.status = status
        self.headers = headers
        return self.write

    def write(self, block):
        if self.ended:
            raise AssertionError("write() was called after the response had ended")
        if self.lane.cancelled(self.number):
            raise Abandoned
        if block:
            check_block(block)
        self.part(block)

    def part(self, block, behind=b""):
        """Sends a block, in front of the first one the head of the answer."""
        if block and type(block) is not bytes:
            block = bytes(block)
        stream = self.lane.stream
        if not self.begun:
            block = stream.begin(self.number, self.encoded_head(), len(self.headers), behind, block)
            self.begun = True
        if block:
            stream.put(self.number, block, self.lane.cancelled)

    def whole(self, body):
        """Answers with all of the body. Returns the time if nothing is left to do."""
        if type(body) is not bytes:
            check_block(body)
            body = bytes(body)
        head = self.encoded_head()
        if len(head) + len(body) > LARGEST_WHOLE:
            self.part(body, pack("<Q", len(body)))
            return self.end()
        ended = self.lane.publish(self.number, self.begin, head, len(self.headers), body)
        self.begun = self.ended = True
        return ended

    def encoded_head(self):
        """The status and the header fields in the format that runner reads."""
        try:
            if len(self.headers) > MOST_FIELDS:
                self.headers = self.headers[:MOST_FIELDS]
            parts = [self.status]
            for field in self.headers:
                parts += field
            # Runner refuses a longer head, and logs that.
            return "\0".join(parts)[:LONGEST_HEAD].encode("latin-1")
        except (TypeError, ValueError):
            if self.status is None:
                raise AssertionError("write() was called before start_response") from None
            raise TypeError(
                "status and headers must be a string and a list of pairs of strings (of latin-1 characters), but got %.500r and %.500r"
                % (self.status, self.headers)
            ) from None

    def end(self, flags=0):
        """Ends a body that was sent in blocks."""
        self.ended = True
        self.lane.stream.end(self.number, self.lane.service(self.begin), flags)

    def announced_length(self):
        for name, value in self.headers:
            if len(name) == 14 and name.lower() == "content-length":
                value = str(value)
                return int(value) if value.isascii() and value.isdigit() else None
        return None

    def blocks(self, result):
        """Sends the blocks of an iterable as they come: PEP 3333 forbids holding any back. Returns whether there are more of
        them than `Content-Length` says.
        """
        has_more = False
        for block in result:
            if block:
                if self.ended:
                    has_more = True
                    break
                self.block(block)
            if not self.ended and self.lane.cancelled(self.number):
                raise Abandoned
        if self.status is None:
            raise AssertionError("the application did not call start_response")
        if not self.begun:
            self.whole(b"")
        elif not self.ended:
            self.end()
        return has_more

    def block(self, block):
        if type(block) is not bytes:
            check_block(block)
        if self.status is None:
            raise AssertionError("the application gave a block before it called start_response")
        if not self.begun and self.announced_length() == len(block):
            self.whole(block)
        else:
            self.part(block)

    def file(self, wrapper):
        """Hands the file over if it is a regular file. Returns whether it was."""
        if self.status is None or self.begun:
            return False
        file = plain_file(wrapper.filelike)
        if file is None:
            return False
        try:
            descriptor = file.fileno()
            about = os.fstat(descriptor)
            # Files in /proc and /sys seem to be empty.
            if not stat.S_ISREG(about.st_mode) or about.st_size == 0:
                return False
            offset = file.tell()
        except (OSError, ValueError):  # UnsupportedOperation is both
            return False
        length = max(0, about.st_size - offset)
        head = self.encoded_head()
        self.lane.hand_over(descriptor)
        self.begun = self.ended = True
        payload = head + pack("<QQ", offset, length)
        self.lane.send(FILE, self.number, payload, self.begin, 0, len(self.headers), len(head))
        return True

    def failed(self, answer=None):
        """The application raised an exception. The answer, if there is one, shows it."""
        if self.ended:
            return  # the client has a complete answer
        if self.begun:
            self.end(TRUNCATED)
        else:
            self.status, self.headers, body = answer or plain_failure()
            self.whole(body)


def plain_failure():
    body = b"500 Internal Server Error\n"
    fields = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    return "500 Internal Server Error", fields, body


def check_block(block):
    if not isinstance(block, bytes):
        raise TypeError("a WSGI application gives bytes, but got %s" % described(block))


def plain_file(filelike):
    """The operating system's file behind a file-like object, if reading gives exactly its contents: not if a class of the
    application, or one that decompresses, has a `read` of its own."""
    if type(filelike).__module__ == "tempfile":
        filelike = getattr(filelike, "file", None)  # NamedTemporaryFile wraps it
    file = getattr(getattr(filelike, "read", None), "__self__", None)
    raw = getattr(file, "raw", None) if type(file) in (BodyFile, BufferedReader, BufferedRandom) else file
    return file if type(raw) is FileIO else None


def trace(error):
    """The traceback, if the application has left `traceback` in a state that works."""
    try:
        return traceback_of(error)
    except Gone:
        raise
    except BaseException:
        return "%s, and it cannot be said where\n" % type(error).__name__


def log_exception(error, method, target, errors):
    """Says that the application has not handled an exception of a request."""
    report(error, "exception while answering %s %s", (method, target), errors)


def report(error, what, names=(), errors=None, level="error"):
    """Says that the application has not handled an exception: once, by Python's `logging` if the application has a handler
    there; else on `errors` of WSGI if they go to the web server, or in the log."""
    if is_logged(error, what, names, level):
        return
    about = "%s\n%s" % (what % names, trace(error))
    if type(errors) is Errors:
        errors.write("runner worker %d: %s" % (os.getpid(), about))
    else:
        say(about, level)


def is_logged(error, what, names, level):
    """Gives an exception to `logging`, if that is loaded: what wraps it, as error trackers do, sees the exception in any case.
    Returns whether a handler takes it."""
    logging = sys.modules.get("logging")
    if logging is None:
        return False
    before = LEVEL.set(level)
    try:
        logger = logging.getLogger(LOGGER)
        number = getattr(logging, level.upper())
        if not logger.isEnabledFor(number):
            return False
        if not logger.handlers:
            # As in libraries: where there is no other handler, Python would write it itself.
            logger.addHandler(logging.NullHandler())
        logger.log(number, what, *names, exc_info=(type(error), error, frames_of(error)))
        return any(it.level <= number and not isinstance(it, logging.NullHandler) for it in handlers_of(logger))
    except Gone:
        raise
    except BaseException:
        return False  # the application has changed what is needed here, or its handler has failed
    finally:
        LEVEL.reset(before)


def handlers_of(logger):
    """The handlers that get the messages of a logger: its own, and those of the loggers above it."""
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None
