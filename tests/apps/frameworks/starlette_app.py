"""A Starlette application: files, streams, events, and requests that watch whether their client is still there."""

import asyncio
import contextlib
import os
import zlib

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

SEEN = {"stopped": 0, "finished": 0, "codes": [], "left": 0, "pathsend": None}
RELEASED = asyncio.Event()
FOLDER = os.getcwd()


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"started": True}
    print("shut down", flush=True)


async def json(request):
    return JSONResponse({"hello": request.query_params["name"], "started": request.state.started})


async def upload(request):
    crc = size = 0
    async for block in request.stream():
        crc, size = zlib.crc32(block, crc), size + len(block)
    return JSONResponse({"size": size, "crc": crc})


async def events(request):
    async def generate():
        try:
            yield "data: first\n\n"
            await asyncio.Event().wait()
        finally:
            SEEN["stopped"] += 1

    return StreamingResponse(generate(), media_type="text/event-stream")


async def blocks(request):
    async def generate():
        for number in range(64):
            yield bytes([number]) * 65536

    return StreamingResponse(generate())


async def file(request):
    SEEN["pathsend"] = "http.response.pathsend" in request.scope.get("extensions", {})
    return FileResponse(os.path.join(FOLDER, "file.bin"), filename="naïve.bin")


async def watch(request):
    """Looks again and again whether its client is still there."""
    SEEN["watching"] = True
    while not await request.is_disconnected():
        await asyncio.wait([asyncio.ensure_future(RELEASED.wait())], timeout=0.01)
    SEEN["left"] += 1
    return PlainTextResponse("to nobody")


async def finish():
    await RELEASED.wait()
    SEEN["finished"] += 1


async def background(request):
    return PlainTextResponse("begun", background=BackgroundTask(finish))


async def release(request):
    RELEASED.set()
    return PlainTextResponse("released")


async def seen(request):
    return JSONResponse(SEEN)


async def fails(request):
    raise RuntimeError("as it was told to")


class Echo(WebSocketEndpoint):
    async def on_connect(self, websocket):
        offered = websocket.scope["subprotocols"]
        await websocket.accept(subprotocol="chat" if "chat" in offered else None, headers=[(b"x-accepted", b"yes")])

    async def on_receive(self, websocket, data):
        if data == "close":
            await websocket.close(4001, "as told")
        elif isinstance(data, str):
            await websocket.send_text(data)
        else:
            await websocket.send_bytes(data)

    async def decode(self, websocket, message):
        return message["text"] if message.get("text") is not None else message["bytes"]

    async def on_disconnect(self, websocket, close_code):
        SEEN["codes"].append(close_code)


async def refused(websocket):
    await websocket.close()


async def denied(websocket):
    await websocket.send_denial_response(JSONResponse({"why": "not today"}, status_code=401))


class Passes(BaseHTTPMiddleware):
    """The kind of middleware that wraps `receive` and `send`, and runs the application in a task of its own."""

    async def dispatch(self, request, call_next):
        response = await call_next(request)
        response.headers["x-passed"] = "yes"
        return response


wrapped = Starlette(
    routes=[Route("/events", events), Route("/blocks", blocks)],
    middleware=[Middleware(Passes)],
)
application = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/json", json),
        Route("/upload", upload, methods=["POST"]),
        Route("/events", events),
        Route("/blocks", blocks),
        Route("/file", file),
        Route("/watch", watch),
        Route("/background", background),
        Route("/release", release),
        Route("/seen", seen),
        Route("/raise", fails),
        WebSocketRoute("/echo", Echo),
        WebSocketRoute("/refused", refused),
        WebSocketRoute("/denied", denied),
        Mount("/wrapped", wrapped),
        Mount("/static", StaticFiles(directory=FOLDER)),
    ],
)
