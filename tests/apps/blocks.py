"""Sends as many bytes as the path says, in blocks of the kind that it names, for tests of slow clients."""

import os
import random
import sys

PATTERN = bytes(range(251))

def pattern(start, length):
    return (PATTERN * (length // 251 + 2))[start % 251:][:length]

def blocks(sizes, total):
    at = 0
    for size in sizes:
        size = min(size, total - at)
        yield pattern(at, size)
        at += size
        if at == total:
            break

def application(environ, start_response):
    kind, _, total = environ['PATH_INFO'][1:].partition('/')
    total = int(total or 0)
    def begin(*headers):
        start_response('200 OK', [('Content-Type', 'text/plain'), *headers])
    def endless(size):
        try:
            while True:
                yield pattern(0, size)
        finally:
            sys.stderr.write('closed\n')
    if kind == 'stream':
        begin()
        return blocks(iter(lambda: 65536, 0), total)
    if kind == 'random':
        begin()
        seed = random.Random(environ['QUERY_STRING'])
        sizes = lambda: seed.choice((0, seed.randrange(20), seed.randrange(70_000), seed.randrange(700_000)))
        return blocks(iter(sizes, -1), total)
    if kind == 'whole':
        begin()
        return [b''.join(blocks([65536] * (total // 65536 + 1), total))]
    if kind == 'announced':
        begin(('Content-Length', str(total)))
        return [b''.join(blocks([65536] * (total // 65536 + 1), total))]
    if kind == 'endless':
        begin()
        return endless(65536)
    if kind == 'raises':
        def raising():
            yield from blocks(iter(lambda: 65536, 0), total)
            raise ValueError('half of it')
        begin()
        return raising()
    if kind == 'dies':
        def dying():
            yield from blocks(iter(lambda: 65536, 0), total)
            os._exit(3)
        begin()
        return dying()
    begin()
    return [b'hello']

async def asgi(scope, receive, send):
    assert scope['type'] == 'http'
    head = {'type': 'http.response.start', 'status': 200, 'headers': [(b'content-type', b'text/plain')]}
    await send(head)
    for block in blocks(iter(lambda: 65536, 0), int(scope['path'].rpartition('/')[2] or 0)):
        await send({'type': 'http.response.body', 'body': block, 'more_body': True})
    await send({'type': 'http.response.body'})
