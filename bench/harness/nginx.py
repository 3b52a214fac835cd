"""nginx as the peer: static files and WebDAV PUT from one folder, tuned as its users tune it, without any sync."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.process import Server, free_port

CONFIG = """\
{user}
worker_processes auto;
worker_rlimit_nofile 16384;
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout 300s;
    keepalive_requests 1000000000;
    open_file_cache max=10000 inactive=60s;
    client_max_body_size 0;
    client_body_temp_path {home}/body;
    client_body_buffer_size 64k;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        root {files};
        location / {{
            dav_methods PUT DELETE;
            create_full_put_path on;
        }}
    }}
}}
"""


class Nginx(Server):
    def __init__(self, home: Path, root_user: bool) -> None:
        self.files = home / "files"
        self.files.mkdir(parents=True, exist_ok=True)
        port = free_port()
        config = home / "nginx.conf"
        user = "user root;" if root_user else ""
        config.write_text(CONFIG.format(user=user, home=home, port=port, files=self.files))
        binary = shutil.which("nginx") or "/usr/sbin/nginx"
        super().__init__([binary, "-e", str(home / "error.log"), "-p", str(home), "-c", str(config)], port, home / "out.log")
