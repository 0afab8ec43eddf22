"""What an ASGI worker sends to runner: frames go into the shared memory of its lane, or wait in a queue for room there.

Plain Python 3.8 and later, standard library only. The protocol is described in runner's
src/protocol/worker/frame.rs. Nothing here ever waits: `until_room` is for those who can.
"""

from collections import deque

from runner_body_stream import (
    BESIDES,
    CAPACITY,
    FOR_ROOM,
    FULL,
    HEADER,
    HEADER_SIZE,
    NEEDS_FENCE,
    SMALL,
    WRITTEN,
    BodyStream,
)
from runner_descriptors import send_descriptor
from runner_exchange import SLOT, WAKE, Gone
from runner_kept import os, time

ANSWER, HEAD, BLOCK, END, FILE = 1, 2, 3, 4, 5  # kinds of frames, as in src/protocol/worker/frame.rs
ACCEPT, TEXT, BINARY, CLOSE, CREDIT, DONE, UNABLE, LAG = 7, 8, 9, 10, 11, 12, 13, 14
MORE = 1  # flag of a message: the next frame of its number goes on with it
LAST = 2  # flag of an answer: the application's code has ended, and no frame of its number follows
FLAGS = 13  # where flags stand in a header
LARGEST_FRAME = CAPACITY - BESIDES  # bytes of a payload for which there is room in an empty stream
HEAD_DELAY = 0.005  # seconds after which a head is sent, though no part of its body is there
RETRY = 0.001  # seconds until a socket for descriptors that is full is tried again
WAKE_UP = HEADER.pack(0, 0, 0, WAKE, 0, 0, 0)

now = time.perf_counter_ns
pack_into = HEADER.pack_into


class Outbox:
    """All frames of one turn of the loop are announced together."""

    def __init__(self, loop, memory, counters, socket, files, room):
        self.loop = loop
        self.call_soon = loop.call_soon
        self.counters = counters
        self.stream = BodyStream(memory, counters, room, self.wake)
        self.area = self.stream.area
        self.socket = socket
        self.files = files
        self.end = 0  # of what is in the stream
        self.shown = 0  # up to here runner finds it, whether it is told or not
        self.queue = deque()  # frames for which there was no room
        self.waiters = []  # those who wait until there is
        self.held = []  # responses whose heads wait for the first part of a body
        self.is_due = False  # a flush will come
        self.is_timed = False  # heads that are held will be looked at
        self.told = 0  # up to here runner is told of the stream
        self.announced = now()
        self.is_gone = False  # runner reads no more

    def disown(self):
        """Closes it in a process that is no worker."""
        self.stream.disown()

    def put(self, number, kind, payload, service=0, flags=0, fields=0, size=0):
        """Sends a frame. Returns where its flags stand in the area; `None` if it did not get there the usual way. Those of
        a whole answer may be changed until `secure`."""
        at, length, placed = self.end, len(payload), None
        start = at % CAPACITY
        stop = start + HEADER_SIZE + length
        if stop <= CAPACITY and at + BESIDES + length <= self.stream.limit and not self.queue:
            # The usual case of what `BodyStream.place` does.
            pack_into(self.area, start, length, number, service, kind, flags, fields, size)
            if length:
                self.area[start + HEADER_SIZE : stop] = payload
            self.end = at + HEADER_SIZE + length
            placed = start + FLAGS
            if kind != ANSWER:
                self.secure()
        elif self.queue or not self.stream.has_room(length, at):
            self.put_off((number, kind, payload, service, flags, fields, size), None)
        else:
            self.end = self.stream.place(at, number, kind, payload, service, flags, fields, size)
        if not self.is_due:
            self.is_due = True
            self.call_soon(self.flush)
        return placed

    def put_block(self, number, block):
        """Sends a block of a body: from a slot if one is free."""
        stream = self.stream
        if len(block) >= SMALL and not self.queue and stream.has_room(BESIDES, self.end):
            slots = stream.slots
            slot = slots.find()
            if slot:
                if NEEDS_FENCE:
                    stream.fence()  # runner has read what was in it
                slots.claim(slot, 0)  # an exception before the record would lose the slot, which costs time only
                return self.put(number, SLOT, slots.fill(slot, block))
        self.put(number, BLOCK, block)

    def put_file(self, descriptor, number, payload, service, fields, size):
        """Sends a frame that belongs to a descriptor, which is closed."""
        self.put_off((number, FILE, payload, service, 0, fields, size), descriptor)
        if not self.is_due:
            self.is_due = True
            self.call_soon(self.flush)

    def put_off(self, frame, descriptor):
        if self.stream.limit < 0:
            raise Gone
        if len(frame[2]) > LARGEST_FRAME:
            # It would wait for ever, and with it whatever comes behind it. Who puts frames keeps them small.
            raise AssertionError("a frame of %d bytes never fits the stream" % len(frame[2]))
        if self.is_gone:
            if descriptor is not None:
                os.close(descriptor)
            return
        self.queue.append((frame, descriptor))
        if len(self.queue) == 1:
            self.drain()

    def drain(self):
        """Sends what is in the queue as far as there is room."""
        stream, queue, counters = self.stream, self.queue, self.counters
        while queue:
            frame, descriptor = queue[0]
            if not stream.has_room(len(frame[2]), self.end):
                self.publish()
                # Runner looks at this after it has made room, and so this side looks at the room after that.
                counters[FULL] = FOR_ROOM
                stream.fence()
                if not stream.has_room(len(frame[2]), self.end):
                    return
                counters[FULL] = 0
            if descriptor is not None:
                try:
                    send_descriptor(self.files, descriptor)
                except BlockingIOError:
                    # Runner takes descriptors when it comes to the frames that they belong to.
                    self.publish()
                    self.loop.call_later(RETRY, self.drain)
                    return
                except OSError:
                    pass  # runner is gone
                os.close(descriptor)
            self.end = stream.place(self.end, *frame)
            queue.popleft()
        if self.waiters:
            self.wake_waiters()

    def wake_waiters(self):
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)

    def has_room(self):
        """Called when runner tells of room."""
        try:
            told = os.read(self.stream.room, 4096)
        except BlockingIOError:
            return
        except OSError:
            told = b""
        if not told:
            self.give_up()
        self.drain()
        self.publish()

    def give_up(self):
        """Runner reads no more."""
        self.is_gone = True
        self.loop.remove_reader(self.stream.room)
        for _, descriptor in self.queue:
            if descriptor is not None:
                os.close(descriptor)
        self.queue.clear()

    async def until_room(self):
        while self.queue:
            waiter = self.loop.create_future()
            self.waiters.append(waiter)
            try:
                await waiter
            finally:
                self.waiters.remove(waiter)

    def hold(self, response):
        """Remembers a response whose head is to be sent soon, even if no part of its body comes."""
        self.held.append(response)
        if not self.is_due:
            self.is_due = True
            self.call_soon(self.flush)

    def flush(self):
        """Announces all frames that were put."""
        self.is_due = False
        self.publish()
        if self.held:
            self.held = [response for response in self.held if response.is_held()]
            if self.held and not self.is_timed:
                self.is_timed = True
                self.loop.call_later(HEAD_DELAY, self.show_heads)

    def show_heads(self):
        self.is_timed = False
        held, self.held = self.held, []
        for response in held:
            if response.is_held():
                response.show_head()

    def secure(self):
        """Puts what is in the stream where runner finds it, even if this worker dies or its loop is blocked by whatever
        runs next, without a wake-up."""
        if NEEDS_FENCE:
            self.stream.fence()
        self.shown = self.counters[WRITTEN] = self.end

    def publish(self):
        if self.end != self.told:
            self.told = self.shown = self.end
            self.announced = now()
            self.stream.publish(self.end)

    def wake(self):
        """Wakes runner up."""
        try:
            self.socket.send(WAKE_UP)
        except BlockingIOError:
            pass  # there are wake-ups that runner has not read
        except OSError:
            pass  # runner is gone, which the reading end notices
