"""The plot: the rate of each server over the number of connections, as SVG."""

import math
import statistics
from xml.sax.saxutils import escape

TITLE = "hello: answers per second over the number of connections"
LEGEND = "two processes each; the median of the rounds, and from the least to the most"
CONNECTIONS = [1, 4, 16, 64, 256, 1024, 3000]
WORKLOADS = [f"hello-{connections}" for connections in CONNECTIONS]
SERVERS = ["runner", "Granian", "bjoern", "uWSGI", "gunicorn"]

WIDTH, HEIGHT = 760, 436
LEFT, RIGHT, TOP, BOTTOM = 70, 100, 66, 54
# Colours that people with any kind of colour vision tell apart (Okabe and Ito), and lighter ones for a dark page.
LIGHT = ["#c44601", "#0072b2", "#007f5f", "#a64d79", "#6b6b6b"]
DARK = ["#ff8c42", "#56b4e9", "#2ecc9b", "#e08fbf", "#a8a8a8"]
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .page { fill: #ffffff; }
  .grid { stroke: #d8dee4; }
  .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
  .first { stroke-width: 3; }
  .spread { stroke-width: 1; opacity: 0.6; }
  .name { font-weight: 600; }
"""


def style():
    def colours(of):
        return "".join(
            f"\n  .s{number} {{ stroke: {colour}; }} circle.s{number}, text.s{number} {{ fill: {colour}; stroke: none; }}"
            for number, colour in enumerate(of)
        )

    dark = f"  text {{ fill: #e6edf3; }}\n  .page {{ fill: #0d1117; }}\n  .grid {{ stroke: #30363d; }}{colours(DARK)}"
    return f"{STYLE}{colours(LIGHT)}\n  @media (prefers-color-scheme: dark) {{\n{dark}\n  }}\n"


def draw(workloads):
    """The text of the SVG."""
    rates = {
        server: [
            [once["rate"] for once in workloads[name]["servers"][entry(workloads[name]["servers"], server)]["rounds"]]
            for name in WORKLOADS
        ]
        for server in SERVERS
    }
    step = tick(max(max(of) for points in rates.values() for of in points))
    steps = math.ceil(max(max(of) for points in rates.values() for of in points) / step)

    def x(connections):
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(connections) / math.log(CONNECTIONS[-1])

    def y(rate):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * rate / (steps * step)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(TITLE)}">',
        f"<style>{style()}</style>",
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
        f'<text class="title" x="{LEFT}" y="28">{escape(TITLE)}</text>',
    ]
    parts.append(f'<text x="{LEFT}" y="47">{escape(LEGEND)}</text>')
    for number in range(steps + 1):
        at = y(number * step)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{spaced(number * step)}</text>')
    for connections in CONNECTIONS:
        at = x(connections)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{spaced(connections)}</text>')
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">connections, kept alive</text>'
    )
    # The first server is drawn last, on top.
    for number, server in reversed(list(enumerate(SERVERS))):
        points = list(zip(map(x, CONNECTIONS), rates[server]))
        for at, of in points:
            parts.append(
                f'<line class="spread s{number}" x1="{at:.1f}" x2="{at:.1f}" y1="{y(min(of)):.1f}" y2="{y(max(of)):.1f}"/>'
            )
        path = " ".join(f"{at:.1f},{y(statistics.median(of)):.1f}" for at, of in points)
        parts.append(f'<polyline class="line s{number}{" first" * (number == 0)}" points="{path}"/>')
        parts += [f'<circle class="s{number}" cx="{at:.1f}" cy="{y(statistics.median(of)):.1f}" r="3"/>' for at, of in points]
    ends = {server: y(statistics.median(rates[server][-1])) for server in SERVERS}
    for server, at in apart(ends).items():
        parts.append(f'<text class="name s{SERVERS.index(server)}" x="{WIDTH - RIGHT + 10}" y="{at + 4:.1f}">{server}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def entry(servers, server):
    """The entry of a server; Granian's is the better of its two."""
    names = [name for name in servers if servers[name]["server"] == server]
    return max(names, key=lambda name: statistics.median(once["rate"] for once in servers[name]["rounds"]))


def tick(most):
    """A round distance of the horizontal lines, for five to ten of them."""
    power = 10 ** math.floor(math.log10(most))
    return next(step for step in (power / 10, power / 5, power / 2, power, power * 2) if most / step <= 10)


def apart(ends, distance=17):
    """Heights for names that do not overlap, near the ends of their lines."""
    placed = {}
    for server, at in sorted(ends.items(), key=lambda end: -end[1]):
        placed[server] = min(at, min(placed.values(), default=math.inf) - distance)
    return placed


def spaced(value):
    return f"{value:,.0f}".replace(",", " ")
