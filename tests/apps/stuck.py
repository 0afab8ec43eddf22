"""Requests that hang, each in its own way. They write lines to standard error."""

import ctypes
import os
import re
import sys
import threading
import time

lock = threading.Lock()
# Opened for reading and writing, so that opening does not block and no byte is lost.
GATE = os.open(os.environ["GATE"], os.O_RDWR)


def say(text):
    os.write(2, text.encode() + b"\n")


def sleep_for_ever():
    while True:
        time.sleep(1000)


def spin():
    while True:
        pass


def catastrophe():
    re.match(r"(a+)+$", "a" * 64 + "b")


def sleep_in_lock():
    with lock:
        say("locked")
        time.sleep(1000)


def wait_for_lock():
    with lock:
        pass


def hold_the_interpreter():
    # PyDLL keeps the interpreter's lock during a call.
    while True:
        ctypes.PyDLL(None).sleep(1000)


def tidy_up():
    try:
        time.sleep(1000)
    finally:
        say("tidied up")


def wait_at_the_gate():
    say("waiting")
    os.read(GATE, 1)


def wait_and_hold_the_interpreter():
    say("waiting")
    ctypes.PyDLL(None).read(GATE, ctypes.create_string_buffer(1), 1)


def use_processor_time():
    for _ in iter(int, 1):
        hash("x")


def use_memory():
    return bytearray(1 << 30)


def open_files():
    opened = []
    while True:
        opened.append(open("/dev/null"))


def limits():
    import resource

    names = "RLIMIT_AS", "RLIMIT_NOFILE", "RLIMIT_CPU", "RLIMIT_NPROC", "RLIMIT_CORE"
    return " ".join(str(resource.getrlimit(getattr(resource, name))[0]) for name in names)


class Blocks:
    """Blocks, one for each opening of the gate, and a line when it is closed."""

    def __iter__(self):
        return self

    def __next__(self):
        wait_at_the_gate()
        return b"block\n"

    def close(self):
        say("closed")


class Lingering:
    """Sends its response and does not end."""

    def __iter__(self):
        return iter([b"whole"])

    def close(self):
        sleep_for_ever()


def application(environ, start_response):
    path = environ["PATH_INFO"]
    say("began " + path)
    found = None
    if path == "/blocks":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Blocks()
    if path == "/lingers":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return Lingering()
    if path == "/late":
        wait_at_the_gate()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Blocks()
    if path != "/":
        found = globals()[path[1:]]()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(found or "pid %d" % os.getpid()).encode()]
