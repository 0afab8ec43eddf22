"""Clients of the soaked site: each sends requests to one part of it, and accounts for each."""

import asyncio
import base64
import os
import random
import socket
import struct
import time
from dataclasses import dataclass

from soak_clients import Answer, Lost

TARGETS = {"wsgi": "/wsgi/", "asgi": "/asgi/", "cgi": "/cgi/count", "php": "/php/index.php", "node": "/node/"}
# Bytes of a body that is sent.
BODY = 20_000
# How long anything may take on a busy machine, in seconds.
PATIENCE = 60


@dataclass
class Sent:
    """A request or WebSocket, and what became of it. Times are those of `time.monotonic()`."""

    part: str
    number: int
    sent: float
    ended: float = 0
    # The process that answered, if that is known.
    worker: int = 0
    # How it was lost, and whether the death of a process explains that.
    lost: str = ""
    by_death: bool = False


class Client:
    """Sends requests to one part of the site, most of them on a kept connection."""

    def __init__(self, site, part, number):
        self.site = site
        self.part = part
        self.chance = random.Random(f"{site.options.seed} {part} {number}")
        self.reader = None

    async def run(self):
        while not self.site.stopped.is_set():
            sent = self.site.begin(self.part)
            try:
                await asyncio.wait_for(self.exchange(sent), PATIENCE)
            except (Lost, OSError, asyncio.TimeoutError) as error:
                sent.lost = str(error) or type(error).__name__
                self.close()
            sent.ended = time.monotonic()
            if self.chance.random() < 0.1:
                self.close()
        self.close()

    def close(self):
        if self.reader is not None:
            self.reader.close()
            self.reader = None

    async def connect(self):
        loop = asyncio.get_running_loop()
        connection = socket.socket()
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, ("127.0.0.1", self.site.port))
        except OSError:
            connection.close()
            raise
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def has_ended(self):
        """Whether the server has closed the idle connection, as it may."""
        try:
            return self.reader.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    async def exchange(self, sent):
        if self.reader is not None and self.has_ended():
            self.close()
        if self.reader is None:
            self.reader = await self.connect()
            sent.sent = time.monotonic()
        if self.part == "socket":
            return await self.talk(sent)
        if self.part == "files":
            name, expected = self.chance.choice(self.site.files)
            return await self.receive(sent, "GET /files/%s HTTP/1.1" % name, b"", expected)
        slow = "&slow" if self.chance.random() < 0.3 else ""
        body = b"x" * BODY if self.chance.random() < 0.3 else b""
        method = "POST" if body else "GET"
        line = f"{method} {TARGETS[self.part]}?n={sent.number}{slow} HTTP/1.1"
        if body:
            line += "\r\nContent-Length: %d" % len(body)
        await self.receive(sent, line, body, b"%d %d\n" % (sent.number, len(body)))

    async def receive(self, sent, line, body, expected):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self.reader, line.encode() + b"\r\nHost: localhost\r\n\r\n" + body)
        answer = Answer(loop, self.reader)
        status, fields = await answer.head()
        sent.worker = int(fields.get("x-worker", 0))
        try:
            content = await answer.body(fields)
        except (Lost, OSError):
            sent.by_death = True
            raise
        if status != 200:
            sent.by_death = status == 502
            raise Lost(f"status {status}: {content[:200]!r}")
        if content != expected:
            raise Lost(f"a wrong answer: {content[:60]!r}, not {expected[:60]!r}")
        if fields.get("connection", "").lower() == "close":
            self.close()

    async def talk(self, sent):
        """Opens a WebSocket, and exchanges messages until it has had enough or the other side ends it."""
        loop = asyncio.get_running_loop()
        key = base64.b64encode(os.urandom(16)).decode()
        head = (
            "GET /asgi/socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        )
        await loop.sock_sendall(self.reader, head.encode())
        answer = Answer(loop, self.reader)
        status, _ = await answer.head()
        if status != 101:
            sent.by_death = status == 502
            raise Lost(f"status {status} for a WebSocket")
        for message in range(self.chance.randrange(5, 200)):
            text = f"{sent.number} {message}"
            try:
                await self.write(loop, 1, text.encode())
                kind, content = await self.read(answer)
            except (Lost, OSError):
                # It is closed properly, whatever dies: a connection that only breaks off is lost.
                raise Lost("the WebSocket was broken off") from None
            if kind == 8:
                code = int.from_bytes(content[:2], "big")
                # A reload closes it, and its worker can leave at any time then.
                if code != 1012:
                    sent.by_death = code in (1011, 1014)
                    sent.lost = f"the WebSocket was closed with {code}"
                await self.write(loop, 8, content[:2])
                break
            worker, _, echo = content.decode().partition(" ")
            sent.worker = int(worker)
            if echo != text:
                raise Lost(f"a wrong message: {content!r}, not {text!r}")
        else:
            await self.write(loop, 8, struct.pack(">H", 1000))
            kind, content = await self.read(answer)
            code = int.from_bytes(content[:2], "big")
            if kind != 8 or code not in (1000, 1012):
                sent.by_death = code in (1011, 1014)
                sent.lost = f"the WebSocket was closed with {code}"
        self.close()

    async def write(self, loop, kind, content):
        """A frame with a mask of zeros (RFC 6455 §5.2)."""
        await loop.sock_sendall(self.reader, bytes([0x80 | kind, 0x80 | len(content)]) + bytes(4) + content)

    async def read(self, answer):
        """The next frame that is no ping; they are short and come whole."""
        while True:
            first, length = await answer.exactly(2, "a frame")
            content = await answer.exactly(length & 127, "the rest of a frame")
            if first & 15 != 9:
                return first & 15, content
            await self.write(asyncio.get_running_loop(), 10, content)
