"""Runs the code in `HABIT` at import or, if `HABIT_LATE` is set, in its first request."""

import os
from os import environ, getpid

HABIT = environ["HABIT"]
IS_LATE = "HABIT_LATE" in environ
done = []


def give_in():
    done.append(True)
    exec(HABIT, {"__name__": "habit"})


if not IS_LATE:
    give_in()


def application(environ, start_response):
    if IS_LATE and not done:
        give_in()
    size = 0
    while True:
        block = environ["wsgi.input"].read(65536)
        if not block:
            break
        size += len(block)
    environ["wsgi.errors"].write("told\n")
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/stream":
        return iter([b"one ", b"", b"two"])
    return [b"%d %d" % (getpid(), size)]
