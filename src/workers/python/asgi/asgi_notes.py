"""Lines of the log about requests of an ASGI application that runner ends.

Plain Python 3.8 and later, standard library only.
"""

from runner_kept import time
from runner_output import say

MOST = 20  # lines in a second
SECOND = 1.0


class Notes:
    """Lines about requests that runner ends. There may be thousands at a time: some in a second are written, the others
    counted."""

    def __init__(self, loop):
        self.loop = loop
        self.begun = 0  # the second
        self.written = self.missing = 0

    def say(self, text, level, exchange):
        """`text` makes the line, if it is written."""
        if time.monotonic() - self.begun > SECOND:
            self.catch_up()
            self.begun, self.written = time.monotonic(), 0
        if self.written < MOST:
            self.written += 1
            say(text(), level, exchange.ids)
        else:
            if not self.missing:
                self.loop.call_later(SECOND, self.catch_up)
            self.missing += 1

    def catch_up(self):
        if self.missing:
            say("%d more lines about requests that were ended are left out" % self.missing, "warning")
            self.missing = 0
