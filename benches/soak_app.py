"""The soaked application: each response repeats its number, and each request leaves a line in the log."""

import os
import subprocess
import threading
import time
import zlib
from urllib.parse import parse_qs

# Each worker starts a process that would outlive it; it must end with its worker.
companion = None
beginning = threading.Lock()


def application(environ, start_response):
    begin_companion()
    query = parse_qs(environ["QUERY_STRING"])
    number = int(query["n"][0])
    # A worker's standard error is the log. One write per line keeps lines of several threads apart.
    environ["wsgi.errors"].write(f"soak: {os.getpid()} began {number}\n")
    headers = [("Content-Type", "text/plain"), ("X-Number", str(number)), ("X-Worker", str(os.getpid()))]
    path = environ["PATH_INFO"]
    if path == "/stream":
        start_response("200 OK", headers)
        return blocks(number, int(query["blocks"][0]), int(query["size"][0]), float(query["pause"][0]))
    if path == "/slow":
        time.sleep(0.1)
    length = checksum = 0
    while part := environ["wsgi.input"].read(65536):
        length += len(part)
        checksum = zlib.crc32(part, checksum)
    body = f"{number} {length} {checksum}\n".encode()
    start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
    return [body]


def blocks(number, count, size, pause):
    block = b"%016d" % number * (size // 16)
    for _ in range(count):
        yield block
        time.sleep(pause)


def begin_companion():
    global companion
    with beginning:
        if companion is None:
            companion = subprocess.Popen(["sleep", "100000"], stdin=subprocess.DEVNULL)
