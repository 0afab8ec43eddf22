"""Sets up WordPress at a URL and works with it: as its administrator, as a guest, by HTTP/1.1 and by HTTP/2.

The arguments are the URL by http, and the same site by https, where HTTP/2 is spoken.
"""

import html
import re
import struct
import sys
import zlib
from urllib.parse import urljoin, urlsplit

import httpx

PLAIN, SECURE = (url.rstrip("/") for url in sys.argv[1:])
NAME, PASSWORD = "zoe", "a long secret, with a space"


def picture(width, height):
    """A PNG that hardly compresses, so that its upload is large."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    numbers = bytearray()
    state = 1
    for _ in range(height):
        numbers.append(0)
        for _ in range(3 * width):
            state = state * 1103515245 + 12345 & 0x7FFFFFFF
            numbers.append(state >> 16 & 255)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(numbers), 1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


class Visitor:
    """A user with a browser, which keeps cookies and asks for what pages refer to."""

    def __init__(self, base):
        self.base = base
        secure = base.startswith("https:")
        self.client = httpx.Client(http1=not secure, http2=secure, verify=False, trust_env=False, timeout=60)
        self.version = "HTTP/2" if secure else "HTTP/1.1"

    def ask(self, method, path, status=200, **more):
        response = self.client.request(method, urljoin(self.base, path), **more)
        assert response.status_code == status, (method, path, response.status_code, response.text[:2000])
        assert response.http_version == self.version, response.http_version
        return response

    def page(self, path, status=200, **more):
        response = self.ask("GET", path, status, **more)
        for wrong in ("Fatal error", "<b>Warning</b>", "There has been a critical error"):
            assert wrong not in response.text, (path, response.text[:2000])
        return response

    def with_its_files(self, path):
        """A page, whose style sheets, scripts and pictures must be there."""
        page = self.page(path)
        found = re.findall(r"""<(?:link|script|img)\b[^>]*?\b(?:href|src)=["']([^"']+)""", page.text)
        # In a text of JavaScript, slashes are escaped.
        own = {html.unescape(url) for url in found if "\\" not in url}
        own = {url for url in own if urlsplit(urljoin(self.base, url)).netloc == urlsplit(self.base).netloc}
        kinds = {".css": "text/css", ".js": "javascript", ".png": "image/png", ".svg": "image/svg+xml"}
        files = [url for url in sorted(own) if re.search(r"\.(css|js|png|svg)(\?|$)", url) or "/load-" in url]
        for url in files:
            file = self.ask("GET", url)
            kind = next((kind for ending, kind in kinds.items() if urlsplit(url).path.endswith(ending)), "")
            assert file.content and kind in file.headers["content-type"], (url, file.headers)
        return page, len(files)

    def log_in(self):
        assert "wp-submit" in self.page("/wp-login.php").text
        form = {"log": NAME, "pwd": "wrong", "testcookie": "1"}
        assert "is incorrect" in self.ask("POST", "/wp-login.php", data=form).text
        form["pwd"] = PASSWORD
        entered = self.ask("POST", "/wp-login.php", 302, data=form)
        assert entered.headers["location"] == self.base + "/wp-admin/", entered.headers
        assert len(entered.headers.get_list("set-cookie")) >= 3, entered.headers
        nonce = self.page("/wp-admin/admin-ajax.php?action=rest-nonce").text
        self.client.headers["X-WP-Nonce"] = nonce

    def write(self, title):
        """Creates a page, changes it and shows it."""
        content = {"title": title, "content": "<p>Bücher & Käse 🦀</p>", "status": "publish"}
        page = self.ask("POST", "/wp-json/wp/v2/pages", 201, json=content).json()
        changed = {"content": "<p>Bücher &amp; Wein 🦀</p>"}
        self.ask("PUT", "/wp-json/wp/v2/pages/%d" % page["id"], json=changed)
        shown = self.page(page["link"])
        assert title in shown.text and "Bücher &amp; Wein 🦀" in shown.text, shown.text
        # The same by `PATH_INFO`, of which WordPress makes the address that it prefers.
        path = urlsplit(page["link"]).path
        assert re.fullmatch("/[a-z0-9-]+/", path), path
        moved = self.page("/index.php" + path, 301)
        assert urlsplit(moved.headers["location"]).path == path, moved.headers
        return page

    def upload(self, name):
        """Uploads a picture, and gets it back as a file."""
        image = picture(700, 700)
        assert len(image) > 1_000_000
        files = {"file": (name, image, "image/png")}
        media = self.ask("POST", "/wp-json/wp/v2/media", 201, files=files).json()
        assert len(media["media_details"]["sizes"]) > 1, media
        stored = self.ask("GET", media["source_url"])
        assert stored.content == image and stored.headers["content-type"] == "image/png"
        # `files` sends it, not PHP.
        assert stored.headers["cache-control"] == "max-age=3600", stored.headers
        known = {"If-None-Match": stored.headers["etag"]}
        self.ask("GET", media["source_url"], 304, headers=known)
        part = self.ask("GET", media["source_url"], 206, headers={"Range": "bytes=100-199"})
        assert part.content == image[100:200]
        for size in media["media_details"]["sizes"].values():
            assert self.ask("GET", size["source_url"]).content.startswith(b"\x89PNG")

    def log_out(self):
        admin = self.page("/wp-admin/profile.php").text
        link = re.search(r"""href=["']([^"']*action=logout[^"']*)""", admin).group(1)
        self.page(html.unescape(link), 302)
        self.client.headers.pop("X-WP-Nonce")
        left = self.page("/wp-admin/", 302)
        assert "/wp-login.php?" in left.headers["location"], left.headers


# Setting it up, WordPress asks itself for a page to find out which addresses work.
owner = Visitor(PLAIN)
assert owner.page("/", 302).headers["location"].endswith("/wp-admin/install.php")
form = {
    "weblog_title": "A site by PHP",
    "user_name": NAME,
    "admin_password": PASSWORD,
    "admin_password2": PASSWORD,
    "pw_weak": "1",
    "admin_email": "zoe@example.org",
    "blog_public": "0",
    "language": "",
}
assert "Success!" in owner.ask("POST", "/wp-admin/install.php?step=2", data=form).text

pages = 0
for base, title in ((PLAIN, "By HTTP one"), (SECURE, "By HTTP two")):
    visitor = Visitor(base)
    visitor.log_in()
    for path in ("/wp-admin/", "/wp-admin/post-new.php?post_type=page", "/wp-admin/upload.php"):
        _, files = visitor.with_its_files(path)
        assert files > 3, (path, files)
    page = visitor.write(title)
    visitor.upload("large %d.png" % pages)
    visitor.log_out()

    guest = Visitor(base)
    front, files = guest.with_its_files("/")
    assert "A site by PHP" in front.text and files > 0
    # WordPress takes no two within 15 seconds.
    if pages == 0:
        comment = {"comment": "Grüße", "author": "Ann", "email": "ann@example.org", "comment_post_ID": "1"}
        guest.ask("POST", "/wp-comments-post.php", 302, data=comment)
    assert title in guest.page("/", params={"s": "Bücher"}).text
    assert guest.page("/feed/").headers["content-type"].startswith("application/rss+xml")
    assert "Disallow" in guest.page("/robots.txt").text
    assert guest.page("/no/such/page/", 404).headers["content-type"].startswith("text/html")
    guest.ask("POST", "/wp-json/wp/v2/pages", 401, json={"title": "forged"})
    call = "<methodCall><methodName>demo.addTwoNumbers</methodName><params><param><int>2</int></param><param><int>3</int></param></params></methodCall>"
    assert "<int>5</int>" in guest.ask("POST", "/xmlrpc.php", content=call).text
    # What is not meant for anybody.
    assert guest.page("/wp-config.php").content == b""
    for path in ("/.htaccess", "/../wp-config.php", "/wp-content/uploads/../../wp-config.php"):
        assert "DB_PASSWORD" not in guest.client.get(base + path).text, path
    # What was uploaded is never run, nor is its source shown.
    assert guest.page("/wp-content/uploads/run.php", 404).text == "404 Not Found\n"
    pages += 1

print("WordPress works by HTTP/1.1 and HTTP/2")
