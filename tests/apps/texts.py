"""Bodies of any type, length and header fields, as the query says, and one that comes line by line."""

import threading
from urllib.parse import parse_qsl

LINE = b"<p>The quick brown fox jumps over the lazy dog.</p>\n"
# The next line of `/steps` may come.
NEXT = threading.Semaphore(0)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    query = parse_qsl(environ["QUERY_STRING"], keep_blank_values=True)
    headers = [pair for pair in query if pair[0] not in ("lines", "length", "status")]
    query = dict(query)
    if path == "/next":
        NEXT.release()
    body = LINE * int(query.get("lines", 1))
    if "length" in query:
        headers.append(("Content-Length", query["length"] or str(len(body))))
    start_response(query.get("status", "200 OK"), headers)
    if path == "/steps":
        return steps(int(query["lines"]))
    if path == "/cut":
        return cut(body)
    if path == "/pieces":
        return (body[start:start + 5000] for start in range(0, len(body), 5000))
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def steps(lines):
    for _ in range(lines):
        yield LINE
        NEXT.acquire()


def cut(body):
    yield body
    raise OSError("the rest is gone")
