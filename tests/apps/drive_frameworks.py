"""Uses an application of `tests/apps/frameworks` at a URL, as browsers and programs do: `drive_frameworks.py URL NAME`."""

import contextlib
import http.client
import json
import socket
import sys
import time
import zlib

import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

BASE, NAME = sys.argv[1].rstrip("/"), sys.argv[2]
HOST = BASE.removeprefix("http://")
SOCKETS = f"ws://{HOST}"
session = requests.Session()
session.trust_env = False


def get(path, status=200, **options):
    response = session.get(BASE + path, timeout=60, **options)
    assert response.status_code == status, (path, response.status_code, response.text)
    return response


def post(path, status=200, **options):
    response = session.post(BASE + path, timeout=60, **options)
    assert response.status_code == status, (path, response.status_code, response.text)
    return response


def until(name, wanted):
    """Waits until the application has seen something."""
    end = time.monotonic() + 50
    while (found := get("/seen").json()).get(name) != wanted:
        assert time.monotonic() < end, (name, wanted, found)


@contextlib.contextmanager
def asking(path):
    """A client that has sent its request, and reads when it wants to."""
    address, port = HOST.rsplit(":", 1)
    with socket.create_connection((address, int(port)), timeout=60) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        yield client


def hello():
    for name in ("Ada", "Zoë 🦀", "a&b"):
        answer = get("/json", params={"name": name}).json()
        assert answer["hello"] == name, answer
        assert answer["started"] is (None if NAME == "django" else True), answer
    get("/nothing", status=404)
    head = session.head(BASE + "/json", params={"name": "x"}, timeout=60)
    assert head.status_code in (200, 405) and head.content == b"", head
    get("/raise", status=500)
    assert get("/json", params={"name": "after"}).json()["hello"] == "after"


def bodies():
    # In the frame, in memory, in a file.
    for size in (0, 10, 100_000, 3_000_000):
        body = bytes(range(250)) * (size // 250) + b"x" * (size % 250)
        answer = post("/upload", data=body).json()
        assert answer == {"size": size, "crc": zlib.crc32(body)}, (size, answer)
    # Without a length.
    answer = post("/upload", data=iter([b"one", b"two" * 50_000])).json()
    assert answer["size"] == 150_003, answer
    content = get("/blocks").content
    assert content == b"".join(bytes([number]) * 65536 for number in range(64)), len(content)


def events():
    """The first event arrives while the second is not there yet; the generator ends when its client leaves."""
    for count, path in enumerate(["/events", "/events", *(["/wrapped/events"] * (NAME == "starlette"))], 1):
        with asking(path) as client:
            received = b""
            while b"data: first" not in received:
                part = client.recv(65536)
                assert part, received
                received += part
            assert b"200" in received.split(b"\r\n")[0] and b"text/event-stream" in received, received
        until("stopped", count)


def background():
    assert get("/background").text.strip().strip('"') == "begun"
    assert get("/seen").json()["finished"] == 0
    get("/release", status=200)
    until("finished", 1)


def echo():
    with connect(f"{SOCKETS}/echo", subprotocols=["phone", "chat"], max_size=None) as client:
        assert client.subprotocol == "chat" and client.response.headers["x-accepted"] == "yes", client.response
        messages = ["", "hello", "Zoë 🦀", b"", bytes(range(256)), "x" * 300_000, bytes(3_000_000)]
        if NAME == "quart":
            messages.remove(b"")  # It takes an empty one for none.
        for message in messages:
            client.send(message)
            assert client.recv(timeout=60) == message, len(message)
        # Sent in one go, answered in order.
        for number in range(500):
            client.send(str(number))
        assert [client.recv(timeout=60) for _ in range(500)] == [str(number) for number in range(500)]
        # In fragments.
        client.send(["one ", "two ", "three"])
        assert client.recv(timeout=60) == "one two three"
        client.ping().wait(60)
    with connect(f"{SOCKETS}/echo", compression=None) as client:
        assert client.subprotocol is None
        client.close(4321, "that is all")
    with connect(f"{SOCKETS}/echo") as client:
        client.send("before the end")
        assert client.recv(timeout=60) == "before the end"
        client.socket.shutdown(socket.SHUT_RDWR)
    # What the application sees: the client's code, and 1006 where there was none.
    until("codes", {"quart": [None] * 3}.get(NAME, [1000, 4321, 1006]))
    with connect(f"{SOCKETS}/echo") as client:
        client.send("close")
        try:
            raise AssertionError(client.recv(timeout=60))
        except ConnectionClosed as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (4001, "as told"), closed


def refused(path, status):
    try:
        with connect(SOCKETS + path):
            raise AssertionError(path)
    except InvalidStatus as refusal:
        assert refusal.response.status_code == status, refusal.response
        return refusal.response


def refusals():
    refused("/refused", 403)
    if NAME in ("fastapi", "starlette", "quart"):
        denial = refused("/denied", 401)
        assert json.loads(denial.body) == {"why": "not today"}, denial
    # An ordinary request for a path of a WebSocket.
    assert get("/json", params={"name": "still here"}).json()["hello"] == "still here"


def fastapi():
    assert post("/item", status=201, json={"name": "screw"}).json() == {"name": "screw", "price": 1.5}
    assert post("/item", status=422, json={"price": "much"}).json()["detail"]
    assert post("/form", files={"file": ("a.txt", b"x" * 200_000)}).json() == {"name": "a.txt", "size": 200_000}
    assert "/json" in get("/openapi.json").json()["paths"]
    until("cleaned", 5)


def starlette():
    with open("file.bin", "rb") as file:
        content = file.read()
    whole = get("/file")
    assert whole.content == content and whole.headers["Content-Length"] == str(len(content)), whole.headers
    assert "attachment" in whole.headers["Content-Disposition"]
    assert get("/seen").json()["pathsend"] is True
    part = get("/file", status=206, headers={"Range": "bytes=100-1099"})
    assert part.content == content[100:1100] and part.headers["Content-Range"].startswith("bytes 100-1099/"), part.headers
    head = session.head(BASE + "/file", timeout=60)
    assert head.headers["Content-Length"] == str(len(content)) and head.content == b"", head.headers
    static = get("/static/file.bin")
    assert static.content == content
    get("/static/file.bin", status=304, headers={"If-None-Match": static.headers["ETag"]})
    get("/static/none", status=404)
    passed = get("/wrapped/blocks")
    assert passed.headers["x-passed"] == "yes" and len(passed.content) == 64 << 16
    # It asks whether its client is there, and is told when it is not.
    with asking("/watch"):
        until("watching", True)
        assert get("/seen").json()["left"] == 0
    until("left", 1)


def django():
    with open("file.bin", "rb") as file:
        assert get("/file").content == file.read()
    assert post("/form", files={"file": ("a.txt", b"x" * 5_000_000)}).json() == {"name": "a.txt", "size": 5_000_000}
    # A client that leaves before it is answered: its view is cancelled, and the request is finished.
    with asking("/silent"):
        until("waiting", True)
        before = get("/seen").json()
    until("cancelled", 1)
    # Each look is a request itself; that of the client that has left is one more.
    looks = 2
    while (after := get("/seen").json())["requests"] < before["requests"] + looks + 1:
        looks += 1
        assert looks < 5000, (before, after)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(f"{SOCKETS}/group", origin=BASE)) for _ in range(5)]
        clients[0].send("to all")
        assert [client.recv(timeout=60) for client in clients] == ["to all"] * 5
    try:
        with connect(f"{SOCKETS}/echo", origin="http://elsewhere.example"):
            pass
    except InvalidStatus as refusal:
        raise AssertionError(refusal.response)


def plain(connection):
    connection.request("GET", "/json?name=kept")
    response = connection.getresponse()
    return response.status, json.loads(response.read())["hello"]


hello()
bodies()
events()
if NAME != "django":
    background()
echo()
refusals()
globals().get(NAME, lambda: None)()
# A connection that is kept, after all that.
kept = http.client.HTTPConnection(HOST, timeout=60)
assert [plain(kept) for _ in range(3)] == [(200, "kept")] * 3
print(f"{NAME} works")
