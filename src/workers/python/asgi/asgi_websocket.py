"""A WebSocket, by ASGI. Runner speaks its protocol with the client; here are whole messages.

Plain Python 3.8 and later, standard library only. The rules are those of the ASGI specification, `specs/www.rst`, version
2.5 for WebSockets: `send` raises an `OSError` when the client has left.
"""

from collections import deque
from struct import pack, unpack_from

from runner_asgi_loop import turn
from runner_asgi_message import TOKEN, as_bytes, encoded, kind_of_message, listed, split, unknown
from runner_asgi_outbox import ACCEPT, BINARY, CLOSE, CREDIT, MORE, TEXT
from runner_asgi_response import COMPLETE, NOTHING, Response, get_ident
from runner_resolve import described

OFFERED, OPEN, CLOSED = range(3)
OVERHEAD = 64  # what a message counts besides its payload, as in src/interface/conversation.rs
MUCH = 16 * 1024  # bytes that the application takes before runner is told
LARGEST_PART = 128 * 1024  # bytes of a message in one frame
LONGEST_REASON = 123  # RFC 6455 §5.5
NORMAL, GOING_AWAY, BROKEN, FAILED = 1000, 1001, 1006, 1011  # RFC 6455 §7.4.1
PROTOCOL = b"sec-websocket-protocol"


class ClientDisconnected(OSError):
    """The client of a WebSocket has left."""


class WebSocketExchange(Response):
    """`receive` and `send` of a WebSocket."""

    phase = OFFERED
    owed = 0  # bytes that the application has taken, and runner does not know of
    code = reason = None  # of the end
    is_greeted = False
    start_type = "websocket.http.response.start"
    body_type = "websocket.http.response.body"

    def __init__(self, lane, number, begin, target):
        Response.__init__(self, lane, number, begin, "GET", target, None)
        self.incoming = deque()  # messages of the client: whether it is a text, and the payload

    # From the client

    def deliver(self, is_text, payload):
        """The client has sent a message."""
        if self.code is None:
            self.incoming.append((is_text, payload))
            if self.waiters:
                self.wake()

    def leave(self, payload):
        if self.code is not None or self.is_left:
            return
        if len(payload) >= 2:
            self.end(unpack_from("<H", payload)[0], payload[2:].decode("utf-8", "replace"))
        else:
            self.end(BROKEN, "")
        # A response that refuses the WebSocket ends as any other.
        self.is_left = True
        self.lane.allow_grace(self)

    def end(self, code, reason):
        self.code, self.reason = code, reason
        if self.waiters:
            self.wake()

    async def receive(self):
        if get_ident() != self.lane.thread:
            self.check_thread()
        if not self.is_greeted:
            self.is_greeted = True
            return {"type": "websocket.connect"}
        while True:
            if self.incoming:
                is_text, payload = self.incoming.popleft()
                self.owed += len(payload) + OVERHEAD
                if self.owed >= MUCH or not self.incoming:
                    self.outbox.put(self.number, CREDIT, pack("<I", self.owed))
                    self.owed = 0
                if is_text:
                    return {"type": "websocket.receive", "text": payload.decode()}
                return {"type": "websocket.receive", "bytes": payload}
            if self.code is None and (self.is_left or (self.phase, self.state) == (OFFERED, COMPLETE)):
                self.end(BROKEN, "")  # it was refused, by the application or by runner
            if self.code is not None:
                await self.told()
                return {"type": "websocket.disconnect", "code": self.code, "reason": self.reason}
            await self.wait()

    # To the client

    async def send(self, message):
        if get_ident() != self.lane.thread:
            self.check_thread()
        try:
            kind = message["type"]
        except (KeyError, TypeError):
            kind = kind_of_message(message)
        if kind == "websocket.send":
            return await self.message(message)
        if kind == "websocket.accept":
            return self.accept(message)
        if kind == "websocket.close":
            return self.finish(message)
        if type(kind) is str and kind.startswith("websocket.http.response."):
            if self.phase != OFFERED:
                raise self.wrong(kind)
            if self.is_left:
                return await self.send_in_vain()
            if kind == "websocket.http.response.start":
                return self.start(message)
            if kind == "websocket.http.response.body":
                waits = self.body(message)
                return None if waits is None else await waits
        raise unknown(message)

    async def message(self, message):
        # What another task sends may come when this client has left, and the task of this WebSocket has ended for it.
        if self.phase != OPEN and not (self.phase == CLOSED and self.is_left):
            raise self.wrong("websocket.send")
        text, data = message.get("text"), message.get("bytes")
        if (text is None) == (data is None):
            given = "has both" if text is not None else "has neither"
            raise ValueError("`websocket.send` must have `text` or `bytes`, but it %s" % given)
        if text is not None:
            if not isinstance(text, str):
                raise TypeError("`text` of `websocket.send` must be a string, but is %s" % described(text))
            kind, payload = TEXT, text.encode()
        else:
            kind, payload = BINARY, data if type(data) is bytes else as_bytes(data, "`bytes` of `websocket.send`")
        outbox = self.outbox
        while self.is_left or self.window <= 0 or outbox.queue:
            if not self.is_left:
                await (outbox.until_room() if outbox.queue else self.wait())
            if self.is_left or self.phase != OPEN:
                # An application may catch the exception, and send for ever. What others send when its task has ended is theirs.
                await (turn() if self.is_over else self.slow_down())
                raise self.disconnected()
        self.window -= len(payload) + OVERHEAD
        if len(payload) <= LARGEST_PART:
            outbox.put(self.number, kind, payload)
        else:
            parts = split(payload, LARGEST_PART)
            for part in parts[:-1]:
                outbox.put(self.number, kind, part, 0, MORE)
            outbox.put(self.number, kind, parts[-1])
        if outbox.queue:
            await outbox.until_room()

    def accept(self, message):
        if self.phase != OFFERED or self.state != NOTHING:
            raise self.wrong("websocket.accept")
        protocol = message.get("subprotocol")
        if protocol is not None and not (isinstance(protocol, str) and TOKEN.fullmatch(protocol.encode())):
            text = "`subprotocol` of `websocket.accept` must be one that the client offers, but is %.200r"
            raise ValueError(text % (protocol,))
        headers = message.get("headers")
        if headers is None:
            headers = []
        elif type(headers) is not list:
            headers = listed("websocket.accept", headers)
        if protocol is not None:
            headers = headers + [(PROTOCOL, protocol.encode())]
        head, fields, _ = encoded("websocket.accept", b"101 Switching Protocols", headers)
        if sum(name.lower() == PROTOCOL for name, _ in headers) > (protocol is not None):
            raise ValueError("`sec-websocket-protocol` is set by `subprotocol` of `websocket.accept`, not by a header")
        self.phase = OPEN
        self.state = COMPLETE
        if not self.is_left:
            self.outbox.put(self.number, ACCEPT, head, self.service(), 0, fields, len(head))

    def finish(self, message):
        """Closes it, or refuses it before it is open."""
        if self.phase == CLOSED and self.is_left:
            raise self.disconnected()
        if self.phase == CLOSED or self.state not in (NOTHING, COMPLETE) or (self.phase, self.state) == (OFFERED, COMPLETE):
            raise self.wrong("websocket.close")
        if self.phase == OFFERED:
            return self.shut(NORMAL)  # by a 403, which has neither a code nor a reason, whatever they are
        code, reason = message.get("code"), message.get("reason")
        code = NORMAL if code is None else code
        reason = "" if reason is None else reason
        if not isinstance(code, int):
            raise TypeError("`code` of `websocket.close` must be an integer, but is %s" % described(code))
        if not isinstance(reason, str):
            raise TypeError("`reason` of `websocket.close` must be a string, but is %s" % described(reason))
        if not (1000 <= code <= 1014 and code not in (1004, 1005, 1006) or 3000 <= code <= 4999):
            raise ValueError("`code` of `websocket.close` must be one that can be sent (RFC 6455 §7.4), but is %d" % code)
        encoded_reason = reason.encode()
        if len(encoded_reason) > LONGEST_REASON:
            text = "`reason` of `websocket.close` may have %d bytes, but has %d"
            raise ValueError(text % (LONGEST_REASON, len(encoded_reason)))
        if self.is_left:
            raise self.disconnected()
        self.shut(code, reason)

    def shut(self, code, reason=""):
        """Ends it from this side."""
        was, self.phase = self.phase, CLOSED
        if not self.is_left:
            if was == OPEN:
                self.outbox.put(self.number, CLOSE, pack("<H", code) + reason.encode())
            else:
                self.answer(b"403 Forbidden")
                code, reason = BROKEN, ""
        self.incoming.clear()
        if self.code is None:
            self.end(code, reason)

    def disconnected(self):
        """An exception: nothing that is sent arrives any more, which is no mistake of the application."""
        why = "the client of the WebSocket has left" if self.is_left else "the WebSocket was closed before the message was sent"
        return ClientDisconnected(why)

    def wrong(self, kind):
        """An exception: a message at the wrong time."""
        if self.is_over:
            why = "the application has returned"
        elif self.phase == CLOSED:
            why = "the WebSocket is closed"
        elif self.phase == OPEN:
            why = "the WebSocket is accepted already"
        elif self.state == NOTHING:
            why = "the WebSocket is not accepted yet"
        else:
            why = "the WebSocket is refused with a response"
        return RuntimeError("`%s` was sent, but %s" % (kind, why))

    def request(self):
        return "WebSocket", Response.request(self)[1]

    # The end of the application's code

    def has_client(self):
        return self.phase == OPEN and not self.is_left or self.phase == OFFERED and Response.has_client(self)

    def is_expected(self, error):
        return self.is_left and isinstance(error, ClientDisconnected)

    def break_off(self, is_ours, page=None):
        if self.phase == OPEN:
            self.shut(GOING_AWAY if is_ours else FAILED)
        elif self.phase == OFFERED:
            Response.break_off(self, is_ours)

    def close(self):
        if self.phase == OPEN:
            self.shut(NORMAL)
        self.phase = CLOSED
        self.incoming.clear()
        if self.code is None:
            self.code, self.reason = BROKEN, ""
        Response.close(self)
