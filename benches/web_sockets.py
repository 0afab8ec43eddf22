"""Load on a server by WebSockets: each client sends a short text, waits for it to come back, and sends the next.

A client of a library would take more time than the server does, so frames are made once (RFC 6455 §5.2) and compared as
bytes.
"""

import base64
import os
import select
import socket
import subprocess
import sys
import time

from load import Figures, own_cpu

TEXT = b"Hello, world!"
MASK = b"mask"
MASKED = bytes(byte ^ MASK[number % 4] for number, byte in enumerate(TEXT))
SENT = bytes([0x81, 0x80 | len(TEXT)]) + MASK + MASKED
RETURNED = bytes([0x81, len(TEXT)]) + TEXT


def echoes(server, workload, seconds):
    """The figures of many short messages; the rate is that of messages that came back."""
    command = [sys.executable, __file__, str(server.port), workload.path, str(workload.connections)]
    subprocess.run([*command, str(workload.warm_up)], check=True, stdout=subprocess.DEVNULL)
    cpu, own = server.cpu_seconds(), own_cpu()
    text = subprocess.run([*command, str(seconds)], check=True, stdout=subprocess.PIPE, text=True).stdout
    cpu, own = server.cpu_seconds() - cpu, own_cpu() - own
    count, errors, passed, p50, p99 = map(float, text.split())
    passed = max(passed, 1e-3)  # a server that refuses all WebSockets ends the run at once
    return Figures(
        rate=count / passed,
        cpu=cpu / max(count, 1) * 1e6,
        p50=p50,
        p99=p99,
        errors=int(errors),
        memory=server.memory(),
        load=own / passed,
    )


def connect(port, path):
    """A WebSocket without compression; None if the server refuses it."""
    key = base64.b64encode(os.urandom(16)).decode()
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        part = client.recv(1)
        if not part:
            break
        head += part
    if not head.startswith(b"HTTP/1.1 101 "):
        client.close()
        return None
    return client


def main():
    port, path, count, seconds = sys.argv[1:]
    clients = [connect(int(port), path) for _ in range(int(count))]
    errors = clients.count(None)
    # What each has sent when, and what it has received of the answer.
    waiting = {client.fileno(): [client, 0.0, b""] for client in clients if client}
    poll = select.epoll()
    began = now = time.perf_counter()
    end = began + float(seconds)
    for number, state in waiting.items():
        poll.register(number, select.EPOLLIN)
        state[1] = now
        state[0].sendall(SENT)
    times = []
    while waiting and now < end:
        for number, _ in poll.poll(end - now):
            state = waiting[number]
            client, sent, before = state
            received = before + client.recv(4096)
            now = time.perf_counter()
            if received == RETURNED:
                times.append(now - sent)
                state[1], state[2] = now, b""
                client.send(SENT)
            elif received != before and RETURNED.startswith(received):
                state[2] = received
            else:
                errors += 1
                poll.unregister(number)
                del waiting[number]
        now = time.perf_counter()
    # An answer that takes two seconds is none.
    errors += sum(now - sent > 2 for _, sent, _ in waiting.values()) + sum(taken > 2 for taken in times)
    times.sort()
    shown = [times[len(times) * part // 100] * 1000 if times else float(seconds) * 1000 for part in (50, 99)]
    print(len(times), errors, now - began, *shown)


if __name__ == "__main__":
    main()
