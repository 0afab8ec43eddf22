"""Clients of the soak, which keep their connections, number their requests and account for each."""

import asyncio
import random
import socket
import struct
import time
import zlib
from dataclasses import dataclass
from typing import Optional

# A response that takes longer is lost.
PATIENCE = 60
# A replaced server waits five seconds for the next request on a connection. A client that has paused for nearly as
# long opens a new connection.
KEPT = 3
SMALL, MEDIUM, LARGE = 20_000, 300_000, 3_000_000

# The kinds of requests, and how frequent each is.
KINDS = {
    "quick": 700,
    "slow": 30,
    "small body": 40,
    "medium body": 20,
    "large body": 10,
    "stream": 60,
    "large stream": 10,
    "leave in the body": 10,
    "leave at once": 10,
    "leave in the stream": 10,
}
SIZES = {"small body": SMALL, "medium body": MEDIUM, "large body": LARGE, "leave in the body": LARGE}
STREAMS = {"stream": (5, 4096, 0.002), "large stream": (80, 32768, 0), "leave in the stream": (80, 32768, 0.001)}


class Lost(Exception):
    """A request without a complete response, or with a wrong one."""


@dataclass
class Request:
    """A request and its outcome. Times are those of `time.monotonic()`."""

    number: int
    kind: str
    sent: float
    ended: float = 0
    # The number of earlier requests on its connection.
    before: int = 0
    # The process that sent the head of the response.
    worker: Optional[int] = None
    # How it was lost; None if it was not.
    lost: Optional[str] = None
    # Whether the death of its worker would explain that: a 502, or a broken-off response.
    by_death: bool = False

    @property
    def leaves(self):
        return self.kind.startswith("leave")


class Clients:
    """All clients."""

    def __init__(self, port, count, seed):
        self.port = port
        self.seed = seed
        self.count = count
        self.next = 0
        self.requests = []
        self.connections = 0
        self.stopped = asyncio.Event()

    async def run(self):
        await asyncio.gather(*(Client(self, number).run() for number in range(self.count)))

    def request(self, kind):
        self.next += 1
        request = Request(self.next, kind, time.monotonic())
        self.requests.append(request)
        return request


class Client:
    """One client."""

    def __init__(self, clients, number):
        self.clients = clients
        self.loop = asyncio.get_event_loop()
        self.chance = random.Random(f"{clients.seed} {number}")
        # One in ten sends requests without a pause.
        self.pause = 0 if number % 10 == 0 else 0.4
        self.connection = None
        self.carried = 0
        self.used = 0.0

    async def run(self):
        while not self.clients.stopped.is_set():
            kind = self.chance.choices(list(KINDS), KINDS.values())[0]
            await self.connect()
            request = self.clients.request(kind)
            request.before = self.carried
            try:
                keeps = await asyncio.wait_for(self.exchange(request), PATIENCE)
            except (Lost, OSError, asyncio.TimeoutError) as error:
                keeps = False
                if not request.leaves:
                    request.lost = str(error) or type(error).__name__
            self.used = request.ended = time.monotonic()
            self.carried += 1
            if not keeps:
                self.close()
            if self.pause:
                await asyncio.sleep(min(self.chance.expovariate(1 / self.pause), KEPT / 2))
        self.close()

    async def connect(self):
        if self.connection is not None and (time.monotonic() - self.used > KEPT or self.has_ended()):
            self.close()
        while self.connection is None:
            connection = socket.socket()
            connection.setblocking(False)
            try:
                await self.loop.sock_connect(connection, ("127.0.0.1", self.clients.port))
            except OSError as error:
                connection.close()
                request = self.clients.request("connect")
                request.lost, request.ended = repr(error), time.monotonic()
                await asyncio.sleep(0.1)
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connection, self.carried = connection, 0
            self.clients.connections += 1

    def has_ended(self):
        """Whether the server has closed the idle connection, as it may."""
        try:
            return self.connection.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self, reset=False):
        if self.connection is not None:
            if reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.connection = None

    async def exchange(self, request):
        """Sends a request and checks the response; returns whether the connection can be used again."""
        kind, number = request.kind, request.number
        if kind in STREAMS:
            count, size, pause = STREAMS[kind]
            await self.send(f"GET /stream?n={number}&blocks={count}&size={size}&pause={pause} HTTP/1.1")
            if kind == "leave in the stream":
                await self.loop.sock_recv(self.connection, 1000)
                return self.close(reset=self.chance.random() < 0.5)
            return await self.receive(request, b"%016d" % number * (size // 16 * count))
        if kind in SIZES:
            body = b"%016d" % number * (SIZES[kind] // 16)
            await self.send(f"POST /body?n={number} HTTP/1.1\r\nContent-Length: {len(body)}")
            if kind == "leave in the body":
                await self.loop.sock_sendall(self.connection, body[: len(body) // 2])
                return self.close(reset=self.chance.random() < 0.5)
            await self.loop.sock_sendall(self.connection, body)
            return await self.receive(request, f"{number} {len(body)} {zlib.crc32(body)}\n".encode())
        await self.send(f"GET /{kind if kind == 'slow' else ''}?n={number} HTTP/1.1")
        if kind == "leave at once":
            return self.close(reset=self.chance.random() < 0.5)
        return await self.receive(request, f"{number} 0 0\n".encode())

    async def send(self, head):
        await self.loop.sock_sendall(self.connection, head.encode() + b"\r\nHost: localhost\r\n\r\n")

    async def receive(self, request, expected):
        """Reads the whole response and checks it; returns whether the connection can be used again."""
        answer = Answer(self.loop, self.connection)
        status, fields = await answer.head()
        request.worker = int(fields.get("x-worker", 0)) or None
        try:
            body = await answer.body(fields)
        except (Lost, OSError):
            request.by_death = True
            raise
        if status != 200:
            request.by_death = status == 502
            raise Lost(f"status {status}: {body[:200]!r}")
        if body != expected or fields.get("x-number") != str(request.number):
            raise Lost(f"a wrong answer: X-Number {fields.get('x-number')}, {len(body)} bytes, {body[:40]!r}")
        return fields.get("connection", "").lower() != "close"


class Answer:
    """A response as it arrives."""

    def __init__(self, loop, connection):
        self.loop = loop
        self.connection = connection
        self.received = bytearray()

    async def more(self, what):
        part = await self.loop.sock_recv(self.connection, 262144)
        if not part:
            raise Lost(f"closed before {what}, after {bytes(self.received[-200:])!r}")
        self.received += part

    async def until(self, end, what):
        while (at := self.received.find(end)) < 0:
            await self.more(what)
        taken = bytes(self.received[:at])
        del self.received[: at + len(end)]
        return taken

    async def exactly(self, length, what):
        while len(self.received) < length:
            await self.more(what)
        taken = bytes(self.received[:length])
        del self.received[:length]
        return taken

    async def head(self):
        lines = (await self.until(b"\r\n\r\n", "the end of the head")).decode("latin-1").split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:])
        return int(lines[0].split(" ")[1]), {name.lower(): value for name, value in fields.items()}

    async def body(self, fields):
        if "content-length" in fields:
            body = await self.exactly(int(fields["content-length"]), "the end of the body")
        else:
            parts = []
            while length := int(await self.until(b"\r\n", "the next chunk"), 16):
                parts.append(await self.exactly(length, "the end of a chunk"))
                await self.until(b"\r\n", "the end of a chunk")
            await self.until(b"\r\n", "the end of the chunks")
            body = b"".join(parts)
        if self.received:
            raise Lost(f"bytes behind an answer: {bytes(self.received[:200])!r}")
        return body
