"""Clients that account for every request, and slow clients."""

import socket
import threading
import time
from collections import Counter

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
BODY = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"


class Clients:
    """Clients that send requests without a pause during a `with` block: some with a new connection for each request,
    some that keep their connection as long as the server does."""

    def __init__(self, port, fresh, kept):
        self.port = port
        self.counts = Counter()
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(number >= fresh,)) for number in range(fresh + kept)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    @property
    def lost(self):
        return sum(count for what, count in self.counts.items() if what != 200)

    def ask(self, keep):
        connection = None
        while not self.stopped.is_set():
            what, connection = exchange(self.port, connection, keep)
            with self.lock:
                self.counts[what] += 1
            if what != 200:
                self.stopped.wait(0.01)
        if connection:
            connection.close()


def exchange(port, connection, keep):
    """One request: the status or how it was lost, and the connection if it can be used again."""
    if connection and has_ended(connection):
        connection.close()
        connection = None
    try:
        if connection is None:
            connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        connection.sendall(HEAD + (b"\r\n" if keep else b"Connection: close\r\n\r\n"))
        status, keeps = receive(connection)
    except OSError as error:
        if connection:
            connection.close()
        return type(error).__name__, None
    if keep and keeps:
        return status, connection
    connection.close()
    return status, None


def has_ended(connection):
    """Whether the server has closed an idle connection, as it may."""
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(10)


def receive(connection):
    """The status of a complete response, and whether the connection stays open."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(4096)
        if not part:
            raise ConnectionAbortedError
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    fields = dict(line.split(b": ", 1) for line in lines[1:] if b": " in line)
    length = int(fields.get(b"content-length", 0))
    while len(body) < length:
        part = connection.recv(4096)
        if not part:
            raise ConnectionAbortedError
        body += part
    keeps = fields.get(b"connection", b"") != b"close" and lines[0].startswith(b"http/1.1")
    return int(lines[0].split(b" ")[1]), keeps


class Dribbling:
    """Clients that send a byte per second during a `with` block, half of them of a head and half of a body."""

    def __init__(self, port, count):
        self.port = port
        self.count = count
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.dribble)

    def __enter__(self):
        self.connections = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(self.count)]
        for number, connection in enumerate(self.connections):
            connection.setblocking(False)
            connection.sendall((HEAD + b"X-Slow: ") if number % 2 else BODY)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        for connection in self.connections:
            connection.close()

    def dribble(self):
        while not self.stopped.wait(1):
            for connection in self.connections:
                try:
                    connection.send(b"b")
                except OSError:
                    pass  # The server has cut it off.


def wait(seconds, every, act):
    """Calls a function at intervals for some time."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(every, left))
        if end - time.monotonic() > every / 2:
            act()
