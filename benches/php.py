#!/usr/bin/env python3
"""Compares runner with nginx and lighttpd in front of PHP-FPM: rate, latency and CPU time a request.

Each server has a PHP-FPM of its own: connections that one keeps would hold the processes that another waits for. Rounds of the servers alternate, so that what else the machine does meets all of them. It needs nginx, lighttpd, PHP-FPM
and wrk (tests/install.sh bench).
"""

import argparse
import glob
import os
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from processes import cpu_seconds
from servers import RUNNER, answers, free_port

FPM = """\
[global]
daemonize = no
error_log = {folder}/fpm.log
process_control_timeout = 5s
[site]
user = {user}
group = {group}
listen = {folder}/fpm.sock
listen.backlog = 4096
pm = static
pm.max_children = {children}
"""

NGINX = """\
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {upstream}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {folder}/site;
    location / {{
      fastcgi_pass {target};
      {keep}
      fastcgi_param SCRIPT_FILENAME $document_root/index.php;
      {params}
    }}
  }}
}}
"""

# What Debian's `fastcgi_params` has.
PARAMS = {
    "QUERY_STRING": "$query_string",
    "REQUEST_METHOD": "$request_method",
    "CONTENT_TYPE": "$content_type",
    "CONTENT_LENGTH": "$content_length",
    "SCRIPT_NAME": "$fastcgi_script_name",
    "REQUEST_URI": "$request_uri",
    "DOCUMENT_URI": "$document_uri",
    "DOCUMENT_ROOT": "$document_root",
    "SERVER_PROTOCOL": "$server_protocol",
    "REQUEST_SCHEME": "$scheme",
    "GATEWAY_INTERFACE": "CGI/1.1",
    "SERVER_SOFTWARE": "nginx",
    "REMOTE_ADDR": "$remote_addr",
    "REMOTE_PORT": "$remote_port",
    "SERVER_ADDR": "$server_addr",
    "SERVER_PORT": "$server_port",
    "SERVER_NAME": "$server_name",
    "REDIRECT_STATUS": "200",
}

LIGHTTPD = """\
server.document-root = "{folder}/site"
server.port = {port}
server.bind = "127.0.0.1"
server.errorlog = "{folder}/lighttpd.log"
server.max-keep-alive-requests = 100000000
server.listen-backlog = 4096
server.max-fds = 16384
index-file.names = ( "index.php" )
server.modules = ( "mod_fastcgi" )
fastcgi.server = ( ".php" => (( "socket" => "{folder}/fpm.sock" )) )
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--children", type=int, default=2, help="processes of PHP-FPM")
    parser.add_argument("--script", default="<?php echo 'hello';", help="the script that answers")
    parser.add_argument("--only", nargs="*", help="names of servers")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="runner-php-"))
    started = []
    try:
        servers = {}
        for name in options.only or commands(scratch, options.children):
            folder = scratch / name.replace(" ", "-")
            (folder / "site").mkdir(parents=True)
            (folder / "site" / "index.php").write_text(options.script)
            started.append(start_fpm(folder, options.children))
            command = commands(folder, options.children)[name]
            port = free_port()
            command = [part.format(port=port) for part in command(port)]
            process = subprocess.Popen(command, cwd=folder, stderr=open(folder / "err", "w"))
            started.append(process)
            servers[name] = (process, port)
        for name, (_, port) in servers.items():
            await_port(name, port)
        show(measure(servers, options))
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
        for process in started:
            process.wait(10)
        shutil.rmtree(scratch)


def start_fpm(folder, children):
    program = sorted(glob.glob("/usr/sbin/php-fpm*"))[-1]
    values = {"folder": folder, "children": children, "user": os.getuid(), "group": os.getgid()}
    (folder / "fpm.conf").write_text(FPM.format(**values))
    process = subprocess.Popen([program, "-F", "-R", "-n", "-y", folder / "fpm.conf"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while not (folder / "fpm.sock").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("PHP-FPM does not start")
        time.sleep(0.01)
    return process


def commands(folder, children):
    """How each server is started: a function of its port."""

    def nginx(keep):
        def command(port):
            name = f"nginx-{port}.conf"
            params = "\n      ".join(f"fastcgi_param {name} {value};" for name, value in PARAMS.items())
            values = {"folder": folder, "port": port, "params": params, "target": f"unix:{folder}/fpm.sock"}
            values |= {"upstream": "", "keep": ""}
            if keep:
                values["upstream"] = f"upstream php {{ server unix:{folder}/fpm.sock; keepalive {keep}; }}"
                values |= {"target": "php", "keep": "fastcgi_keep_conn on;"}
            (folder / name).write_text(NGINX.format(**values))
            return ["/usr/sbin/nginx", "-p", str(folder), "-c", name, "-e", "stderr"]

        return command

    def lighttpd(port):
        name = f"lighttpd-{port}.conf"
        (folder / name).write_text(LIGHTTPD.format(folder=folder, port=port))
        return ["/usr/sbin/lighttpd", "-D", "-f", name]

    def runner(*more):
        words = ["upstream", f"fastcgi+unix:{folder}/fpm.sock", "--root", f"{folder}/site"]
        return lambda port: [str(RUNNER), "serve", f"tcp://127.0.0.1:{port}", *words, *more]

    return {
        "runner": runner(),
        f"runner --connections {children}": runner("--connections", str(children)),
        "nginx": nginx(0),
        f"nginx keepalive {children}": nginx(children),
        "lighttpd": lighttpd,
    }


def await_port(name, port):
    deadline = time.monotonic() + 20
    while not answers(port):
        if time.monotonic() > deadline:
            raise SystemExit(f"{name} does not answer")
        time.sleep(0.05)


def measure(servers, options):
    """The rate, the latencies in ms, the CPU time of the server in µs a request, and errors, of each round."""
    found = {name: [] for name in servers}
    for number in range(options.rounds):
        order = list(servers.items())
        for name, (process, port) in order if number % 2 == 0 else reversed(order):
            before = cpu_seconds(process.pid)
            output = subprocess.run(
                ["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", "--latency", f"http://127.0.0.1:{port}/"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            cpu = cpu_seconds(process.pid) - before
            requests = int(re.search(r"(\d+) requests in", output)[1])
            rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])
            errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", output)))
            errors += sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", output)))
            found[name].append((rate, latency(output, "50%"), latency(output, "99%"), cpu / requests * 1e6, errors))
    return found


def latency(output, quantile):
    number, unit = re.search(rf"{quantile}\s+([\d.]+)(us|ms|s)", output).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def show(found):
    print(f"{'server':26} {'requests/s':>22} {'p50 ms':>8} {'p99 ms':>16} {'CPU µs':>7} {'errors':>7}")
    for name, rounds in found.items():
        rates, p50, p99, cpu, errors = zip(*rounds)
        middle = statistics.median
        print(
            f"{name:26} {middle(rates):9.0f} ({min(rates):.0f}-{max(rates):.0f})"
            f" {middle(p50):8.2f} {middle(p99):6.1f} ({min(p99):.1f}-{max(p99):.1f}) {middle(cpu):7.1f} {sum(errors):7}"
        )


if __name__ == "__main__":
    main()
