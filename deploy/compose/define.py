"""Import definitions into RabbitMQ; users among them get passwords from the environment.

`define.py http://rabbitmq:15672 definitions.json users.json`, as the user admin with
RABBITMQ_PASSWORD. The user ingest gets INGEST_PASSWORD, and so each. May be repeated.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import urllib.request
from pathlib import Path


def main(url: str, *paths: str) -> None:
    """Import each file, in order."""
    admin = base64.b64encode(f"admin:{os.environ['RABBITMQ_PASSWORD']}".encode()).decode()
    for path in paths:
        definitions = json.loads(Path(path).read_text("utf-8"))
        for user in definitions.get("users", ()):
            del user["password_hash"], user["hashing_algorithm"]
            user["password"] = os.environ[f"{user['name'].upper()}_PASSWORD"]
        request = urllib.request.Request(  # noqa: S310  the operator's own address
            f"{url}/api/definitions",
            json.dumps(definitions).encode(),
            {"Authorization": f"Basic {admin}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=300):  # noqa: S310  as above
            print(f"imported {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
