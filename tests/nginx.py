"""nginx with `deploy/nginx/penstock.conf`, but for names of files, ports and upstreams."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ops.stack.children import Child, Supervised
from ops.stack.ports import LOOPBACK, free_port, is_free
from tests.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER: Final = Path(__file__).resolve().parents[1] / "deploy" / "nginx"
CALLOUTS: Final = "callouts.example.com"
CONSOLE: Final = "console.example.com"
_INGESTS: Final = re.compile(r"    server 127\.0\.0\.1:8080 (.*;)\n")
# What a distribution's own nginx.conf says around it; nothing outside of the folder is touched.
_AROUND: Final = """\
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/penstock.conf;
}}
"""


class Nginx:
    """One nginx, on a port of the loopback, before ingests on some ports and perhaps a console."""

    def __init__(
        self, folder: Path, ingests: Sequence[int], *, console: int = 8090, ranges: str = ""
    ) -> None:
        self.port = free_port()
        authority = Authority(folder, "ca")
        self.ca_file = authority.ca_file
        self._folder = folder
        text = (FOLDER / "penstock.conf").read_text("utf-8")
        servers = "".join(f"    server {LOOPBACK}:{port} \\1\n" for port in ingests)
        text, count = _INGESTS.subn(servers, text)
        assert count == 1, "the upstream of ingests is not where it was"
        text = text.replace(f"{LOOPBACK}:8090", f"{LOOPBACK}:{console}")
        text = text.replace("listen 443", f"listen {LOOPBACK}:{self.port}")
        for host in (CALLOUTS, CONSOLE):
            name = host.partition(".")[0]
            issued = authority.issue(name, host=host)
            text = text.replace(f"/etc/nginx/tls/{name}.crt", str(issued.certificate))
            text = text.replace(f"/etc/nginx/tls/{name}.key", str(issued.key))
        text = text.replace("/etc/nginx/salesforce", f"{folder}/salesforce")
        ranges = ranges or (FOLDER / "salesforce-ranges.conf").read_text("utf-8")
        (folder / "salesforce-ranges.conf").write_text(ranges, "utf-8")
        (folder / "penstock.conf").write_text(text, "utf-8")
        self.configuration = folder / "nginx.conf"
        self.configuration.write_text(_AROUND.format(folder=folder), "utf-8")

    async def start(self, program: str) -> Supervised:
        """Start it and return it once it listens."""

        async def listens() -> bool:
            return not is_free(self.port)

        child = Child(
            name="nginx",
            argv=[program, "-e", "stderr", "-c", str(self.configuration)],
            env={},
            log_path=self._folder / "nginx.log",
            ready=listens,
        )
        started = Supervised(child)
        await started.start()
        return started
