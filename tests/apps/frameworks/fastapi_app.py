"""A FastAPI application, as its documentation has them: lifespan, dependencies, background tasks, WebSockets, events.

All applications of this folder answer the paths that `tests/apps/drive_frameworks.py` asks for.
"""

import asyncio
import contextlib
import zlib

from fastapi import BackgroundTasks, Depends, FastAPI, Request, UploadFile, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

SEEN = {"stopped": 0, "finished": 0, "cleaned": 0, "codes": []}
RELEASED = asyncio.Event()


@contextlib.asynccontextmanager
async def lifespan(app):
    app.state.started = True
    yield {"started": True}
    print("shut down", flush=True)


application = FastAPI(lifespan=lifespan)


class Item(BaseModel):
    name: str
    price: float = 1.5


async def resource():
    """A dependency that is given back after the response."""
    yield "resource"
    SEEN["cleaned"] += 1


@application.get("/json")
async def json(request: Request, name: str, held: str = Depends(resource)):
    return {"hello": name, "started": request.state.started, "held": held}


@application.post("/item", status_code=201)
def item(item: Item):
    # Not a coroutine function: it runs in a thread.
    return item


@application.post("/upload")
async def upload(request: Request):
    crc = size = 0
    async for block in request.stream():
        crc, size = zlib.crc32(block, crc), size + len(block)
    return {"size": size, "crc": crc}


@application.post("/form")
async def form(file: UploadFile):
    return {"name": file.filename, "size": len(await file.read())}


@application.get("/events")
async def events():
    async def generate():
        try:
            yield "data: first\n\n"
            await asyncio.Event().wait()
        finally:
            SEEN["stopped"] += 1

    return StreamingResponse(generate(), media_type="text/event-stream")


@application.get("/blocks")
async def blocks():
    async def generate():
        for number in range(64):
            yield bytes([number]) * 65536

    return StreamingResponse(generate())


async def finish():
    await RELEASED.wait()
    SEEN["finished"] += 1


@application.get("/background")
async def background(tasks: BackgroundTasks):
    tasks.add_task(finish)
    return "begun"


@application.get("/release")
async def release():
    RELEASED.set()


@application.get("/seen")
async def seen():
    return SEEN


@application.get("/raise")
async def fails():
    raise RuntimeError("as it was told to")


@application.websocket("/echo")
async def echo(websocket: WebSocket):
    offered = websocket.scope["subprotocols"]
    await websocket.accept(subprotocol="chat" if "chat" in offered else None, headers=[(b"x-accepted", b"yes")])
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            if message.get("text") == "close":
                return await websocket.close(4001, "as told")
            if message.get("text") is not None:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])
    except WebSocketDisconnect as gone:
        SEEN["codes"].append(gone.code)


@application.websocket("/refused")
async def refused(websocket: WebSocket):
    await websocket.close()


@application.websocket("/denied")
async def denied(websocket: WebSocket):
    await websocket.send_denial_response(JSONResponse({"why": "not today"}, status_code=401))
