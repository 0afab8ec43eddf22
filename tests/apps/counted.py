"""Answers `/MICROSECONDS/NUMBER` with the number, after a computation of that length, and records that it has begun."""

import os
import time

BEGUN = os.open(os.path.join(os.path.dirname(__file__), "begun"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def application(environ, start_response):
    _, micros, number = environ["PATH_INFO"].split("/")
    os.write(BEGUN, (number + "\n").encode())
    if micros != "0":
        until = time.perf_counter() + int(micros) / 1e6
        while time.perf_counter() < until:
            pass
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(number)))])
    return [number.encode()]
