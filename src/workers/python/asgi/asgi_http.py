"""A request over HTTP and its response, by ASGI.

Plain Python 3.8 and later, standard library only. The rules are those of the ASGI specification, `specs/www.rst`; of its
versions 2.3 is announced, by which `send` does nothing when the client has left: what an application does not expect
cannot fail there. That is so for some messages, with which a response that is ready ends. Whoever sends on is cancelled
(`Response.send_in_vain`).
"""

from runner_asgi_message import kind_of_message, unknown
from runner_asgi_response import COMPLETE, Response, get_ident
from runner_kept import errno, os

PIECE = 64 * 1024  # bytes of a body that is a file, in one message
DISCONNECT = "http.disconnect"


class HttpExchange(Response):
    """`receive` and `send` of a request."""

    async def receive(self):
        if get_ident() != self.lane.thread:
            self.check_thread()
        if self.state == COMPLETE or self.is_left:
            await self.told()
            return {"type": DISCONNECT}
        content = self.content
        if content is not None:
            self.content = None
            return {"type": "http.request", "body": content, "more_body": False}
        if self.upload is not None:
            piece, more = self.upload.read()
            if not more:
                self.close_upload()
            return {"type": "http.request", "body": piece, "more_body": more}
        while self.state != COMPLETE and not self.is_left:
            await self.wait()
        return {"type": DISCONNECT}

    async def send(self, message):
        if get_ident() != self.lane.thread:
            self.check_thread()
        if self.is_left:
            kind_of_message(message)
            return await self.send_in_vain()
        try:
            kind = message["type"]
        except (KeyError, TypeError):
            kind = kind_of_message(message)
        if kind == "http.response.start":
            return self.start(message)
        if kind == "http.response.body":
            waits = self.body(message)
        elif kind == "http.response.pathsend":
            waits = self.file(message)
        else:
            raise unknown(message)
        if waits is not None:
            await waits


class Upload:
    """The body of a request that is a file, read in pieces."""

    def __init__(self, descriptor):
        self.descriptor = descriptor
        self.place = 0

    def read(self):
        """The next piece, and whether there are more."""
        if self.descriptor is None:
            raise OSError(errno.EMFILE, "Too many open files: the body of the request could not be opened")
        piece = os.pread(self.descriptor, PIECE, self.place)
        self.place += len(piece)
        return piece, bool(piece) and self.place < os.fstat(self.descriptor).st_size

    def close(self):
        if self.descriptor is not None:
            try:
                os.close(self.descriptor)
            except OSError:
                pass  # the application has done it
