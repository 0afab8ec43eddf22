"""Runs bjoern in several processes: `bjoern_server.py APPLICATION PORT PROCESSES fork|reuse_port`.

bjoern has no master and no command of its own. Its documentation has both ways: processes that are forked with one
listening socket, or that each listen for themselves (SO_REUSEPORT).
"""

import importlib
import os
import signal
import sys

import bjoern


def main():
    name, port, processes, way = sys.argv[1:]
    module, _, attribute = name.partition(":")
    application = getattr(importlib.import_module(module), attribute)
    backlog = int(open("/proc/sys/net/core/somaxconn").read())

    def listen():
        bjoern.listen(application, "127.0.0.1", int(port), reuse_port=way == "reuse_port", listen_backlog=backlog)

    if way == "fork":
        listen()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for _ in range(int(processes) - 1):
        if os.fork() == 0:
            break
    if way == "reuse_port":
        listen()
    bjoern.run()


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    main()
