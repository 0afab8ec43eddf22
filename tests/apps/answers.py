"""One function for each way in which an application may answer (PEP 3333), chosen by the path."""

import io
import os
import sys
from wsgiref.validate import validator

TEXT = ("Content-Type", "text/plain")


class Closing:
    """An iterable that logs when it is closed."""

    def __init__(self, name, blocks):
        self.name = name
        self.blocks = iter(blocks)

    def __iter__(self):
        return self.blocks

    def close(self):
        print("closed", self.name, file=sys.stderr, flush=True)


def block(environ, start_response):
    start_response("200 OK", [TEXT])
    return [b"one block"]


def blocks(environ, start_response):
    start_response("200 OK", [TEXT])
    return [b"one ", b"", b"two ", b"three"]


def empty(environ, start_response):
    start_response("200 OK", [TEXT])
    return []


def generator(environ, start_response):
    """Begins its response when the server asks for the first block."""
    start_response("200 OK", [TEXT])
    yield b""
    yield b"one "
    yield b"two"


def write(environ, start_response):
    send = start_response("200 OK", [TEXT])
    send(b"written ")
    send(b"by hand ")
    return [b"and returned"]


def length(environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "9")])
    return [b"one ", b"block"]


def too_long(environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "3")])
    return [b"one", b"and more"]


def too_short(environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "10")])
    return [b"one"]


def reason(environ, start_response):
    start_response("299 Something Of Our Own", [TEXT])
    return [b"fine"]


def repeated(environ, start_response):
    start_response("200 OK", [TEXT, ("Set-Cookie", "a=1"), ("X-Latin", "\xe9"), ("Set-Cookie", "b=2")])
    return [b"cookies"]


def no_content(environ, start_response):
    start_response("204 No Content", [])
    return []


def not_modified(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"tag"')])
    return []


def replaced(environ, start_response):
    """Replaces its response before anything was sent."""
    start_response("200 OK", [TEXT, ("X-First", "yes")])
    try:
        raise ValueError("a change of mind")
    except ValueError:
        start_response("503 Sorry", [TEXT, ("X-Second", "yes")], sys.exc_info())
    return [b"sorry"]


def too_late(environ, start_response):
    """Replaces its response after the head was sent: the server raises the exception again."""
    start_response("200 OK", [TEXT])
    yield b"first"
    try:
        raise ValueError("too late to change")
    except ValueError:
        start_response("500 Sorry", [TEXT], sys.exc_info())
    yield b"never sent"


def file(environ, start_response):
    """The rest of a file that was read in part."""
    opened = open(__file__, "rb")
    opened.readline()
    size = os.fstat(opened.fileno()).st_size - opened.tell()
    start_response("200 OK", [TEXT, ("Content-Length", str(size))])
    return environ["wsgi.file_wrapper"](opened)


def part_of_file(environ, start_response):
    opened = open(__file__, "rb")
    start_response("200 OK", [TEXT, ("Content-Length", "3")])
    return environ["wsgi.file_wrapper"](opened, 8192)


def no_real_file(environ, start_response):
    start_response("200 OK", [TEXT])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"from memory " * 1000))


def echo(environ, start_response):
    start_response("200 OK", [TEXT])
    return [environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))]


def lines(environ, start_response):
    """All the ways to read."""
    source = environ["wsgi.input"]
    found = [source.readline(), *source.readlines(1)[:1], source.read(2), *source, source.read(1)]
    start_response("200 OK", [TEXT])
    return [repr(found).encode()]


def real_file(environ, start_response):
    """A large body is a file."""
    source = environ["wsgi.input"]
    size = os.fstat(source.fileno()).st_size
    first = source.read(4)
    source.seek(0)
    start_response("200 OK", [TEXT])
    return [b"%d %s %d" % (size, first, len(source.read()))]


def prints(environ, start_response):
    print("said on stdout")
    sys.stderr.write("said on stderr\n")
    os.write(1, b"written to descriptor 1\n")
    environ["wsgi.errors"].write("said to wsgi.errors\n")
    start_response("200 OK", [TEXT])
    return [b"quiet"]


def closes(environ, start_response):
    start_response("200 OK", [TEXT])
    return Closing("regular", [b"one", b"two"])


def closes_after_failure(environ, start_response):
    def failing():
        yield b"one"
        raise ValueError("in the middle")

    start_response("200 OK", [TEXT])
    return Closing("failed", failing())


def closes_for_nobody(environ, start_response):
    """Sends blocks until the client has gone."""

    def endless():
        while True:
            yield b"x" * 65536

    start_response("200 OK", [TEXT])
    return Closing("abandoned", endless())


def raises(environ, start_response):
    return 1 / 0


def raises_in_iteration(environ, start_response):
    start_response("200 OK", [TEXT])
    raise LookupError("before the first block")
    yield b"never"


def never_starts(environ, start_response):
    return [b"no head"]


def nothing(environ, start_response):
    start_response("200 OK", [TEXT])


def text(environ, start_response):
    start_response("200 OK", [TEXT])
    return ["not bytes"]


def starts_twice(environ, start_response):
    start_response("200 OK", [TEXT])
    start_response("200 OK", [TEXT])
    return [b"twice"]


def bad_status(environ, start_response):
    start_response("fine", [TEXT])
    return [b"bad status"]


def bad_header(environ, start_response):
    start_response("200 OK", [("X-Split", "a\r\nSet-Cookie: forged=1")])
    return [b"bad header"]


def bad_name(environ, start_response):
    start_response("200 OK", [("X Bad", "a")])
    return [b"bad header"]


def hop_by_hop(environ, start_response):
    start_response("200 OK", [("Transfer-Encoding", "chunked")])
    return [b"0\r\n\r\n"]


def answer(environ, start_response):
    return globals()[environ["PATH_INFO"].strip("/")](environ, start_response)


validated = validator(answer)


def application(environ, start_response):
    """Correct functions run inside the validator, which refuses the others."""
    correct = environ["QUERY_STRING"] != "unchecked"
    return (validated if correct else answer)(environ, start_response)
