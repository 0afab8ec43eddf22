"""WebSockets through `upstream`: a server on a port, a client of the URL of runner, and what each sees of the other."""

import asyncio
import os
import signal
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

URL, PORT = sys.argv[1].replace("http", "ws", 1), int(sys.argv[2])
seen = asyncio.Queue()


async def handler(server):
    path = server.request.path
    if path == "/echo":
        try:
            while True:
                await server.send(await server.recv())
        except ConnectionClosed:
            await seen.put((server.close_code, server.close_reason))
    elif path == "/head":
        headers = server.request.headers
        await server.send("\n".join(f"{name}: {value}" for name, value in headers.raw_items()))
    elif path == "/close":
        await server.close(4321, "enough")
    elif path == "/break":
        server.transport.abort()
    elif path == "/ping":
        await asyncio.wait_for(await server.ping(b"are you there"), 60)
        await server.send("a pong came")
    elif path == "/flood":
        sent = 0
        while sent < 64 << 20:
            try:
                await asyncio.wait_for(server.send(bytes(1 << 16)), 1)
            except TimeoutError:
                break
            sent += 1 << 16
        await seen.put(sent)
        await server.wait_closed()


def refuse(server, request):
    if request.path == "/refuse":
        return server.respond(403, "not you\n")


def opened(path, **options):
    return connect(URL + path, proxy=None, subprotocols=["other", "chat"], **options)


async def closed(path):
    """The code and the reason with which the server closes a WebSocket."""
    async with opened(path) as client:
        try:
            await client.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None, closed.rcvd.reason if closed.rcvd else ""


async def main():
    async with serve(handler, "127.0.0.1", PORT, process_request=refuse, subprotocols=["chat"]):
        async with opened("echo", max_size=None) as client:
            assert client.subprotocol == "chat", client.subprotocol
            for message in ["", "hello \U0001f980", b"", os.urandom(300), "a" * 70_000, os.urandom(1 << 20)]:
                await client.send(message)
                assert await client.recv() == message
            # In fragments.
            await client.send(["one ", "two ", "three"])
            assert await client.recv() == "one two three"
            await client.close(4000, "goodbye")
        assert await seen.get() == (4000, "goodbye")

        async with opened("head", additional_headers={"Cookie": "a=b"}) as client:
            head = (await client.recv()).lower().splitlines()
        names = [line.partition(": ")[0] for line in head]
        assert "sec-websocket-extensions" not in names, head
        assert "cookie: a=b" in head and "x-forwarded-proto: http" in head, head
        assert sorted(names) == sorted(set(names)), head

        assert await closed("close") == (4321, "enough")
        assert await closed("break") == (1014, "")

        async with opened("ping") as client:
            assert await client.recv() == "a pong came"

        try:
            async with opened("refuse"):
                raise AssertionError("it was not refused")
        except InvalidStatus as refused:
            assert (refused.response.status_code, refused.response.body) == (403, b"not you\n")

        # A client that breaks off.
        client = await opened("echo")
        await client.send("x")
        await client.recv()
        client.transport.abort()
        code, _ = await seen.get()
        assert code in (1006, 1001), code

        # A client that reads nothing does not fill the memory in between.
        client = await opened("flood", max_queue=1, max_size=None, ping_interval=None, compression=None)
        sent = await seen.get()
        assert sent < 32 << 20, sent
        client.transport.abort()

        # A reload: the next version serves, so that the client may come back at once.
        client = await opened("echo")
        await client.send("still there?")
        assert await client.recv() == "still there?"
        os.kill(int(sys.argv[3]), signal.SIGHUP)
        await client.wait_closed()
        assert client.close_code == 1012, client.close_code
        assert (await seen.get())[0] == 1001
        async with opened("ping") as client:
            assert await client.recv() == "a pong came"
    print("all messages went both ways")


asyncio.run(asyncio.wait_for(main(), 120))
