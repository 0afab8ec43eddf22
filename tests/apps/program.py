#!/usr/bin/env python3
"""A program of the kind that `upstream http exec:` starts: an HTTP server that listens where it is told.

Plain Python, which speaks HTTP here itself: it does not know that it is Python. The first argument, if there is one, is the
path of a Unix socket; further ones say how it misbehaves.
"""

import ctypes
import http.server
import os
import signal
import socket
import socketserver
import sys
import threading

HABITS = sys.argv[1:]
# The FIFO at which it waits. What the test writes is lost unless the FIFO is open by then.
GATE = os.open(os.environ["GATE"], os.O_RDWR) if "GATE" in os.environ else None


def gate():
    """Waits until the test opens the gate."""
    os.read(GATE, 1)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    well = True
    silent = False

    def do_GET(self):
        status, text = 200, str(os.getpid())
        if self.path == "/environment":
            text = "\n".join("%s=%s" % item for item in sorted(os.environ.items()))
        elif self.path == "/folder":
            text = os.getcwd()
        elif self.path == "/words":
            text = " ".join(sys.argv[1:])
        elif self.path == "/wait":
            print("waiting", flush=True)
            gate()
        elif self.path == "/kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.path == "/fall_ill":
            Handler.well = False
        elif self.path == "/fall_silent":
            Handler.silent = True
        elif self.path == "/health" and Handler.silent:
            threading.Event().wait()
        elif self.path == "/health" and not (Handler.well and not os.path.exists("unwell")):
            status = 503
        elif self.path == "/ready" and not os.path.exists("ready"):
            status = 503
        elif self.path == "/flood":
            for number in range(100000):
                print("line %d of a flood, which is longer than the lines of programs are that say something" % number)
            sys.stdout.flush()
        elif self.path == "/close":
            self.close_connection = True
            return
        elif self.path == "/stay":
            stay()
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


class UnixServer(Server):
    address_family = socket.AF_UNIX


def stay():
    """Leaves a process behind that is in no group of ours and does not end by itself."""
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            print("stays", flush=True)
            while True:
                signal.pause()
        os._exit(0)


def main():
    if "exit" in HABITS:
        print("what is wrong\nand where", file=sys.stderr)
        sys.exit(7)
    if "leave" in HABITS:
        sys.exit(0)
    if "stubborn" in HABITS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stay()
    if "silent" in HABITS:
        print("I do not listen\nWhat is its name?", end="", flush=True)
        signal.pause()
    if "gate" in HABITS:
        print("at the gate", flush=True)
        gate()
    if "PORT" in os.environ:
        server = Server((os.environ["HOST"], int(os.environ["PORT"])), Handler)
    else:
        server = UnixServer(HABITS[0], Handler)
    print("listening", flush=True)
    if "headless" in HABITS:
        threading.Thread(target=server.serve_forever).start()
        ctypes.CDLL(None).pthread_exit(None)
    server.serve_forever()


main()
