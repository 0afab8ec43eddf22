"""An ASGI application that is controlled through named pipes: it writes a byte to `waiting` or `closed` when something has
happened, and goes on when it can read one from `go`."""

import asyncio
import os


def note(name):
    with open(os.path.join(os.path.dirname(__file__), name), "wb", buffering=0) as pipe:
        pipe.write(b".")


def gate(name="go"):
    note("waiting")
    with open(os.path.join(os.path.dirname(__file__), name), "rb", buffering=0) as pipe:
        pipe.read(1)


async def wait():
    await asyncio.get_running_loop().run_in_executor(None, gate)


async def turn():
    """Waits for the next turn of the loop."""
    comes = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(comes.set_result, None)
    await comes


async def answer(send, body, status=200):
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def disconnected(receive):
    while (await receive())["type"] != "http.disconnect":
        pass
    note("closed")


async def http(scope, receive, send):
    path = scope["path"]
    if path == "/wait":
        await wait()
        await answer(send, b"waited")
    elif path == "/block":
        gate()
        await answer(send, b"blocked")
    elif path.startswith("/late/"):
        await turn()
        gate(path[len("/late/") :])
        await answer(send, b"%d" % os.getpid())
    elif path == "/turn":
        await turn()
        await answer(send, b"turned")
    elif path == "/turn-block":
        await turn()
        gate()
        await answer(send, b"blocked")
    elif path == "/pid":
        await answer(send, b"%d" % os.getpid())
    elif path == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await wait()
        await send({"type": "http.response.body", "body": b", ended"})
    elif path == "/endless":
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await disconnected(receive)
    elif path == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(256):
            await send({"type": "http.response.body", "body": b"%d" % (number % 10) * 65536, "more_body": True})
            if number == 0:
                note("waiting")
        await send({"type": "http.response.body"})
    elif path == "/left":
        note("waiting")
        await disconnected(receive)
    elif path == "/cling":
        note("waiting")
        is_noted = False
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if not is_noted:
                    is_noted = True
                    note("closed")
    elif path == "/hang":
        note("waiting")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            note("closed")
            raise
    else:
        await answer(send, b"hello")


async def websocket(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept", "subprotocol": "chat"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            note("closed")
            break
        text = message.get("text")
        if text == "pid":
            text = str(os.getpid())
        if text is not None:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


async def lifespan(receive, send):
    while True:
        message = await receive()
        if os.environ.get("LIFESPAN") == "fails":
            return await send({"type": "lifespan.startup.failed", "message": "no database"})
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def application(scope, receive, send):
    if scope["type"] == "http":
        await http(scope, receive, send)
    elif scope["type"] == "websocket":
        await websocket(scope, receive, send)
    else:
        await lifespan(receive, send)
