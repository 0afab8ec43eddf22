"""The report of a soak: lost requests, unexpected log lines, growth and leftovers."""

import re
import statistics
from collections import Counter

# A fault is shown with the actions of the last seconds.
SHOWN = 8
# Log lines about what is done to the server. All others are faults.
EXPECTED = [
    r"runner: serving http://127\.0\.0\.1:\d+/",
    r"runner: reloaded",
    r"runner: the template was killed by SIGKILL; its workers go on, and it is started anew in [\d.]+ s",
]
# Clients that leave within a body are refused; the log has a line for each, or one for several.
REFUSED = [
    (re.compile(r"runner: refused a request from 127\.0\.0\.1: the body is malformed or incomplete: .* \(400\)"), 1),
    (re.compile(r"runner: left out one more line about requests that were refused"), 1),
    (re.compile(r"runner: left out (\d+) more lines about requests that were refused"), None),
]
KILLED = re.compile(r"runner: worker (\d+)(?: \(.*\))? was killed by SIGKILL\b(.*)")
LINE = re.compile(r"soak: (\d+) began (\d+)")
# The log line is written soon after the request has begun, but not at once.
LATE = 1
# Differences that are no growth: the load changes from moment to moment. Most threads wait for disks, one for each
# pending write; each ends when it has been idle for a while, as the measurement at rest shows.
TOLERANCE = {"memory": 8 * 1024, "descriptors": 20, "threads": 40, "processes": 6}


def report(run):
    """Prints the report; returns whether all is well."""
    faults = list(run.faults)
    log = Log(run.folder)
    faults += losses(run, log)
    faults += lines(run, log)
    faults += growth(run)
    requests = run.clients.requests
    counts = Counter(request.kind for request in requests)
    print("\nrequests: " + ", ".join(f"{kind} {count:,}" for kind, count in counts.most_common()))
    print(f"connections: {run.clients.connections:,}; masters: {len(run.masters)}; kills: {len(run.kills)}")
    for name, found in zip(("first master, before", "last master, after"), run.rest):
        print(f"at rest, {name}: " + ", ".join(f"{what} {value:,}" for what, value in found.items()))
    for moment, what in sorted(faults):
        print(f"\n{run.since(moment):.3f} s: {what}")
        for then, event in run.events:
            if moment - SHOWN < then < moment + 2:
                print(f"    {run.since(then):.3f} s: {event}")
    print(f"\n{len(faults)} faults" if faults else "\nall is well")
    return not faults


class Log:
    """The content of the log."""

    def __init__(self, folder):
        # How often each request began; for each killed worker, its log lines and the requests that it cost.
        self.begun = Counter()
        self.killed = {}
        self.refused = 0
        # All other lines.
        self.lines = []
        for path in sorted(folder.glob("log*")):
            for line in path.read_text(errors="backslashreplace").splitlines():
                self.read(line)

    def read(self, line):
        if match := LINE.fullmatch(line):
            self.begun[int(match[2])] += 1
            return
        self.lines.append(line)
        if match := KILLED.fullmatch(line):
            self.killed[int(match[1])] = line, {int(number) for number in re.findall(r"\?n=(\d+)", match[2])}
        for pattern, count in REFUSED:
            if match := pattern.fullmatch(line):
                self.refused += count or int(match[1])

    def unexpected(self):
        known = [re.compile(pattern) for pattern in EXPECTED] + [KILLED] + [pattern for pattern, _ in REFUSED]
        return [line for line in self.lines if not any(pattern.fullmatch(line) for pattern in known)]


def losses(run, log):
    """The lost requests, except those that killed workers explain: each of their threads may have had one."""
    lost = sorted((request for request in run.clients.requests if request.lost), key=lambda request: request.ended)
    faults = []
    excused = set()
    for killed, pid in run.kills:
        # The log names the requests that a worker cost; an idle worker about to leave need not be mentioned. If the log
        # was truncated just then, the time decides.
        line, named = log.killed.get(pid, (None, None if near(run.truncations, killed, killed) else ()))
        fitting = {
            request.number
            for request in lost
            if request.by_death
            and request.sent <= killed <= request.ended
            and request.worker in (None, pid)
            and (named is None or request.number in named)
        } - excused
        excused.update(sorted(fitting)[: run.threads])
        if len(named or ()) > run.threads:
            faults.append((killed, f"a worker of {run.threads} threads takes more requests with it: {line}"))
    strangers = set(log.killed) - {pid for _, pid in run.kills}
    faults += [(run.began, f"nobody killed that worker: {log.killed[pid][0]}") for pid in strangers]
    print(f"\nanswered: {sum(not (request.lost or request.leaves) for request in run.clients.requests):,}")
    print(f"lost with their killed worker: {len(excused)}, of {run.threads * len(run.kills)} at most")
    return faults + [
        (
            request.ended,
            f"request {request.number} ({request.kind}, sent at {run.since(request.sent):.3f} s, after {request.before} others"
            f" on its connection, worker {request.worker}) was lost: {request.lost}",
        )
        for request in lost
        if request.number not in excused
    ]


def lines(run, log):
    """Missing log lines, and lines without a reason."""
    print("the log says:")
    counts = Counter(re.sub(r"\d+", "N", line) for line in log.lines)
    for line, count in counts.most_common(40):
        print(f"    {count:6} x {line}")
    faults = [(run.began, f"the log says: {line}") for line in log.unexpected()]
    left = sum(request.kind == "leave in the body" for request in run.clients.requests)
    if log.refused > left:
        faults.append((run.began, f"{log.refused} requests were refused, but only {left} clients left within a body"))
    truncated = 0
    for request in run.clients.requests:
        begun = log.begun[request.number]
        whole = not request.lost and not request.leaves
        if begun > 1:
            faults.append((request.ended, f"request {request.number} ({request.kind}) was begun {begun} times"))
        elif whole and begun == 0:
            if near(run.truncations, request.sent, request.ended):
                truncated += 1
            else:
                faults.append((request.ended, f"request {request.number} ({request.kind}) has left no line in the log"))
    print(f"requests whose line came while the log was truncated: {truncated}")
    return faults


def near(spans, begin, end):
    """Whether a line written in a span of time may have fallen into one of these truncations."""
    return any(begin < span_end and span_begin < end + LATE for span_begin, span_end in spans)


def growth(run):
    """Growth of a master over its life, and of later masters over earlier ones."""
    faults = []
    lives = [master for master in run.masters if len(master.samples) >= 20]
    if not lives:
        return faults
    longest = max(master.samples[-1][0] for master in lives)
    whole = [master for master in lives if master.samples[-1][0] > 0.8 * longest]
    for name, tolerance in TOLERANCE.items():
        early = [median(master, name, longest, 0.2, 0.4) for master in whole]
        late = [median(master, name, longest, 0.8, 1.0) for master in whole]
        pairs = [(a, b) for a, b in zip(early, late) if a is not None and b is not None]
        if not pairs:
            continue
        print(f"{name}, in the second and the last fifth of a life: " + ", ".join(f"{a:,.0f} to {b:,.0f}" for a, b in pairs))
        grown = statistics.median(b - a for a, b in pairs)
        if grown > tolerance:
            faults.append((run.began + run.options.minutes * 60, f"{name} grows by {grown:,.0f} in the life of a master"))
        third = len(pairs) // 3
        if third:
            grown = statistics.median(b for _, b in pairs[-third:]) - statistics.median(b for _, b in pairs[:third])
            if grown > tolerance:
                faults.append((run.began + run.options.minutes * 60, f"{name} grows by {grown:,.0f} from master to master"))
    return faults


def median(master, name, life, begin, end):
    """The median of the measurements in a part of a master's life."""
    found = [sample[name] for age, sample in master.samples if begin <= age / life < end and name in sample]
    return statistics.median(found) if found else None
