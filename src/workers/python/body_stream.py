"""The stream of a lane: shared memory through which answers go that are made in parts, and its slots for large blocks.

Plain Python 3.8 and later, standard library only. The protocol is described in runner's
src/protocol/worker/frame.rs.
"""

import platform
from struct import Struct

from runner_exchange import BLOCK, END, HEAD, SLOT, Abandoned, Gone
from runner_kept import os, thread

# Length, number, service time, kind, flags, number of fields, length of the head.
HEADER = Struct("<IIIBBHI")
HEADER_SIZE = HEADER.size
START = 128 + 256 * 1024  # where the stream begins in the memory of a lane, as in src/protocol/worker/frame.rs
CAPACITY = 768 * 1024 - 128  # bytes of records, as there
WRITTEN, READ, AWAKE, FULL, CLAIMED, RETURNED = 8, 9, 10, 11, 12, 13  # counters, as there
FOR_ROOM, FOR_SLOT = 1, 2  # what this side waits for, as there
SLOT_SIZE = 64 * 1024  # bytes, as there
SMALL = 32 * 1024  # bytes of a block for which a slot would not save time
BESIDES = 2 * HEADER_SIZE  # bytes that a record takes at most besides its payload

# x86 never reorders writes, nor reads.
NEEDS_FENCE = platform.machine().lower() not in ("x86_64", "amd64", "i686", "i386")

pack_into = HEADER.pack_into
name_of = Struct("<II").pack  # the number of a slot and the length of its block


class Fence:
    """Orders accesses to shared memory: an uncontended lock's release and acquire do what a barrier would."""

    def __init__(self):
        self.lock = thread.allocate_lock()
        self.lock.acquire()

    def __call__(self):
        self.lock.release()
        self.lock.acquire()


class Slots:
    """Places for large blocks, which runner sends from there. Each is a bit."""

    def __init__(self, counters, area):
        self.counters = counters
        self.area = area
        self.all = (1 << len(area) // SLOT_SIZE) - 1
        self.claimed = self.before = 0
        self.end = 0  # of the record with the last claim

    def find(self):
        """A free slot; 0 if none is."""
        free = ~(self.counters[RETURNED] ^ self.claimed) & self.all
        return free & -free

    def fill(self, slot, block):
        """Copies a block to a slot. Returns the payload that names it."""
        number, length = slot.bit_length() - 1, len(block)
        start = number * SLOT_SIZE
        self.area[start : start + length] = block
        return name_of(number, length)

    def claim(self, slot, end):
        """The slot is in use from when the stream is shown up to the end of the record that names it."""
        self.before, self.end = self.claimed, end
        self.claimed ^= slot
        self.counters[CLAIMED] = self.claimed

    def settle(self, written):
        """Takes the last claim back if an exception came before its record was shown."""
        if written < self.end:
            self.claimed = self.counters[CLAIMED] = self.before
            self.end = 0


class BodyStream:
    """Whatever exception interrupts it, a record is in the stream as a whole or not at all: a counter says where it ends,
    and is changed last."""

    def __init__(self, memory, counters, room, wake):
        self.counters = counters
        self.area = memory[START : START + CAPACITY]
        self.slots = Slots(counters, memory[START + CAPACITY :])
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
            end = self.place(self.written(), number, HEAD, head + behind, fields=fields, size=size)
            behind_block = self.added(end, number, block) if block else None
            self.publish(behind_block or end)
        return b"" if behind_block else block

    def put(self, number, block, cancelled):
        """Puts a block, and waits for room as long as the block is wanted."""
        with self.lock:
            end = self.added(self.written(), number, block)
            if end:
                return self.publish(end)
            rest = memoryview(block)
            while len(rest):
                if len(rest) >= SMALL and self.slots.all:
                    part = rest[:SLOT_SIZE]
                    self.make_room(BESIDES)
                    self.wait_until(FOR_SLOT, self.slots.find)
                else:
                    self.make_room(min(len(rest), CAPACITY // 2 - BESIDES))
                    part = rest[: self.limit - self.counters[WRITTEN] - BESIDES]
                if cancelled(number):
                    raise Abandoned
                self.publish(self.added(self.counters[WRITTEN], number, part))
                rest = rest[len(part) :]

    def added(self, at, number, block):
        """Writes a record with a block, or with what names the slot that it is in. Returns where it ends, or nothing if there
        is no room for it."""
        size = len(block)
        if size < SMALL or not self.slots.all:
            return self.place(at, number, BLOCK, block) if self.has_room(size, at) else None
        if size > SLOT_SIZE or not self.has_room(BESIDES, at):
            return None
        slot = self.slots.find()
        if not slot:
            return None
        if NEEDS_FENCE:
            self.fence()  # runner has read what was in it
        end = self.place(at, number, SLOT, self.slots.fill(slot, block))
        self.slots.claim(slot, end)
        return end

    def end(self, number, service, flags):
        """Puts the end of a body."""
        with self.lock:
            self.make_room(0)
            self.publish(self.place(self.written(), number, END, b"", service, flags))

    def written(self):
        """How far the stream is shown to runner."""
        written = self.counters[WRITTEN]
        self.slots.settle(written)
        return written

    def has_room(self, size, at):
        """Whether there is room for a record with a payload of this size."""
        end = at + BESIDES + size
        if end > self.limit >= 0:
            self.limit = self.counters[READ] + CAPACITY
        return end <= self.limit

    def make_room(self, size):
        """Waits until there is."""
        written = self.counters[WRITTEN]
        if not self.has_room(size, written):
            self.wait_until(FOR_ROOM, lambda: self.has_room(size, written))

    def wait_until(self, reason, is_there):
        """Waits until there is what it waits for."""
        while not is_there():
            if self.limit < 0:
                raise Gone
            # Runner looks at this after it has made room, and so this side looks at the room after that.
            self.counters[FULL] = reason
            self.fence()
            if is_there():
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
        if NEEDS_FENCE:
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
