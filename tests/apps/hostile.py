"""Writes garbage to its own worker's lane, ring and pipe, which the server must treat as untrusted input."""

import gc
import os
import signal
import struct

HEADER = struct.Struct("<IIIBBHI")


def lane():
    return next(it for it in gc.get_objects() if type(it).__name__ == "Lane")


def write(data):
    it = lane()
    it.socket.sendall(data)


def ring(start, data):
    lane().ring[128 + start : 128 + start + len(data)] = data


def stream(data, claimed=None):
    it = lane().stream
    written = it.counters[8]
    start = written % len(it.area)
    it.area[start : start + len(data)] = data
    it.publish(written + (len(data) if claimed is None else claimed))


def record(length=0, number=1, service=0, kind=1, flags=0, fields=0, head=0):
    return HEADER.pack(length, number, service, kind, flags, fields, head)


def number():
    """The number of the current request, or one near it."""
    return lane().counters[4] + 1


def head_goes_on(data, claimed=None):
    it = lane()
    ring(it.head % (256 * 1024), data)
    it.counters[0] = it.head + (len(data) if claimed is None else claimed)


HABITS = {
    "far": lambda: lane().counters.__setitem__(0, 2**62),
    "zeros-without-end": lambda: [ring(0, bytes(256 * 1024)), lane().counters.__setitem__(0, 2**62)],
    "back": lambda: lane().counters.__setitem__(0, 2**64 - 1),
    "one-too-far": lambda: lane().counters.__setitem__(0, lane().counters[1] + 256 * 1024 + 1),
    "half-a-header": lambda: head_goes_on(b"\0" * 7, 7),
    "nonsense": lambda: head_goes_on(b"\xff" * 200),
    "longer-than-the-ring": lambda: head_goes_on(record(length=2**31, number=number())),
    "longer-than-written": lambda: head_goes_on(record(length=4000, number=number())),
    "a-block-in-the-ring": lambda: head_goes_on(record(number=number(), kind=3)),
    "an-answer-without-a-status": lambda: head_goes_on(record(number=number(), fields=65535)),
    "read-is-nonsense": lambda: lane().counters.__setitem__(4, 2**63),
    "read-is-far": lambda: lane().counters.__setitem__(4, lane().counters[4] + 1000),
    "waits-for-ever": lambda: lane().counters.__setitem__(5, 2**64 - 1),
    "no-thread": lambda: lane().counters.__setitem__(3, 2**64 - 1),
    "shrinks-the-ring": lambda: [shrink(number) for number in os.listdir("/proc/self/fd")],
    "an-unknown-kind": lambda: write(record(kind=99)),
    "a-wake-up-with-a-body": lambda: write(record(kind=0, length=2**32 - 1)),
    "another-answer": lambda: write(record(number=77, kind=1)),
    "an-endless-head": lambda: write(record(number=number(), kind=2, length=2**32 - 1, head=2**32 - 1)),
    "a-head-beyond-its-frame": lambda: write(record(number=number(), kind=2, length=10, head=11)),
    "a-file-without-a-file": lambda: write(record(number=number(), kind=5, length=16) + b"\0" * 16),
    "many-wake-ups": lambda: write(record(kind=0) * 10000),
    "a-block-of-nothing": lambda: write(record(number=number(), kind=3, length=5) + b"block"),
    "an-end-of-nothing": lambda: write(record(number=number() + 5, kind=4)),
    "a-stream-of-nonsense": lambda: stream(b"\xff" * 200),
    "a-stream-that-goes-far": lambda: stream(b"", 2**62),
    "a-stream-that-goes-back": lambda: stream(b"", 2**64 - 1 - lane().counters[8]),
    "half-a-header-in-the-stream": lambda: stream(b"\0" * 7),
    "a-block-without-a-head": lambda: stream(record(number=number(), kind=3, length=5) + b"block"),
    "an-end-without-a-head": lambda: stream(record(number=number(), kind=4)),
    "an-answer-in-the-stream": lambda: stream(record(number=number(), kind=1)),
    "another-head": lambda: stream(record(number=number() + 7, kind=2)),
    "a-head-and-no-more": lambda: stream(record(number=number(), kind=2)),
    "two-heads": lambda: stream(record(number=number(), kind=2) * 2),
    "a-block-of-another": lambda: stream(record(number=number(), kind=2) + record(number=77, kind=3)),
    "a-block-longer-than-the-stream": lambda: stream(record(number=number(), kind=3, length=2**31)),
    "a-head-in-the-stream-and-an-answer": lambda: [stream(record(number=number(), kind=2)), write(record(number=number()))],
    "full-for-ever": lambda: lane().counters.__setitem__(11, 2**64 - 1),
    "awake-for-ever": lambda: lane().counters.__setitem__(10, 2**64 - 1),
    "takes-all-tokens": lambda: take_tokens(),
    "makes-tokens": lambda: make_tokens(),
}


def shrink(number):
    try:
        if "runner-ring" in os.readlink("/proc/self/fd/" + number):
            os.ftruncate(int(number), 0)
    except OSError:
        pass
    for line in open("/proc/self/maps"):
        if "runner-ring" in line:
            try:
                os.truncate("/proc/self/map_files/" + line.split()[0], 0)
            except OSError:
                pass


def take_tokens():
    try:
        os.read(lane().tokens, 4096)
    except BlockingIOError:
        pass


def make_tokens():
    descriptor = os.open("/proc/self/fd/%d" % lane().tokens, os.O_WRONLY)
    os.write(descriptor, bytes(range(256)))
    os.close(descriptor)


def application(environ, start_response):
    habit = environ["PATH_INFO"].strip("/")
    if habit:
        HABITS[habit]()
        if environ["QUERY_STRING"]:
            # Nothing after it can repair it.
            signal.pause()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
