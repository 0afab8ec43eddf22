"""Processes of servers, as /proc shows them."""

import os
import re
import signal
import time
from pathlib import Path


def marked(variable, value):
    """The living processes that have inherited a variable. Only root sees the environment of some of them."""
    wanted = f"{variable}={value}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def kill_all(pids):
    """Kills processes until `pids()` finds no more: a master may be starting another worker at this moment."""
    while left := pids():
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # It has ended by itself.


def stat(pid):
    """The fields of /proc/PID/stat (proc(5)) after the name, from the third (the state) on; none if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def command_lines(pids):
    """Processes with their command lines."""
    described = []
    for pid in pids:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        described.append(f"{pid} {words.strip()}")
    return described


def count_descriptors(pid):
    """The number of descriptors of a process; None if only root may see it."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None


def memory(pid):
    """The proportional set size of a process in bytes: of what it shares with others, its part. None if only root may
    see it, 0 if it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except PermissionError:
        return None
    except OSError:
        return 0
    return int(re.search(r"^Pss:\s+(\d+) kB$", text, re.MULTILINE).group(1)) * 1024


def cpu_seconds(pid):
    """The CPU time of a process so far, and that of its children that have ended."""
    # A process's own is in the kernel's clock of it, exact to nanoseconds (clock_getcpuclockid(3)).
    try:
        own = time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0  # It has ended.
    return own + sum(map(int, stat(pid)[13:15])) / os.sysconf("SC_CLK_TCK")
