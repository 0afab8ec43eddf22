"""The processes of the server that is soaked, as the system shows them."""

import os
import time
from pathlib import Path

# The variable by which all processes of one master are known; they inherit it.
MARK = "RUNNER_SOAK"


class Master:
    """One process of the server that was started."""

    def __init__(self, number, process, mark):
        self.number = number
        self.process = process
        self.mark = mark
        self.began = time.monotonic()
        self.samples = []
        # The workers that were seen.
        self.known = set()

    @property
    def pid(self):
        return self.process.pid

    def pids(self):
        """All processes of it: they have inherited its mark. Only root sees that of the master itself."""
        return marked(f"{MARK}={self.mark}")

    def workers(self):
        """Each leads a process group. Its parent is a template, which leads one, too; when that has ended, the master."""
        leaders = self.leaders()
        self.known |= {pid for pid, parent in leaders.items() if parent in leaders}
        return sorted(self.known & set(leaders))

    def templates(self):
        """The processes that start workers, and have."""
        leaders = self.leaders()
        return sorted(set(leaders) & set(leaders.values()))

    def leaders(self):
        """The leaders of process groups beside itself, with their parents."""
        processes = {pid: stat(pid) for pid in self.pids() if pid != self.pid}
        return {pid: parent for pid, (parent, group) in processes.items() if group == pid}


def marked(mark):
    """The living processes with a variable in their environment."""
    wanted = mark.encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def stat(pid):
    """The parent and the process group of a process, zeros if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0, 0
    return int(fields[1]), int(fields[2])


def describe(pids):
    """Processes with their words."""
    described = []
    for pid in pids:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        described.append(f"{pid} {words.strip()}")
    return described


def measure(master):
    """What a master takes: memory in KiB, descriptors (where we may look at them), threads, processes beside it."""
    try:
        status = Path(f"/proc/{master.pid}/status").read_text()
    except OSError:
        return None
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    if "VmRSS" not in fields:
        return None
    found = {"memory": int(fields["VmRSS"].split()[0]), "threads": int(fields["Threads"])}
    descriptors = count_descriptors(master.pid)
    if descriptors is not None:
        found["descriptors"] = descriptors
    found["processes"] = len(set(master.pids()) - {master.pid})
    return found


def count_descriptors(pid):
    """How many a process has; None if only root may know."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
