"""Holds WebSockets open and accounts for the end of each: `hold_sockets.py HOST:PORT COUNT`.

Each client sends a message, reads it again, and waits; when its WebSocket is closed it opens another at once. A line on
standard error tells each time that all of them are open, how many are new, and which process has most. SIGTERM ends it; then standard output gets how WebSockets ended
(JSON, how: count). What is no close frame of the server counts by its name: `refused 502`, `broken off`.
"""

import asyncio
import collections
import json
import signal
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

ADDRESS, COUNT = sys.argv[1], int(sys.argv[2])
ENDS = collections.Counter()
OPEN = {}  # the process of each
MARKED = {"news": 0}


def opened(number, process):
    OPEN[number] = process
    MARKED["news"] += 1
    if len(OPEN) == COUNT:
        ((process, _),) = collections.Counter(OPEN.values()).most_common(1)
        print(f"all are open, {MARKED['news']} are new, most are of process {process}", file=sys.stderr, flush=True)
        MARKED["news"] = 0


async def hold(number):
    while True:
        try:
            async with connect(f"ws://{ADDRESS}/", proxy=None, ping_interval=None, open_timeout=60) as client:
                text = f"client {number}"
                await client.send(text)
                assert await client.recv() == text
                opened(number, client.response.headers["x-process"])
                await client.recv()
        except ConnectionClosed as closed:
            # The server's code comes first: websockets answers with the same.
            ENDS[str(closed.rcvd.code) if closed.rcvd else "broken off"] += 1
        except InvalidStatus as refused:
            ENDS[f"refused {refused.response.status_code}"] += 1
        except (OSError, InvalidHandshake, EOFError) as error:
            ENDS[f"{type(error).__name__}: {error}"] += 1
        OPEN.pop(number, None)


async def main():
    clients = [asyncio.ensure_future(hold(number)) for number in range(COUNT)]
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    print(json.dumps(ENDS))


asyncio.run(main())
