"""Answers with its request: a line for each entry of the environ, then the checksum of the body."""

import zlib
from wsgiref.validate import validator


def report(environ, start_response):
    length = checksum = 0
    body = environ["wsgi.input"]
    block = body.read(65536)
    while block:
        length += len(block)
        checksum = zlib.crc32(block, checksum)
        block = body.read(65536)
    plain = (str, bool, tuple)
    lines = [f"{name}={value}" for name, value in sorted(environ.items()) if isinstance(value, plain)]
    lines.append("body=%d bytes, crc32 %08x\n" % (length, checksum))
    start_response("200 OK", [("Content-Type", "text/plain; charset=latin-1")])
    return ["\n".join(lines).encode("latin-1")]


application = validator(report)
