"""An ASGI application that does with each WebSocket what its path says."""

import asyncio


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    first = await receive()
    assert first == {"type": "websocket.connect"}, first
    await DEEDS[scope["path"]](scope, receive, send)


def tell(scope, message):
    """Tells the log of the end."""
    assert message["type"] == "websocket.disconnect", message
    print("%s: left with %d %r" % (scope["path"], message["code"], message["reason"]), flush=True)


def says(*messages):
    """Sends messages, and returns."""

    async def deed(scope, receive, send):
        for message in messages:
            await send(message)

    return deed


def ends(*messages):
    """Sends messages, the last of which are the end, and tells of it."""

    async def deed(scope, receive, send):
        await says(*messages)(scope, receive, send)
        tell(scope, await receive())

    return deed


def text(text):
    return {"type": "websocket.send", "text": text}


async def scope_of(scope, receive, send):
    await send(ACCEPT)
    wanted = ("asgi", "extensions", "http_version", "path", "raw_path", "query_string", "scheme", "subprotocols", "type")
    await send(text(repr([(key, scope[key]) for key in wanted] + ["method" in scope])))


async def echo(scope, receive, send):
    """Says what it receives, until the client leaves."""
    await send(ACCEPT)
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return tell(scope, message)
        await send(text(repr(message)))


async def others(scope, receive, send):
    """One task accepts and sends, while another one receives."""

    async def speak():
        await send(ACCEPT)
        await send(text("hello"))

    task = asyncio.ensure_future(speak())
    message = await receive()
    await task
    await send({"type": "websocket.send", "bytes": message["text"].encode()})


async def late(scope, receive, send):
    """Accepts when the client has left."""
    message = await receive()
    await send(ACCEPT)
    tell(scope, message)
    try:
        await send(text("nobody"))
    except OSError as error:
        print("/late: %s" % error, flush=True)
        raise


async def mends(scope, receive, send):
    """Goes on after a message was refused."""
    for wrong in (text("too early"), {"type": "websocket.accept", "subprotocol": "a b"}):
        try:
            await send(wrong)
        except (RuntimeError, ValueError):
            continue
        raise AssertionError(wrong)
    await send(ACCEPT)
    for wrong in (ACCEPT, {"type": "websocket.send"}, {"type": "websocket.close", "code": 1006}):
        try:
            await send(wrong)
        except (RuntimeError, ValueError):
            continue
        raise AssertionError(wrong)
    await send(text("mended"))


async def fails(scope, receive, send):
    await send(ACCEPT)
    raise KeyError("why")


async def fails_early(scope, receive, send):
    raise KeyError("why")


ACCEPT = {"type": "websocket.accept"}
DENIAL = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"www-authenticate", b"Basic")]}
PART = {"type": "websocket.http.response.body", "body": b"not ", "more_body": True}
DEEDS = {
    "/scope": scope_of,
    "/chosen": says(
        {"type": "websocket.accept", "subprotocol": "b", "headers": [(b"set-cookie", b"x=1"), (b"set-cookie", b"y=2")]}
    ),
    "/echo": echo,
    "/others": others,
    "/late": late,
    "/mends": mends,
    "/returns": says(ACCEPT, text("all")),
    "/closes": ends(ACCEPT, {"type": "websocket.close"}),
    "/closes/why": ends(ACCEPT, {"type": "websocket.close", "code": 4000, "reason": "\xe9" * 61}),
    "/fails": fails,
    "/refuses": ends({"type": "websocket.close", "code": 4000}),
    "/denies": ends(DENIAL, PART, {"type": "websocket.http.response.body", "body": b"you"}),
    "/denies/partly": says(DENIAL, PART),
    "/nothing": says(),
    "/fails/early": fails_early,
}
