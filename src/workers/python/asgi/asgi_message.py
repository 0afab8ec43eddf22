"""The messages of an ASGI application: what is wrong in one is an exception where it is sent.

Plain Python 3.8 and later, standard library only. The rules are those of the ASGI specification, `specs/www.rst`, and of
RFC 9110 for header fields.
"""

import re

from runner_exchange import FIELDS_LIMIT, HEAD_LIMIT
from runner_resolve import described

MOST_NAMES = 1000  # that are remembered
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2
CONTENT_LENGTH, TRANSFER_ENCODING = b"content-length", b"transfer-encoding"
PLAIN = set()  # names of header fields that are fine, and nothing to look at
LENGTHS = {CONTENT_LENGTH}  # the same for names that announce a length


def encoded(message_type, line, headers):
    """A head in the format that runner reads, the number of its fields, and the length of the body if it is announced."""
    if type(headers) is not list:
        headers = listed(message_type, headers)
    parts = [line]
    length = None
    name = None
    try:
        for name, value in headers:
            if name not in PLAIN:
                kind = CONTENT_LENGTH if name in LENGTHS else kind_of(name)
                if kind == TRANSFER_ENCODING:
                    continue  # that is for the server to decide
                if kind == CONTENT_LENGTH:
                    announced = length_of(value)
                    if length is not None and length != announced:
                        raise ValueError("`Content-Length` is both %d and %d" % (length, announced))
                    if length is not None:
                        continue
                    length = announced
            parts.append(name)
            parts.append(value)
        head = b"\0".join(parts)
    except (TypeError, ValueError):
        for field in headers:
            if not is_field(field):
                text = "each of the `headers` of `%s` must be a pair of bytes, but one is %.200r"
                raise TypeError(text % (message_type, field)) from None
        raise
    fields = len(parts) // 2
    # Runner would refuse it, and what is larger than the stream could never be sent.
    if fields > FIELDS_LIMIT:
        raise ValueError("`headers` of `%s` has %d fields, and %d are the most" % (message_type, fields, FIELDS_LIMIT))
    if len(head) > HEAD_LIMIT:
        raise ValueError("`headers` of `%s` has %d bytes, and %d are the most" % (message_type, len(head), HEAD_LIMIT))
    if b"\n" in head or b"\r" in head or head.count(b"\0") != len(parts) - 1:
        for name, value in zip(parts[1::2], parts[2::2]):
            value = bytes(value)
            if any(sign in value for sign in (b"\n", b"\r", b"\0")):
                text = "the value of the header `%s` contains a line break or a zero byte: %r"
                raise ValueError(text % (name.decode("latin-1"), value[:200]))
    return head, fields, length


def kind_of(name):
    """What a name is that was not seen before: itself in lower case."""
    if not isinstance(name, bytes):
        raise TypeError
    if not TOKEN.fullmatch(name):
        raise ValueError("%r is not a header name" % name[:200])
    kind = name.lower()
    if kind != TRANSFER_ENCODING and len(PLAIN) + len(LENGTHS) < MOST_NAMES:
        (LENGTHS if kind == CONTENT_LENGTH else PLAIN).add(name)
    return kind


def length_of(value):
    if not isinstance(value, bytes):
        raise TypeError
    if not value.isdigit() or len(value) > 18:
        raise ValueError("`Content-Length` must be a number, but is %r" % value[:200])
    return int(value)


def listed(message_type, headers):
    """The header fields as a list: they are looked at twice if something is wrong."""
    try:
        return list(headers)
    except TypeError:
        text = "`headers` of `%s` must be pairs of bytes, but are %s"
        raise TypeError(text % (message_type, described(headers))) from None


def is_field(field):
    """Whether it is a pair of bytes."""
    try:
        name, value = field
    except (TypeError, ValueError):
        return False
    return isinstance(name, bytes) and isinstance(value, (bytes, bytearray, memoryview))


def wanted(message, key):
    try:
        return message[key]
    except KeyError:
        raise KeyError("`%s` lacks `%s`" % (message["type"], key)) from None


def kind_of_message(message):
    """The type of a message that was found to be no usual one."""
    try:
        return message["type"]
    except KeyError:
        raise KeyError("the message lacks `type`: %.200r" % (message,)) from None
    except TypeError:
        raise TypeError("a message must be a dict, but this is %s" % described(message)) from None


def unknown(message):
    return ValueError("`%.200s` is not a message that can be sent here" % (message["type"],))


def as_bytes(value, what):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError("%s must be bytes, but is %s" % (what, described(value)))


def split(body, size):
    """The parts of a body that is larger."""
    view = memoryview(body)
    return [view[start : start + size] for start in range(0, len(body), size)]
