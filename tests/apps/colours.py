"""Prints the size of a PNG, the colour of its first pixel, and how many colours it has (PNG, third edition, §9)."""

import struct
import sys
import zlib

data = open(sys.argv[1], "rb").read()
assert data.startswith(b"\x89PNG\r\n\x1a\n")
chunks, at = {}, 8
while at < len(data):
    length, kind = struct.unpack_from(">I4s", data, at)
    chunks[kind] = chunks.get(kind, b"") + data[at + 8 : at + 8 + length]
    at += 12 + length
width, height, depth, colour = struct.unpack_from(">IIBB", chunks[b"IHDR"])
size = {2: 3, 6: 4}[colour]
assert depth == 8
packed = zlib.decompress(chunks[b"IDAT"])
line = width * size
above, colours, first = bytearray(line), set(), None
for row in range(height):
    kind = packed[row * (line + 1)]
    now = bytearray(packed[row * (line + 1) + 1 : (row + 1) * (line + 1)])
    for i in range(line) if kind else ():
        left = now[i - size] if i >= size else 0
        corner = above[i - size] if i >= size else 0
        up = above[i]
        guess = left + up - corner
        nearest = min((left, up, corner), key=lambda value: abs(guess - value))
        now[i] = (now[i] + (0, left, up, (left + up) // 2, nearest)[kind]) & 255
    first = first or tuple(now[:3])
    colours |= {tuple(now[i : i + 3]) for i in range(0, line, size)}
    above = now
print(f"{width}x{height}, first {first}, {len(colours)} colours")
