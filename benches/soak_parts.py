"""The parts of the soaked site that are in Python: by WSGI, and by ASGI with WebSockets. Each answer repeats its number."""

import asyncio
import os
import time
from urllib.parse import parse_qs

# Long enough for a kill to come in the middle, now and then.
SLOW = 0.05


def numbers(query):
    fields = parse_qs(query)
    return fields["n"][0], "slow" in fields


def application(environ, start_response):
    number, slow = numbers(environ["QUERY_STRING"])
    length = len(environ["wsgi.input"].read())
    if slow:
        time.sleep(SLOW)
    content = f"{number} {length}\n".encode()
    head = [("Content-Type", "text/plain"), ("Content-Length", str(len(content))), ("X-Worker", str(os.getpid()))]
    start_response("200 OK", head)
    return [content]


async def by_asgi(scope, receive, send):
    if scope["type"] == "websocket":
        return await echo(receive, send)
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    number, slow = numbers(scope["query_string"].decode())
    length = 0
    while True:
        message = await receive()
        length += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    if slow:
        await asyncio.sleep(SLOW)
    head = [(b"content-type", b"text/plain"), (b"x-worker", str(os.getpid()).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    for part in (number, " %d\n" % length):
        await send({"type": "http.response.body", "body": part.encode(), "more_body": True})
    await send({"type": "http.response.body"})


async def echo(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": "%d %s" % (os.getpid(), message["text"])})
