"""A Litestar application."""

import asyncio
import contextlib
import zlib

from litestar import Litestar, Request, WebSocket, get, post, websocket
from litestar.background_tasks import BackgroundTask
from litestar.logging import LoggingConfig
from litestar.exceptions import WebSocketDisconnect
from litestar.response import Response, ServerSentEvent, Stream

SEEN = {"stopped": 0, "finished": 0, "codes": []}
RELEASED = asyncio.Event()


@contextlib.asynccontextmanager
async def lifespan(app):
    app.state.started = True
    yield
    print("shut down", flush=True)


@get("/json")
async def json(request: Request, name: str) -> dict:
    return {"hello": name, "started": request.app.state.started}


@post("/upload", status_code=200, request_max_body_size=None)
async def upload(request: Request) -> dict:
    crc = size = 0
    async for block in request.stream():
        crc, size = zlib.crc32(block, crc), size + len(block)
    return {"size": size, "crc": crc}


@get("/events")
async def events() -> ServerSentEvent:
    async def generate():
        try:
            yield "first"
            await asyncio.Event().wait()
        finally:
            SEEN["stopped"] += 1

    return ServerSentEvent(generate())


@get("/blocks")
async def blocks() -> Stream:
    async def generate():
        for number in range(64):
            yield bytes([number]) * 65536

    return Stream(generate())


async def finish():
    await RELEASED.wait()
    SEEN["finished"] += 1


@get("/background")
async def background() -> Response:
    return Response("begun", background=BackgroundTask(finish))


@get("/release")
async def release() -> None:
    RELEASED.set()


@get("/seen")
async def seen() -> dict:
    return SEEN


@get("/raise")
async def fails() -> None:
    raise RuntimeError("as it was told to")


@websocket("/echo")
async def echo(socket: WebSocket) -> None:
    offered = socket.scope["subprotocols"]
    await socket.accept(subprotocols="chat" if "chat" in offered else None, headers={"x-accepted": "yes"})
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                SEEN["codes"].append(message["code"])
                return
            if message.get("text") == "close":
                return await socket.close(4001, "as told")
            if message.get("text") is not None:
                await socket.send_text(message["text"])
            else:
                await socket.send_bytes(message["bytes"])
    except WebSocketDisconnect as gone:
        SEEN["codes"].append(gone.code)


@websocket("/refused")
async def refused(socket: WebSocket) -> None:
    await socket.close()


application = Litestar(
    [json, upload, events, blocks, background, release, seen, fails, echo, refused],
    lifespan=[lifespan],
    openapi_config=None,
    # Otherwise it says nothing of an exception unless it is debugging.
    logging_config=LoggingConfig(log_exceptions="always"),
)
