"""The processes of the soaked server."""

import time
from pathlib import Path

from processes import count_descriptors, marked, stat

# The variable that all processes of a master inherit.
MARK = "RUNNER_SOAK"


class Master:
    """A started master and its processes."""

    def __init__(self, number, process, mark):
        self.number = number
        self.process = process
        self.mark = mark
        self.began = time.monotonic()
        self.samples = []
        # All workers so far.
        self.known = set()

    @property
    def pid(self):
        return self.process.pid

    def pids(self):
        """All its processes; only root sees the master itself."""
        return marked(MARK, self.mark)

    def workers(self):
        """Each leads a process group, as does its parent: a template, or the master if the template has ended."""
        leaders = self.leaders()
        self.known |= {pid for pid, parent in leaders.items() if parent in leaders}
        return sorted(self.known & set(leaders))

    def templates(self):
        """The processes that start workers, and have started some."""
        leaders = self.leaders()
        return sorted(set(leaders) & set(leaders.values()))

    def leaders(self):
        """The other leaders of process groups, with their parents."""
        processes = {pid: stat(pid) for pid in self.pids() if pid != self.pid}
        return {pid: int(fields[1]) for pid, fields in processes.items() if fields and int(fields[2]) == pid}


def measure(master):
    """What a master uses: memory in KiB, descriptors (if visible), threads, and other processes."""
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
