"""A small WSGI application: it greets the name in the path."""

from html import escape

PAGE = """<!doctype html>
<title>Hello</title>
<style>body { font: 2em sans-serif; margin: 4em; background: #fdf6e3; color: #073642 }</style>
<h1>Hello, %s!</h1>
"""


def application(environ, start_response):
    # PEP 3333: each byte of the path is one Latin-1 character.
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    body = (PAGE % escape(path.strip("/") or "world")).encode("utf-8")
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
