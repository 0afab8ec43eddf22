"""A Quart application."""

import asyncio
import zlib

from quart import Quart, Response, jsonify, request, websocket
from werkzeug.datastructures import Headers

SEEN = {"stopped": 0, "finished": 0, "codes": [], "started": False}
RELEASED = asyncio.Event()
application = Quart(__name__)
application.config["RESPONSE_TIMEOUT"] = None
application.config["MAX_CONTENT_LENGTH"] = None


@application.before_serving
async def begin():
    SEEN["started"] = True


@application.after_serving
async def end():
    print("shut down", flush=True)


@application.get("/json")
async def json():
    return {"hello": request.args["name"], "started": SEEN["started"]}


@application.post("/upload")
async def upload():
    crc = size = 0
    async for block in request.body:
        crc, size = zlib.crc32(block, crc), size + len(block)
    return {"size": size, "crc": crc}


@application.get("/events")
async def events():
    async def generate():
        try:
            yield b"data: first\n\n"
            await asyncio.Event().wait()
        finally:
            SEEN["stopped"] += 1

    return Response(generate(), mimetype="text/event-stream")


@application.get("/blocks")
async def blocks():
    async def generate():
        for number in range(64):
            yield bytes([number]) * 65536

    return generate()


async def finish():
    await RELEASED.wait()
    SEEN["finished"] += 1


@application.get("/background")
async def background():
    application.add_background_task(finish)
    return jsonify("begun")


@application.get("/release")
async def release():
    RELEASED.set()
    return "released"


@application.get("/seen")
async def seen():
    return SEEN


@application.get("/raise")
async def fails():
    raise RuntimeError("as it was told to")


@application.websocket("/echo")
async def echo():
    offered = websocket.requested_subprotocols
    await websocket.accept(headers=Headers({"x-accepted": "yes"}), subprotocol="chat" if "chat" in offered else None)
    try:
        while True:
            data = await websocket.receive()
            if data == "close":
                return await websocket.close(4001, "as told")
            await websocket.send(data)
    except asyncio.CancelledError:
        # Quart does not say with which code the client has left.
        SEEN["codes"].append(None)
        raise


@application.websocket("/refused")
async def refused():
    await websocket.close(1008)


@application.websocket("/denied")
async def denied():
    return jsonify(why="not today"), 401
