"""The stream of a lane: shared memory through which answers go that are made in parts.

Plain Python 3.8 and later, standard library only. The protocol is described in runner's
src/protocol/worker/frame.rs.
"""

from struct import Struct

from runner_exchange import BLOCK, END, HEAD, Abandoned, Gone
from runner_kept import os, thread

# Length, number, service time, kind, flags, number of fields, length of the head.
HEADER = Struct("<IIIBBHI")
HEADER_SIZE = HEADER.size
CAPACITY = 768 * 1024 - 128  # bytes of records, as in src/protocol/worker/frame.rs
WRITTEN, READ, AWAKE, FULL = 8, 9, 10, 11  # counters, as in src/protocol/worker/frame.rs
BESIDES = 2 * HEADER_SIZE  # bytes that a record takes at most besides its payload

pack_into = HEADER.pack_into


class Fence:
    """Orders accesses to shared memory: an uncontended lock's release and acquire do what a barrier would."""

    def __init__(self):
        self.lock = thread.allocate_lock()
        self.lock.acquire()

    def __call__(self):
        self.lock.release()
        self.lock.acquire()


class BodyStream:
    """Whatever exception interrupts it, a record is in the stream as a whole or not at all: a counter says where it ends,
    and is changed last."""

    def __init__(self, counters, area, room, wake):
        self.counters = counters
        self.area = area
        self.room = room  # the pipe on which runner tells of room
        self.wake = wake
        self.limit = CAPACITY  # how far it may be written without looking at what runner has read
        self.fence = Fence()
        self.lock = thread.allocate_lock()  # threads of the application may call write()

    def disown(self):
        """Closes the stream in a process that is no worker."""
        self.limit = -1
        self.lock = thread.allocate_lock()  # another thread may have held the old one
        os.close(self.room)

    def begin(self, number, head, fields, behind, block):
        """Puts the head of an answer, what is to be `behind` it, and its first block. Returns the block if there was no room
        for it."""
        with self.lock:
            size = len(head)
            self.make_room(size + len(behind))
            end = self.place(self.counters[WRITTEN], number, HEAD, head + behind, fields=fields, size=size)
            if block and self.has_room(len(block), end):
                end = self.place(end, number, BLOCK, block)
                block = b""
            self.publish(end)
        return block

    def put(self, number, block, cancelled):
        """Puts a block, and waits for room as long as the block is wanted."""
        size = len(block)
        with self.lock:
            written = self.counters[WRITTEN]
            if self.has_room(size, written):
                return self.publish(self.place(written, number, BLOCK, block))
            rest = memoryview(block)
            while len(rest):
                self.make_room(min(len(rest), CAPACITY // 2 - BESIDES))
                if cancelled(number):
                    raise Abandoned
                written = self.counters[WRITTEN]
                part = rest[: self.limit - written - BESIDES]
                self.publish(self.place(written, number, BLOCK, part))
                rest = rest[len(part) :]

    def end(self, number, service, flags):
        """Puts the end of a body."""
        with self.lock:
            self.make_room(0)
            self.publish(self.place(self.counters[WRITTEN], number, END, b"", service, flags))

    def has_room(self, size, at):
        """Whether there is room for a record with a payload of this size."""
        end = at + BESIDES + size
        if end > self.limit >= 0:
            self.limit = self.counters[READ] + CAPACITY
        return end <= self.limit

    def make_room(self, size):
        """Waits until there is."""
        written = self.counters[WRITTEN]
        while not self.has_room(size, written):
            if self.limit < 0:
                raise Gone
            # Runner looks at this after it has made room, and so this side looks at the room after that.
            self.counters[FULL] = 1
            self.fence()
            if self.has_room(size, written):
                self.counters[FULL] = 0
                break
            try:
                told = os.read(self.room, 4096)
            except OSError:
                told = b""
            if not told:
                raise Gone

    def place(self, at, number, kind, payload, service=0, flags=0, fields=0, size=0):
        """Writes a record. Returns where it ends."""
        start = at % CAPACITY
        if start + HEADER_SIZE > CAPACITY:
            at += CAPACITY - start
            start = 0
        length = len(payload)
        pack_into(self.area, start, length, number, service, kind, flags, fields, size)
        start += HEADER_SIZE
        end = start + length
        if end <= CAPACITY:
            self.area[start:end] = payload
        else:
            payload = memoryview(payload)
            self.area[start:] = payload[: CAPACITY - start]
            self.area[: end - CAPACITY] = payload[CAPACITY - start :]
        return at + HEADER_SIZE + length

    def publish(self, end):
        """Shows runner all records up to here, and wakes it up if it does not look by itself."""
        counters, fence = self.counters, self.fence
        fence()
        counters[WRITTEN] = end
        fence()
        if not counters[AWAKE]:
            try:
                counters[AWAKE] = 1
                self.wake()
            except BaseException:
                counters[AWAKE] = 0
                raise
