"""One application in each form, with the same answers: by WSGI, by ASGI, as a CGI program and as an HTTP server.

As a program, it listens at `PORT`, which is how `upstream http exec:` starts it, or answers one request by CGI.
"""

import os
import sys
import zlib

PLAIN = ("Content-Type", "text/plain; charset=utf-8")


def answer(method, path, query, fields, body):
    """The status, the header fields and the parts of the body; texts are Latin-1, as those of WSGI."""
    if path == "/none":
        return "404 Not Found", [PLAIN], [b"nothing here\n"]
    if path == "/away":
        return "302 Found", [("Location", "/elsewhere?a=b")], []
    if path == "/refused":
        return "403 Forbidden", [PLAIN, ("X-Reason", "no entry")], [b"no\n"]
    if path == "/stream":
        return "200 OK", [PLAIN], [b"line %d\n" % number for number in range(5)]
    text = "%s %s?%s %s %d bytes, %08x\n" % (method, path, query, fields, len(body), zlib.crc32(body))
    content = text.encode("latin-1")
    length = ("Content-Length", str(len(content)))
    return "200 OK", [PLAIN, length], [] if method == "HEAD" else [content]


def application(environ, start_response):
    names = "CONTENT_TYPE", "HTTP_COOKIE", "HTTP_X_TEST"
    fields = "|".join(environ.get(name) or "-" for name in names)
    # A server of `wsgiref` sets a type that the client has not sent.
    fields = fields.replace("text/plain|", "-|", 1)
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    request = environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", "")
    status, head, parts = answer(*request, fields, body)
    start_response(status, head)
    return parts


async def by_asgi(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    fields = "|".join(headers.get(name, "-") for name in (b"content-type", b"cookie", b"x-test"))
    path = scope["path"][len(scope["root_path"]) :].encode().decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    status, head, parts = answer(scope["method"], path, query, fields, body)
    head = [(name.lower().encode(), value.encode()) for name, value in head]
    await send({"type": "http.response.start", "status": int(status[:3]), "headers": head})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})


def main():
    if "GATEWAY_INTERFACE" in os.environ and "PORT" not in os.environ:
        from wsgiref.handlers import CGIHandler

        CGIHandler().run(application)
        return
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    class Handler(WSGIRequestHandler):
        def log_message(self, *_):
            pass

    port = int(os.environ["PORT"])
    make_server("127.0.0.1", port, application, server_class=Server, handler_class=Handler).serve_forever()


if __name__ == "__main__":
    sys.exit(main())
