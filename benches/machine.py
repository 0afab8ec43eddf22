"""The machine and the programs of a benchmark, and the speed of its Python."""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

from servers import VENV

# The least of many short runs is one without an interruption.
CALIBRATION = """
import time
from app import busy
rounds = 2000
def measure():
    began = time.perf_counter()
    busy(rounds)
    return time.perf_counter() - began
print(round(rounds / min(measure() for _ in range(400)) / 1000))
"""


def rounds_per_millisecond():
    """How many rounds of `app.busy` the bench's Python makes in a millisecond."""
    command = [VENV / "bin" / "python", "-c", CALIBRATION]
    return int(subprocess.run(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE, check=True).stdout)


def describe(runner):
    """What figures depend on."""
    processor = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "processor": processor.group(1).strip() if processor else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "servers": {
            "runner": said([runner, "--version"]).split()[-1],
            "Granian": version("granian"),
            "bjoern": version("bjoern"),
            "uWSGI": version("uwsgi"),
            "gunicorn": version("gunicorn"),
            "uvicorn": version("uvicorn"),
            "Hypercorn": version("hypercorn"),
            **of_the_system(),
        },
        "revision": said(["git", "-C", Path(__file__).parent, "describe", "--always", "--dirty"]) or None,
        "wrk": (re.search(r"wrk (\S+)", said(["wrk", "-v"])) or [None, None])[1],
    }


def of_the_system():
    """The versions of servers that the system has."""
    found = {
        "nginx": ["/usr/sbin/nginx", "-v"],
        "lighttpd": ["/usr/sbin/lighttpd", "-v"],
        "PHP": ["php-cgi", "-n", "-v"],
    }
    versions = {name: re.search(r"(?:/|PHP )(\d[\d.]+)", said(command, subprocess.STDOUT)) for name, command in found.items()}
    return {name: match.group(1) for name, match in versions.items() if match}


def said(command, errors=subprocess.DEVNULL):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, text=True).stdout.strip()
    except OSError:
        return ""
