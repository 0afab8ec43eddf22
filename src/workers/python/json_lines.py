"""Lines of the log as objects of JSON (RFC 8259), as in src/log/json_object.rs, and the request that they are about.

Plain Python 3.8 and later, standard library only.
"""

import re
from contextvars import ContextVar

# Control characters, those that end a line in JavaScript, and those that change the direction of a text.
ESCAPED = [*range(32), *range(127, 160), 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)]
ESCAPES = {code: "\\u%04x" % code for code in ESCAPED}
ESCAPES.update({ord(character): "\\" + shown for character, shown in zip('"\\\n\t\r', '"\\ntr')})
# https://www.w3.org/TR/trace-context/#traceparent-header, as in src/gateway/http/request_ids.rs
TRACE = re.compile(
    r"(?:00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z"
    r"|(?!00|ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-|\Z))"
)

# The members of lines that are written while a request is answered: a thread and a task of asyncio have each their own.
REQUEST = ContextVar("runner_request", default={})
# The level of what is written to the streams of the application: known while Python, or `logging` at runner's request, writes
# about an exception that nothing has handled.
LEVEL = ContextVar("runner_level", default="info")


def ids_of(request_id, parent):
    """The members about a request, from two of its header fields."""
    found = TRACE.match(parent) if parent else None
    trace = found and (found.group(1) or found.group(2))
    ids = {"request_id": request_id, "trace_id": trace}
    return {name: value for name, value in ids.items() if value}


def ids_in(scope):
    """The same by the scope of ASGI."""
    fields = {name: value.decode("latin-1") for name, value in scope["headers"] if name in FIELDS}
    return ids_of(*map(fields.get, FIELDS))


FIELDS = (b"x-request-id", b"traceparent")


def object_line(members):
    """A line with the members of a dict: texts, numbers, `True` and `None`."""
    shown = ['"%s":%s' % (name, written(value)) for name, value in members.items()]
    return ("{%s}\n" % ",".join(shown)).encode()


def written(value):
    if value is True:
        return "true"
    return value if type(value) is int else quoted(value)


def quoted(text):
    if text is None:
        return "null"
    # Half a character of UTF-16 is none of JSON's.
    text = text.encode("utf-8", "backslashreplace").decode()
    return '"%s"' % text.translate(ESCAPES)
