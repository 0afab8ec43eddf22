"""Proxies before one server, and that server: nginx with a constant answer, whose CPU time is not the proxy's."""

import subprocess
from pathlib import Path

# What `{origin}` in the command of a proxy stands for, and the files that it can name.
COMMANDS = {
    "runner": "{runner} serve tcp://127.0.0.1:{port} upstream http://127.0.0.1:{origin}",
    "nginx": "nginx -p {scratch} -e stderr",
}
VARIANTS = {"runner": [""], "nginx": ["-c 1-worker.conf", "-c 2-workers.conf"]}

COMMON = """\
daemon off; pid {name}.pid; error_log stderr; worker_processes {workers};
events {{ worker_connections 8192; }}
http {{
    access_log off; keepalive_requests 1000000000;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
"""
ORIGIN = (
    COMMON
    + """\
    server {{
        listen 127.0.0.1:{origin} backlog=4096; default_type text/plain;
        location / {{ return 200 "Hello, world!\\n"; }}
    }}
}}
"""
)
PROXY = (
    COMMON
    + """\
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
)


class Origin:
    """The server behind the proxies, in the folder of one of them."""

    def __init__(self, values):
        self.folder = Path(values["scratch"])
        for name, text, workers in (
            ("origin", ORIGIN, 1),
            ("1-worker", PROXY, 1),
            ("2-workers", PROXY, 2),
        ):
            (self.folder / f"{name}.conf").write_text(text.format(name=name, workers=workers, **values))

    def start(self):
        command = ["nginx", "-p", str(self.folder), "-e", "stderr", "-c", "origin.conf"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        self.process.wait()
