"""Descriptors that runner and a worker send each other over sockets.

Plain Python 3.8 and later, standard library only.
"""

from struct import Struct, calcsize

from runner_control import Room
from runner_exchange import Gone
from runner_kept import socket

RECEIVE = 1 << 16  # bytes that are read from a socket at a time
DESCRIPTOR = socket.CMSG_SPACE(calcsize("i"))
CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)

pack_descriptor, unpack_descriptor = Struct("i").pack, Struct("i").unpack


def send_descriptor(files, descriptor):
    rights = pack_descriptor(descriptor)
    files.sendmsg([b"F"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


def receive_descriptor(files):
    """The next descriptor; `None` if this process had no number left for it."""
    with Room():
        sent, ancillary, _, _ = files.recvmsg(1, DESCRIPTOR, CLOSE_ON_EXEC)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            return unpack_descriptor(data[:4])[0]
    if sent:
        return None
    raise Gone
