"""Shows the time and the number of the process that answers."""

import os
import time


def application(environ, start_response):
    # Imported already, by `Import` in clock.conf.
    from clock_faces import FACES

    hour = time.localtime().tm_hour % 12
    text = "%s  %s\nprocess %d\n" % (FACES[hour], time.strftime("%H:%M:%S"), os.getpid())
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode("utf-8")]
