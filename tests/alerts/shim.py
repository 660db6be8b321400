"""Stands in for a command of the machine: asks the trial to do it to the trial's own stack.

Scripts named `systemctl`, `rabbitmqctl` and so on call it with their name and arguments; they stand
in a folder that runbooks' commands find first.
"""

from __future__ import annotations

import json
import os
import socket
import sys


def main() -> int:
    """Pass on what was called and how; print what is answered, and end as it ended."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(os.environ["TRIAL_SOCKET"])
        asked.sendall(json.dumps(sys.argv[1:]).encode() + b"\n")
        answer = json.loads(asked.makefile("rb").readline())
    sys.stdout.write(answer["text"])
    return int(answer["code"])


if __name__ == "__main__":
    sys.exit(main())
