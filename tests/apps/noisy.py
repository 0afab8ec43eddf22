"""Writes to its log in every possible way, and breaks the files that it writes to."""

import os
import resource
import sys


def limited(size):
    """Limits the size of files of this process."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def application(environ, start_response):
    path = environ["PATH_INFO"]
    errors = environ["wsgi.errors"]
    if path == "/raise":
        raise ValueError("on purpose")
    if path == "/full":
        limited(os.fstat(2).st_size)
    if path == "/room":
        limited(resource.RLIM_INFINITY)
    if path == "/say":
        print("said to stdout")
        print("said to stderr", file=sys.stderr, flush=True)
        print("said to wsgi.errors", file=errors, flush=True)
    if path == "/unfinished":
        errors.write("a line without an end")
    if path == "/surrogates":
        errors.write("\ud800 \u2603\n")
    if path == "/close":
        errors.close()
        sys.stderr.close()
        raise ValueError("closed")
    if path == "/clear":
        environ.clear()
        raise ValueError("cleared")
    if path == "/replace":
        environ["wsgi.errors"] = environ["REQUEST_METHOD"] = None
        sys.stderr = sys.stdout = None
        raise ValueError("replaced")
    if path == "/strange":
        raise Strange
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/close-raises":
        return Closing([b"closing"])
    if path == "/close-is-broken":
        return Unclosable([b"closing"])
    return [b"%d" % os.getpid()]


class Strange(BaseException):
    """An exception that cannot be printed."""

    def __str__(self):
        raise self

    __repr__ = __str__


class Closing(list):
    def close(self):
        raise ValueError("in close")


class Unclosable(list):
    @property
    def close(self):
        raise ValueError("not even that")
