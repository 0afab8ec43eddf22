"""An ASGI application that reports its scope, for tests/gateways.rs."""

ITS_OWN = {"asgi", "client", "extensions", "headers", "server", "state"}


async def application(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    lines = ["%s=%r" % pair for pair in sorted(scope.items()) if pair[0] not in ITS_OWN]
    lines += ["header %r" % (header,) for header in sorted(scope["headers"]) if header[0] != b"connection"]
    lines += ["body=%r" % body, ""]
    report = "\n".join(lines).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain; charset=utf-8")]})
    await send({"type": "http.response.body", "body": report})
