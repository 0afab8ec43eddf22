#!/usr/bin/env python3
"""Tables of what `bench.py` has measured.

    benches/figures.py target/bench.json    writes README's tables and benches/results.{json,md,svg}
    benches/figures.py --others FILE        puts figures of what is not Python, from another run, in the place of those there
    benches/figures.py --check              whether they are what benches/results.json says
"""

import argparse
import json
import re
import statistics
import sys
from pathlib import Path

import plot

FOLDER = Path(__file__).resolve().parent
BEGIN = "<!-- The figures: benches/figures.py writes them. -->\n"
END = "<!-- The end of the figures. -->\n"
# What the columns of README's tables are, and the reference of all ratios.
PEERS = ["Granian", "bjoern", "uWSGI", "gunicorn"]
COLUMNS = ["runner", *PEERS]
WORKLOADS = ["hello-64", "hello-256", "hello-1024", "busy-100", "busy-1000", "mixed", "stream", "flask"]
ASGI_PEERS = ["Granian", "uvicorn", "Hypercorn", "gunicorn"]
ASGI_COLUMNS = ["runner", *ASGI_PEERS]
OTHER_WORKLOADS = ["file-1k", "file-10m", "php-64", "cgi-16", "upstream-1", "upstream-64", "upstream-256", "upstream-1024"]
ASGI_WORKLOADS = ["asgi-64", "asgi-512", "fastapi-64", "fastapi-512", "websocket", "asgi-stream"]
# A difference of two medians that is worth a word.
NEAR = 1.02


def median(entry, what):
    return statistics.median(once[what] for once in entry["rounds"])


def reference(servers):
    """What the others are compared with: Granian at its best, the variant with the higher median; or nginx, or lighttpd."""
    for reference in ("Granian", "nginx", "lighttpd"):
        peers = [name for name in servers if servers[name]["server"] == reference]
        if peers:
            return max(peers, key=lambda name: median(servers[name], "rate"))
    return None


def ratios(entry, other, what):
    """The ratios of two servers, round by round."""
    return [a[what] / b[what] for a, b in zip(entry["rounds"], other["rounds"]) if b[what]]


def number(value):
    """With three digits, or all before the point; thousands are set apart."""
    if value >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def memory(entry):
    """The median in MiB."""
    values = [once["memory"] for once in entry["rounds"]]
    return "–" if None in values else number(statistics.median(values) / (1 << 20))


def count(value):
    return f"{value:,}".replace(",", " ")


def spread(values, shown=number):
    """A median and the range."""
    if not values:
        return "–"
    middle, least, most = (shown(value) for value in (statistics.median(values), min(values), max(values)))
    return middle if len(values) == 1 else f"{middle} [{least}–{most}]"


def ratio(value):
    return f"{value:.2f}"


def machine(found):
    of = found["machine"]
    servers = ", ".join(f"{name} {version}" for name, version in of["servers"].items() if name != "runner")
    return (
        f"{of['processor']}, {of['cores']} cores, {of['kernel']}, {of['python']}; {servers}; the load generator is"
        " on the same cores"
    )


def report(found):
    """Everything, in Markdown."""
    options = found["options"]
    parts = [
        f"{machine(found)[0].upper()}{machine(found)[1:]}.",
        f"Medians of {options['rounds']} rounds of {options['seconds']} s [least–most]; points that are only in the plot have"
        " three. Ratios to a peer at its best are those of rounds side by side. An answer without a good status, and none"
        " within two seconds, is an error. Each client sends its next request when it has its answer, so the times depend"
        " on the rate. Memory is the proportional set size of all processes of a server.",
        "The last column is the share of a processor that the load generator took. The servers lack that share, so the"
        " ratios of rates are nearer to 1 than those of CPU times; where it is near 1, the load generator is the limit.",
    ]
    parts += [workload_table(workload) for workload in found["workloads"].values()]
    parts += [losses_table(name, found["losses"][name]) for name in found["losses"]]
    if "others" in found:
        parts += ["# Another run, of what is not Python", report(found["others"]).rstrip()]
    return "\n\n".join(parts) + "\n"


def workload_table(workload):
    servers = workload["servers"]
    best = servers.get(reference(servers))
    peer = best["server"] if best else "Granian"
    lines = [
        f"## {workload['title']}\n",
        f"| server | answers/s | × {peer} | CPU µs | × {peer} | p50 ms | p99 ms | errors | MiB | load |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, entry in servers.items():
        cells = [name]
        for what in ("rate", "cpu"):
            cells.append(spread([once[what] for once in entry["rounds"]]))
            cells.append(spread(ratios(entry, best, what), ratio) if best and entry is not best else "")
        cells += [spread([once[what] for once in entry["rounds"]]) for what in ("p50", "p99")]
        cells.append(count(sum(once["errors"] for once in entry["rounds"])))
        cells.append(memory(entry))
        cells.append(ratio(median(entry, "load")))
        lines.append(f"| {' | '.join(cells)} |")
    options = [f"{name} `{entry['options']}`" for name, entry in servers.items() if entry["options"]]
    if options:
        lines.append(f"\nOptions: {', '.join(options)}.")
    besides = [
        f"{name} {number(median(entry, 'beside'))}" for name, entry in servers.items() if entry["rounds"][0]["beside"]
    ]
    if workload["mebibytes"]:
        rates = [f"{name} {number(median(entry, 'rate') * workload['mebibytes'])}" for name, entry in servers.items()]
        lines.append(f"MiB per second: {', '.join(rates)}.")
    if "uWSGI http11-socket" in servers:
        lines.append("uWSGI's `--http11-socket` serves one connection in each process, while all others wait.")
    if besides:
        lines.append(f"Slow pages answered besides, of 40 a second at most: {', '.join(besides)}.")
    return "\n".join(lines)


def losses_table(name, found):
    if name == "slow":
        lines = [
            "## hello, 64 connections, 4 threads, beside 200 clients that send a byte a second\n",
            "| server | answers/s without them | with them | ratio |",
            "|---|--:|--:|--:|",
        ]
        for server, rates in found.items():
            cells = [server, spread(rates["without"]), spread(rates["with"]), spread(slowed(rates), ratio)]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)
    seconds = next((counts["seconds"] for counts in found.values()), 0)
    what = {"reload": "SIGHUP every three seconds", "kill": "a random worker killed every second"}[name]
    lines = [
        f"## {what}, {seconds} s, 16 clients with new connections and 16 that keep theirs\n",
        "| server | answered | lost | how |",
        "|---|--:|--:|---|",
    ]
    for server, counts in found.items():
        how = ", ".join(f"{kind}: {count(times)}" for kind, times in counts["how"].items())
        lines.append(f"| {server} | {count(counts['answered'])} | {count(counts['lost'])} | {how} |")
    return "\n".join(lines)


def for_readme(found):
    """README's text: what was measured, the tables, and where another server is ahead."""
    workloads = {name: found["workloads"][name] for name in WORKLOADS}
    options = found["options"]
    about = (
        f"One run of `make bench`, medians of {options['rounds']} interleaved rounds of {options['seconds']} s, and in the last column"
        " the ratio of the servers in one round: the median, the least and the most. Each server has two processes and the"
        " options that are best for it in that row; `runner` has its defaults, with threads where a row says so. *hello* is a"
        " short constant answer; *1 ms of Python* is a loop of fixed length, that takes so long on an idle processor. The"
        f" machine: {machine(found)}, so only ratios count. [All figures](benches/results.md), with their spread, memory,"
        " errors and options."
    )
    tables = all_tables(workloads, COLUMNS)
    picture = f"![{plot.TITLE}](benches/results.svg)"
    parts = [about, tables[0], ahead(workloads, PEERS), picture, *tables[1:], memory_table(workloads)]
    if asgi := {name: found["workloads"][name] for name in ASGI_WORKLOADS if name in found["workloads"]}:
        tables = all_tables(asgi, ASGI_COLUMNS)
        about = "ASGI applications, in the same run; all servers use uvloop, and uvicorn httptools."
        parts += [about, tables[0], ahead(asgi, ASGI_PEERS), *tables[1:]]
    parts.append(losses_in_readme(found["losses"]))
    if others := other_run(found):
        parts += [others_about(others, "others" in found), others_table(others["workloads"])]
    failed = [
        f"{name} {count(errors)} ({workload['title']})"
        for of, columns in ((workloads, COLUMNS), (asgi, ASGI_COLUMNS))
        for workload in of.values()
        for name, entry in at_best(workload, columns).items()
        if (errors := sum(once["errors"] for once in entry["rounds"]))
    ]
    if failed:
        parts.append(f"Errors in all rounds: {', '.join(failed)}.")
    return "\n\n".join(parts) + "\n"


def all_tables(workloads, columns):
    return [
        figures_table("answers per second", "rate", max, workloads, columns),
        figures_table("CPU µs per answer", "cpu", min, workloads, columns),
        figures_table("99th percentile of the response time, ms", "p99", min, workloads, columns),
    ]


def figures_table(title, what, better, workloads, columns):
    lines = [f"| {title} | {' | '.join(columns)} | runner ÷ Granian |", "|---" + "|--:" * (len(columns) + 1) + "|"]
    for workload in workloads.values():
        entries = at_best(workload, columns)
        values = [median(entry, what) for entry in entries.values()]
        cells = [f"**{number(value)}**" if value == better(values) else number(value) for value in values]
        pairs = ratios(entries["runner"], entries["Granian"], what)
        lines.append(f"| {workload['title']} | {' | '.join(cells)} | {spread(pairs, ratio)} |")
    return "\n".join(lines)


def memory_table(workloads):
    lines = [f"| memory, MiB | {' | '.join(COLUMNS)} |", "|---" + "|--:" * len(COLUMNS) + "|"]
    for name in ("hello-64", "hello-1024", "flask"):
        cells = map(memory, at_best(workloads[name], COLUMNS).values())
        lines.append(f"| {workloads[name]['title']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def at_best(workload, columns):
    """The entries for README's columns."""
    servers = workload["servers"]
    return {name: servers[reference(servers) if name == "Granian" else name] for name in columns}


def losses_in_readme(losses):
    columns = list(losses["reload"])
    lines = [f"| trouble | {' | '.join(columns)} |", "|---" + "|--:" * len(columns) + "|"]
    for name, title in (("reload", "SIGHUP every 3 s"), ("kill", "a worker killed every second")):
        found = losses[name]
        cells = [f"{count(found[server]['lost'])} of {count(found[server]['answered'])}" for server in columns]
        lines.append(f"| requests lost in {found[columns[0]]['seconds']} s, {title} | {' | '.join(cells)} |")
    cells = [spread(slowed(losses["slow"][server]), ratio) for server in columns]
    lines.append(f"| rate beside 200 clients that send a byte a second ÷ without them | {' | '.join(cells)} |")
    return "\n".join(lines)


def other_run(found):
    """The run with the figures of applications that are not Python; None if there are none."""
    run = found.get("others", found)
    workloads = {name: run["workloads"][name] for name in OTHER_WORKLOADS if name in run["workloads"]}
    return run | {"workloads": workloads} if workloads else None


def others_about(run, is_apart):
    of = run["machine"]["servers"]
    peers = ", ".join(f"{name} {of[name]}" for name in ("nginx", "lighttpd", "PHP") if name in of)
    options = run["options"]
    when = f"in another run on the same machine, medians of {options['rounds']} rounds of {options['seconds']} s" if is_apart else "in the same run"
    return (
        f"Applications that are not Python, {when} ({peers}; at its best with one or two processes, and `runner` with one,"
        " and the ratios of two servers in one round):"
    )


def others_table(workloads):
    """A row for each load, against the peer that is the reference."""
    lines = [
        "| | answers per second: runner | peer | runner ÷ peer | CPU µs per answer: runner | peer | runner ÷ peer | p99 ms: runner | peer |",
        "|---" + "|--:" * 8 + "|",
    ]
    for workload in workloads.values():
        servers = workload["servers"]
        ours, theirs = servers["runner"], servers[reference(servers)]
        cells = [f"{workload['title']} ({theirs['server']})"]
        for what in ("rate", "cpu"):
            cells += [number(median(ours, what)), number(median(theirs, what)), spread(ratios(ours, theirs, what), ratio)]
        cells += [number(median(entry, "p99")) for entry in (ours, theirs)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def slowed(rates):
    """What slow clients leave of the rate, round by round."""
    return [b / a for a, b in zip(rates["without"], rates["with"]) if a]


def ahead(workloads, peers):
    """In words, the rows whose best figure is another server's."""
    rows = []
    for workload in workloads.values():
        entries = at_best(workload, ["runner", *peers])
        own = entries["runner"]
        leads = []
        for name in peers:
            of = []
            for what, word, more in (("rate", "rate", True), ("cpu", "CPU time", False), ("p99", "p99", False)):
                theirs, ours = median(entries[name], what), median(own, what)
                if (theirs > NEAR * ours if more else theirs * NEAR < ours) and ours:
                    of.append(f"{theirs / ours:.2f} × the {word}")
            if of:
                leads.append(f"{name} ({', '.join(of)})")
        if leads:
            rows.append(f"- {workload['title']}: {'; '.join(leads)}")
    if not rows:
        return "No other server is ahead of `runner` in any row."
    return "Ahead of `runner` are:\n\n" + "\n".join(rows)


def incomplete(found):
    """Why figures should not be published; None if they may be."""
    if found["options"]["quick"] or found["options"]["rounds"] < 5:
        return "the run had fewer than five rounds"
    missing = {*WORKLOADS, *ASGI_WORKLOADS, *plot.WORKLOADS} - set(found["workloads"]) | {"slow", "reload", "kill"} - set(found["losses"])
    if missing:
        return f"the run lacks {', '.join(sorted(missing))}"
    for name, workload in found["workloads"].items():
        if "Granian" not in workload["servers"] and name not in (*WORKLOADS, *ASGI_WORKLOADS, *plot.WORKLOADS):
            # Another kind of application, which is in no table of README.
            continue
        wanted = ASGI_COLUMNS if name in ASGI_WORKLOADS else COLUMNS
        if lacking := set(wanted) - set(workload["servers"]):
            return f"the run lacks {', '.join(sorted(lacking))} in `{workload['title']}`"
    return None


def rounded(value):
    """Figures with four digits, which is more than they are exact to."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list) else value


def stored(found):
    """JSON with a line for each round."""
    text = json.dumps(found, indent=1, ensure_ascii=False)
    return re.sub(r"\{[^{}]*\}|\[[^\[\]{}]*\]", lambda part: re.sub(r"\s*\n\s*", " ", part[0]), text) + "\n"


def readme(text, figures):
    """README with other figures."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"README.md wants the lines `{BEGIN.strip()}` and `{END.strip()}`, in this order")
    return f"{before}{BEGIN}{figures}{END}{after}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", type=Path, help="what bench.py has written")
    parser.add_argument(
        "--others", type=Path, help="a later run, whose figures of what is not Python take the place of those that are kept"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; the exit status tells whether all is up to date")
    parser.add_argument("--project", type=Path, default=FOLDER.parent, help="the folder of README.md and benches")
    options = parser.parse_args()
    if sum(map(bool, (options.check, options.results, options.others))) != 1:
        parser.error("wants a file of results, `--others` or `--check`")
    home = options.project / "benches"
    kept = home / "results.json"
    if options.check and not kept.exists():
        written = {options.project / "README.md": ""}
    else:
        found = rounded(json.loads((options.results or kept).read_text()))
        if options.others:
            found["others"] = rounded(json.loads(options.others.read_text()))
            if found["others"]["options"]["rounds"] < 5:
                sys.exit(f"{options.others}: the run had fewer than five rounds")
        # Those that are published were complete when they were.
        if options.results and (why := incomplete(found)):
            sys.exit(f"{options.results}: {why}")
        written = {
            options.project / "README.md": f"\n{for_readme(found)}\n",
            kept: stored(found),
            home / "results.md": f"# What `make bench` measured\n\n{report(found)}",
            home / "results.svg": plot.draw(found["workloads"]),
        }
    for path, text in written.items():
        was = path.read_text() if path.exists() else ""
        text = readme(was, text) if path.name == "README.md" else text
        if not options.check:
            path.write_text(text)
        elif text != was:
            sys.exit(f"{path}: is not what benches/figures.py writes from benches/results.json")


if __name__ == "__main__":
    main()
