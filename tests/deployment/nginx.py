"""deploy/nginx: nginx takes the file, and its numbers follow from the settings."""

from __future__ import annotations

import re
from typing import Final

from ingest.problems import too_large
from pipeline.settings import Settings
from tests.deployment.check import DEPLOY, Check, said
from tests.nginx import Nginx
from tests.servers import open_folder

FOLDER: Final = DEPLOY / "nginx"
_SECONDS: Final = re.compile(r"^\s+(\w+) (\d+)s;", re.MULTILINE)
# PenstockClient.cls: request.setTimeout(20000).
_APEX_S: Final = 20


def check_numbers() -> list[str]:
    """See that bodies, times and words are ingest's."""
    edge = Settings().ingest
    text = (FOLDER / "penstock.conf").read_text("utf-8")
    seconds = {name: int(told) for name, told in reversed(_SECONDS.findall(text))}
    longest_s = sum(
        seconds[f"proxy_{name}_timeout"] for name in ("next_upstream", "connect", "read")
    )
    holds = {
        "bodies": f"client_max_body_size {edge.max_body_bytes >> 20}m;" in text,
        "the words of a 413": f'"detail":"{too_large(edge.max_body_bytes).detail}"' in text,
        "the time of a head": seconds["client_header_timeout"] == edge.head_timeout_s,
        "the time of a body": seconds["client_body_timeout"] <= edge.body_timeout_s,
        "the time of an answer": edge.publish_timeout_s < longest_s < _APEX_S,
        # The first of that name is the upstream's.
        "the time of a rest": seconds["keepalive_timeout"] < edge.idle_timeout_s,
    }
    return [f"{what}: not what follows from ingest's" for what, right in holds.items() if not right]


def check_syntax() -> list[str]:
    """Have nginx read it, with a certificate made for it."""
    with open_folder() as folder:
        edge = Nginx(folder, [8080, 8081])
        return said("nginx", "-t", "-q", "-e", "stderr", "-c", str(edge.configuration))


CHECKS: Final = (
    Check("nginx: bodies, times and words are ingest's", (), check_numbers),
    Check("nginx: nginx -t takes penstock.conf", ("nginx",), check_syntax),
)
