"""Servers of what is no Python: files, CGI programs, PHP, and a server behind a proxy; with the files that they need."""

import glob
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

# Processes of PHP-FPM.
CHILDREN = 2

NGINX = """\
daemon off; pid {name}.pid; error_log stderr; worker_processes {workers};
events {{ worker_connections 8192; }}
http {{
    access_log off; keepalive_requests 1000000000; sendfile on; tcp_nopush on; include /etc/nginx/mime.types;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
"""
NGINX_COMMAND = "nginx -p {scratch} -e stderr"
WORKERS = {"1-worker": 1, "2-workers": 2}


def nginx(text, names=WORKERS, **more):
    """Configurations of nginx by their names; the options that choose one of them are `-c NAME.conf`."""
    return {f"{name}.conf": (NGINX + text, {"name": name, "workers": workers} | more) for name, workers in names.items()}


@dataclass
class Site:
    """What is served, and by which commands."""

    commands: dict
    # What may be added to a command: a search finds the best. Without an entry: nothing.
    variants: dict = field(default_factory=dict)
    # Names of files, and their texts with what is in them.
    files: dict = field(default_factory=dict)
    # Makes what is no text, in the folder.
    prepare: object = None
    # The command of a server behind the servers; its CPU time is not theirs.
    behind: object = None


NGINX_VARIANTS = [f"-c {name}.conf" for name in WORKERS]

PROXY = """\
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 1024; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""
ORIGIN = """\
    server {{
        listen 127.0.0.1:{origin} backlog=4096; default_type text/plain;
        location / {{ return 200 "Hello, world!\\n"; }}
    }}
}}
"""
FILES = """\
    server {{ listen 127.0.0.1:{port} backlog=4096; root {scratch}/site; }}
}}
"""
# What Debian's `fastcgi_params` has.
PHP = """\
    upstream php {{ server unix:{scratch}/fpm.sock; {keep} }}
    server {{
        listen 127.0.0.1:{port} backlog=4096; root {scratch}/site;
        location / {{
            fastcgi_pass php; fastcgi_keep_conn {kept}; include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME $document_root/index.php;
        }}
    }}
}}
"""
PHP_FPM = """\
[global]
daemonize = no
error_log = {scratch}/fpm.log
[site]
user = {user}
group = {group}
listen = {scratch}/fpm.sock
listen.mode = 0666
listen.backlog = 4096
pm = static
pm.max_children = {children}
"""
LIGHTTPD = """\
server.port = {port}
server.bind = "127.0.0.1"
server.max-keep-alive-requests = 1000000
server.listen-backlog = 4096
server.max-fds = 16384
"""
LIGHTTPD_CGI = """\
server.document-root = "{scratch}"
server.modules = ("mod_cgi")
index-file.names = ("program")
cgi.assign = ("program" => "")
"""
LIGHTTPD_PHP = """\
server.document-root = "{scratch}/site"
server.modules = ("mod_fastcgi")
index-file.names = ("index.php")
fastcgi.server = (".php" => (("socket" => "{scratch}/fpm.sock")))
"""
LIGHTTPD_COMMAND = "lighttpd -D -f {scratch}/lighttpd.conf"
# A program that takes no longer than a process needs.
PROGRAM = r"""
#include <unistd.h>

static const char answer[] = "Content-Type: text/plain\nContent-Length: 14\n\nHello, world!\n";

int main(void) {
    return write(1, answer, sizeof answer - 1) != sizeof answer - 1;
}
"""


def make_files(folder):
    """A small and a large file, whose bytes do not matter."""
    site = folder / "site"
    site.mkdir()
    (site / "index.html").write_text("Hello, world!\n")
    (site / "small.css").write_bytes(b"x" * 1024)
    (site / "large.bin").write_bytes(os.urandom(1 << 20) * 10)


def compile_program(folder):
    """A small program without libraries: what is measured is the server."""
    source = folder / "program.c"
    source.write_text(PROGRAM)
    subprocess.run(["cc", "-O2", "-static", "-o", folder / "program", source], check=True)


def make_script(folder):
    (folder / "site").mkdir()
    (folder / "site" / "index.php").write_text("<?php echo 'Hello, world!';")


def php_fpm():
    program = sorted(glob.glob("/usr/sbin/php-fpm*"))[-1]
    return f"{program} -F -R -n -y {{scratch}}/fpm.conf"


def php_proxies():
    """Connections that are kept, as many as PHP has processes, or a new one for each request."""
    found = {}
    for name, keep, kept in (("each", "", "off"), ("kept", f"keepalive {CHILDREN};", "on")):
        names = {f"{name}-{workers}": count for workers, count in WORKERS.items()}
        found |= nginx(PHP, names, keep=keep, kept=kept)
    return found


SITES = {
    "http": Site(
        commands={
            "runner": "{runner} serve tcp://127.0.0.1:{port} upstream http://127.0.0.1:{origin}",
            "nginx": NGINX_COMMAND,
        },
        variants={"nginx": NGINX_VARIANTS},
        files=nginx(PROXY) | nginx(ORIGIN, {"origin": 1}),
        behind=lambda: f"{NGINX_COMMAND} -c origin.conf",
    ),
    "files": Site(
        commands={"runner": "{runner} serve tcp://127.0.0.1:{port} files {scratch}/site", "nginx": NGINX_COMMAND},
        variants={"nginx": NGINX_VARIANTS},
        files=nginx(FILES),
        prepare=make_files,
    ),
    "cgi": Site(
        commands={
            "runner": "{runner} serve tcp://127.0.0.1:{port} cgi-bin {scratch}/program",
            "lighttpd": LIGHTTPD_COMMAND,
        },
        files={"lighttpd.conf": (LIGHTTPD + LIGHTTPD_CGI, {})},
        prepare=compile_program,
    ),
    "fastcgi": Site(
        commands={
            "runner": "{runner} serve tcp://127.0.0.1:{port} upstream fastcgi+unix:{scratch}/fpm.sock --root {scratch}/site",
            "nginx": NGINX_COMMAND,
            "lighttpd": LIGHTTPD_COMMAND,
        },
        variants={"runner": ["", f"--connections {CHILDREN}"], "nginx": [f"-c {name}" for name in php_proxies()]},
        files=php_proxies()
        | {
            "lighttpd.conf": (LIGHTTPD + LIGHTTPD_PHP, {}),
            "fpm.conf": (PHP_FPM, {"children": CHILDREN, "user": os.getuid(), "group": os.getgid()}),
        },
        prepare=make_script,
        behind=php_fpm,
    ),
}


class Place:
    """The folder of a server with its files, and what runs behind it."""

    def __init__(self, interface, values):
        self.site = SITES[interface]
        self.values = values
        folder = Path(values["scratch"])
        if os.getuid() == 0:
            # The workers of nginx have another user.
            folder.chmod(0o755)
        for name, (text, more) in self.site.files.items():
            (folder / name).write_text(text.format(**values, **more))
        if self.site.prepare:
            self.site.prepare(folder)
        self.process = None

    def start(self):
        if self.site.behind:
            command = self.site.behind().format(**self.values).split()
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
