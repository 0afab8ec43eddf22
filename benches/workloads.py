"""The loads under which the benchmark compares servers."""

from dataclasses import dataclass, field, replace

import load
import web_sockets

ALL = ["runner", "Granian", "bjoern", "uWSGI", "gunicorn"]
ALL_ASGI = ["runner", "Granian", "uvicorn", "Hypercorn", "gunicorn"]


@dataclass
class Workload:
    """A load, and the servers that are under it."""

    title: str
    connections: int = 64
    path: str = "/"
    module: str = "app"
    interface: str = "wsgi"
    threads: int = 1
    # Connections that ask for a page that waits 100 ms, while the others are counted.
    beside: int = 0
    session: bool = False
    # The size of a response, where the rate of bytes is of interest.
    mebibytes: int | None = None
    # Seconds.
    warm_up: float = 0.4
    servers: list = field(default_factory=lambda: list(ALL))
    measure: object = load.requests
    # Whether connections are kept for further requests.
    kept: bool = True
    # Where the best options were searched for.
    options_of: str | None = None
    # A point of the plot: it has fewer rounds.
    point: bool = False


HELLO = Workload("hello, 64 connections", servers=[*ALL[:4], "uWSGI http11-socket", ALL[4]])

WORKLOADS = {
    "hello-64": HELLO,
    "hello-256": replace(
        HELLO, title="hello, 256 connections", connections=256, servers=ALL, options_of="hello-64"
    ),
    "hello-1024": replace(HELLO, title="hello, 1 024 connections", connections=1024, servers=ALL),
    "busy-100": Workload("0.1 ms of Python, 64 connections", path="/busy/100"),
    "busy-1000": Workload("1 ms of Python, 64 connections", path="/busy/1000"),
    "mixed": Workload("hello, beside 4 clients of a page that waits 100 ms, 4 threads", threads=4, beside=4),
    "stream": Workload(
        "64 MiB in blocks of 64 KiB, 4 connections", connections=4, path="/stream", kept=False, mebibytes=load.STREAMED >> 20, measure=load.streams
    ),
    "flask": Workload("Flask page with template and session, 64 connections", module="page", session=True),
}
HELLO_ASGI = Workload("ASGI hello, 64 connections", module="asgi_app", interface="asgi", servers=ALL_ASGI)
API = replace(HELLO_ASGI, title="FastAPI with an answer in JSON, 64 connections", module="api")
ASGI_WORKLOADS = {
    "asgi-64": HELLO_ASGI,
    "asgi-512": replace(HELLO_ASGI, title="ASGI hello, 512 connections", connections=512),
    "fastapi-64": API,
    "fastapi-512": replace(API, title="FastAPI with an answer in JSON, 512 connections", connections=512),
    "websocket": replace(HELLO_ASGI, title="WebSocket messages that go back, 64 clients", measure=web_sockets.echoes),
    "asgi-stream": replace(
        WORKLOADS["stream"],
        title="ASGI: 64 MiB in blocks of 64 KiB, 4 connections",
        module="asgi_app",
        interface="asgi",
        servers=ALL_ASGI,
    ),
}
HELLO_UPSTREAM = Workload("hello of a server behind a proxy, 64 connections", interface="http", servers=["runner", "nginx"])
# Other applications than those of Python, and other peers.
OTHER_WORKLOADS = {
    f"upstream-{connections}": replace(HELLO_UPSTREAM, title=title, connections=connections, options_of=options_of)
    for connections, title, options_of in [
        (64, HELLO_UPSTREAM.title, None),
        (1, "hello of a server behind a proxy, one connection", None),
        (256, "hello of a server behind a proxy, 256 connections", "upstream-64"),
        (1024, "hello of a server behind a proxy, 1 024 connections", "upstream-64"),
    ]
} | {
    "cgi-16": Workload(
        "CGI: a small static program, 16 connections", connections=16, interface="cgi", servers=["runner", "lighttpd"]
    ),
    "php-64": Workload(
        "PHP-FPM with 2 processes behind FastCGI, 64 connections", interface="fastcgi", servers=["runner", "nginx", "lighttpd"]
    ),
    "file-1k": Workload(
        "a file of 1 KiB, 64 connections", path="/small.css", interface="files", servers=["runner", "nginx"]
    ),
    "file-10m": Workload(
        "a file of 10 MiB, 16 connections", connections=16, path="/large.bin", interface="files", servers=["runner", "nginx"]
    ),
}
POINTS = {
    f"hello-{connections}": replace(
        HELLO, title=title, connections=connections, servers=ALL, options_of=options_of, point=True
    )
    for connections, title, options_of in [
        (1, "hello, one connection", "hello-64"),
        (4, "hello, 4 connections", "hello-64"),
        (16, "hello, 16 connections", "hello-64"),
        (3000, "hello, 3 000 connections", "hello-1024"),
    ]
}
