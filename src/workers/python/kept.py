"""Python's own modules as they were before the application was imported.

Plain Python 3.8 and later, standard library only. An application may patch a module later (gevent and eventlet
do, tests mock it, others purge `sys.modules`): that does not reach these copies. Runner uses only what is written in C in
them, which looks at nothing that can be replaced: `_thread` rather than `threading`, and so on.
"""

import _signal
import _socket
import _thread
import errno
import faulthandler
import mmap
import os
import resource
import select
import stat
import sys
import time


def kept(module):
    copy = type(module)(module.__name__)
    vars(copy).update(vars(module))
    return copy


errno, faulthandler, mmap, os, resource, select = map(kept, (errno, faulthandler, mmap, os, resource, select))
signal, socket, stat, sys, thread, time = map(kept, (_signal, _socket, stat, sys, _thread, time))


def system_socket(descriptor):
    """A socket without a timeout, whatever `socket.setdefaulttimeout` says."""
    made = socket.socket(fileno=descriptor)
    made.settimeout(None)
    return made
