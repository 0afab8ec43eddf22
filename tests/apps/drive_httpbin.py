"""Requests every route of httpbin from a server at a URL, and checks the responses.

At the end every route must have been visited, so that none is forgotten.
"""

import io
import sys
import zlib
from urllib.parse import urlsplit

import httpbin
import requests
from requests.auth import HTTPBasicAuth, HTTPDigestAuth

BASE = sys.argv[1].rstrip("/")
ROUTES = httpbin.app.url_map.bind("localhost")
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
visited = set()


class Session(requests.Session):
    """Records the visited routes, redirections included."""

    def send(self, request, **options):
        options.setdefault("timeout", 60)
        path = urlsplit(request.url).path
        rule, _ = ROUTES.match(path, request.method, return_rule=True)
        visited.add((rule.rule, request.method))
        return super().send(request, **options)


def ask(method, path, status=200, session=None, **options):
    response = (session or Session()).request(method, BASE + path, **options)
    assert response.status_code == status, (method, path, response.status_code, response.text)
    return response


def get(path, status=200, **options):
    return ask("GET", path, status, **options)


def methods():
    for method in METHODS:
        if method != "GET":
            answer = ask(method, "/" + method.lower(), params={"q": "ä b"}, data={"name": "välue"}).json()
            assert answer["form"] == {"name": "välue"} and answer["args"] == {"q": "ä b"}, answer
    answer = get("/get?a=1&a=2&b=").json()
    assert answer["args"] == {"a": ["1", "2"], "b": ""}, answer
    assert answer["url"] == BASE + "/get?a=1&a=2&b=", answer
    for method in [*METHODS, "TRACE"]:
        assert ask(method, "/anything").json()["method"] == method
        assert ask(method, "/anything/deeper/ä", data=b"").json()["url"].endswith("/anything/deeper/ä")
    answer = ask("POST", "/post", json={"a": [1, None]}).json()
    assert answer["json"] == {"a": [1, None]}, answer
    answer = ask("POST", "/post", files={"file": ("name.txt", b"contents")}).json()
    assert answer["files"] == {"file": "contents"}, answer


def uploads():
    for size in (1, 65536, 65537, 3_000_000):
        data = "x" * size
        assert ask("POST", "/post", data=data).json()["data"] == data, size
        # A file without a length is sent in chunks.
        chunks = (data[at : at + 10_000].encode() for at in range(0, size, 10_000))
        answer = ask("POST", "/post", data=chunks).json()
        assert answer["data"] == data, size


def request_inspection():
    answer = get("/headers", headers={"X-One": "1", "Accept-Language": "de"}).json()["headers"]
    assert answer["X-One"] == "1" and answer["Accept-Language"] == "de", answer
    assert get("/user-agent", headers={"User-Agent": "me"}).json() == {"user-agent": "me"}
    assert get("/ip").json()["origin"] in ("127.0.0.1", "::1")


def statuses():
    for method in [*METHODS, "TRACE"]:
        for code in (200, 204, 304, 400, 404, 418, 500, 503):
            ask(method, f"/status/{code}", code)
    for code in (301, 302, 303, 305, 307):
        assert get(f"/status/{code}", code, allow_redirects=False).headers["Location"] == "/redirect/1"
    assert "-=[ teapot ]=-" in get("/status/418", 418).text


def redirects():
    for path in ("/redirect/3", "/relative-redirect/3", "/absolute-redirect/3"):
        response = get(path)
        assert len(response.history) == 3 and response.url == BASE + "/get", (path, response.url)
    for method in [*METHODS, "TRACE"]:
        parameters = {"url": "/anything", "status_code": "307"}
        assert ask(method, "/redirect-to", params=parameters).json()["method"] == method


def formats():
    for path, kind, start in [
        ("/", "text/html", "<!DOCTYPE html>"),
        ("/html", "text/html", "<!DOCTYPE html>"),
        ("/forms/post", "text/html", "<!DOCTYPE html>"),
        ("/xml", "application/xml", "<?xml"),
        ("/json", "application/json", "{"),
        ("/robots.txt", "text/plain", "User-agent: *"),
        ("/deny", "text/plain", "\n          .-''''''-."),
        ("/encoding/utf8", "text/html", "<h1>Unicode Demo</h1>"),
        ("/static/favicon.ico", "image/", None),
    ]:
        response = get(path)
        assert response.headers["Content-Type"].startswith(kind), (path, response.headers)
        response.encoding = "utf-8"
        assert start is None or response.text.startswith(start), (path, response.text[:80])
    assert "ᚻᛖ ᚳᚹᚫᚦ" in get("/encoding/utf8").content.decode()
    for path in ("gzip", "deflate"):
        response = get("/" + path)
        assert response.headers["Content-Encoding"] == path, response.headers
        assert response.json()["deflated" if path == "deflate" else "gzipped"] is True
    response = get("/brotli", headers={"Accept-Encoding": "br"}, stream=True)
    assert response.headers["Content-Encoding"] == "br" and response.raw.read(decode_content=False)
    for kind, start in [
        ("png", b"\x89PNG"),
        ("jpeg", b"\xff\xd8"),
        ("webp", b"RIFF"),
        ("svg", b"<svg"),
    ]:
        accepted = "image/svg+xml" if kind == "svg" else "image/" + kind
        body = get("/image/" + kind).content
        assert body.startswith(start) and body == get("/image", headers={"Accept": accepted}).content, kind


def cookies():
    session = Session()
    assert get("/cookies", session=session).json() == {"cookies": {}}
    expected = {"a": "1", "b": "2"}
    assert get("/cookies/set?a=1&b=2", session=session).json() == {"cookies": expected}
    expected["c"] = "3"
    assert get("/cookies/set/c/3", session=session).json() == {"cookies": expected}
    assert get("/cookies/delete?a", session=session).json() == {"cookies": {"b": "2", "c": "3"}}


def authentication():
    for path in ("/basic-auth/me/secret", "/hidden-basic-auth/me/secret"):
        get(path, 404 if "hidden" in path else 401)
        assert get(path, auth=HTTPBasicAuth("me", "secret")).json()["authenticated"] is True
    get("/bearer", 401)
    assert get("/bearer", headers={"Authorization": "Bearer token"}).json()["token"] == "token"
    for path in (
        "/digest-auth/auth/me/secret",
        "/digest-auth/auth/me/secret/SHA-256",
        "/digest-auth/auth/me/secret/MD5/never",
    ):
        session = Session()
        get(path, 401, session=session, auth=HTTPDigestAuth("me", "wrong"))
        session = Session()
        # The challenge sets a cookie that the client must send back.
        get("/cookies/set?fake=fake_value", session=session)
        assert get(path, session=session, auth=HTTPDigestAuth("me", "secret")).json()["authenticated"] is True


def caches():
    response = get("/cache")
    get("/cache", 304, headers={"If-None-Match": response.headers["ETag"]})
    get("/cache", 304, headers={"If-Modified-Since": response.headers["Last-Modified"]})
    assert get("/cache/60").headers["Cache-Control"] == "public, max-age=60"
    assert get("/etag/mine").headers["ETag"] == "mine"
    get("/etag/mine", 304, headers={"If-None-Match": '"mine"'})
    get("/etag/mine", 412, headers={"If-Match": '"other"'})
    for method in ("GET", "POST"):
        response = ask(method, "/response-headers?X-A=1&X-A=2&X-B=3")
        assert response.headers["X-A"] == "1, 2" and response.headers["X-B"] == "3", response.headers


def dynamic():
    assert get("/base64/aGVsbG8=").text == "hello"
    assert get("/bytes/1000?seed=1").content == get("/bytes/1000?seed=1").content
    assert len(get("/bytes/0").content) == 0
    body = get("/stream-bytes/5000?seed=1&chunk_size=100").content
    assert len(body) == 5000 and zlib.crc32(body) == zlib.crc32(get("/stream-bytes/5000?seed=1").content)
    lines = get("/stream/20").text.splitlines()
    assert len(lines) == 20 and '"id": 19' in lines[-1], lines[-1]
    for method in [*METHODS, "TRACE"]:
        ask(method, "/delay/0.01")
    assert get("/drip?duration=0.1&numbytes=5&delay=0").content == b"*" * 5
    assert len(get("/uuid").json()["uuid"]) == 36
    response = get("/range/1000", headers={"Range": "bytes=10-19"}, status=206)
    assert response.text == "klmnopqrst" and response.headers["Content-Range"] == "bytes 10-19/1000"
    assert get("/range/26").text == "abcdefghijklmnopqrstuvwxyz"
    get("/range/10", 416, headers={"Range": "bytes=10-20"})
    assert get("/links/3").text.count("<a href") == 2
    assert get("/links/3/1").text.count("<a href") == 2


def others():
    # What `requests` hides: HEAD has no body, OPTIONS lists the methods, an unknown path, a wrong method.
    plain = requests.Session()
    response = plain.head(BASE + "/html", timeout=60)
    assert int(response.headers["Content-Length"]) > 1000 and response.content == b"", response.headers
    response = plain.options(BASE + "/get", timeout=60)
    assert "GET" in response.headers["Allow"], response.headers
    assert plain.get(BASE + "/not-there", timeout=60).status_code == 404
    assert plain.post(BASE + "/get", data=io.BytesIO(b"x" * 100_000), timeout=60).status_code == 405
    # The connection has survived all of that.
    assert plain.get(BASE + "/get", timeout=60).status_code == 200


for check in (
    methods,
    uploads,
    request_inspection,
    statuses,
    redirects,
    formats,
    cookies,
    authentication,
    caches,
    dynamic,
    others,
):
    check()

wanted = {
    (rule.rule, method)
    for rule in httpbin.app.url_map.iter_rules()
    for method in rule.methods - {"HEAD", "OPTIONS"}
}
assert visited >= wanted, sorted(wanted - visited)
print(f"{len(wanted)} routes answered")
