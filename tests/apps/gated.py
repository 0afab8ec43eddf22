"""Answers when a test says so: each request waits for a byte from the FIFO that `GATE` names."""

import os
import signal
import sys

TEXT = ("Content-Type", "text/plain")
# Opened for reading and writing, so that opening does not block and no byte is lost.
GATE = os.open(os.environ["GATE"], os.O_RDWR)


def wait():
    print("waiting", file=sys.stderr, flush=True)
    os.read(GATE, 1)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if path == "/exit":
        os._exit(3)
    if path in ("/wait", "/wait_and_kill"):
        wait()
    if path == "/wait_and_kill":
        os.kill(os.getpid(), signal.SIGKILL)
    start_response("200 OK", [TEXT])
    return streamed() if path == "/stream" else [b"pid %d" % os.getpid()]


def streamed():
    yield b"first,"
    wait()
    yield b"second"
