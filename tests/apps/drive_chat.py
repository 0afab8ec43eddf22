"""Chats on the page of examples/fastapi at a URL: a browser comes in, and somebody else welcomes it."""

import subprocess
import sys
import tempfile
import threading

import requests
from websockets.sync.client import connect

URL = sys.argv[1]
COME, WELCOME = "somebody has come in", "welcome \U0001f980"
BROWSER = """chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run
--disable-background-networking --disable-component-update --disable-sync --dump-dom --virtual-time-budget=5000""".split()


def shown():
    """What the page contains once its time is over."""
    with tempfile.TemporaryDirectory(dir=".") as profile:
        browser = [*BROWSER, "--user-data-dir=" + profile, URL]
        return subprocess.run(browser, capture_output=True, text=True, timeout=60, check=True).stdout


def welcome(chat):
    for text in chat:
        if text == COME:
            chat.send(WELCOME)


with connect(URL.replace("http", "ws", 1) + "chat", proxy=None) as chat:
    threading.Thread(target=welcome, args=[chat], daemon=True).start()
    for _ in range(5):
        page = shown()
        # The time of the page can be over before a busy machine has answered.
        if WELCOME in page:
            break
    items = [item.partition("</li>")[0] for item in page.split("<li>")[1:]]
    assert items == [WELCOME, COME], page

messages = [message["text"] for message in requests.get(URL + "messages", timeout=60).json()]
assert messages[-2:] == [COME, WELCOME], messages
added = requests.post(URL + "messages", json={"text": "hello"}, timeout=60)
assert (added.status_code, added.json()) == (201, {"text": "hello"}), added.text
assert requests.post(URL + "messages", json={"words": 1}, timeout=60).status_code == 422
assert requests.get(URL + "messages", timeout=60).json()[-1] == {"text": "hello"}
print("the browser is welcome")
