from __future__ import annotations

import json
import shutil
import subprocess
import time

from ops.local.hints import callout_command
from pipeline import callout
from pipeline.signing import key_of, new_secret, verify
from tests.salesforce import ORG_ID


def test_the_snippet_makes_a_signed_callout_of_the_contract() -> None:
    bash = shutil.which("bash")
    assert bash is not None
    secret = new_secret()
    lines, curl, _ = callout_command(ORG_ID, secret, 8080).partition("curl ")
    # Instead of sending it, print it.
    script = lines + 'printf "%s\\n" "$id" "$ts" "$sig" "$body"'
    printed = subprocess.run([bash, "-c", script], capture_output=True, check=True).stdout  # noqa: S603  the snippet itself

    message_id, timestamp, signature, body = printed.decode().rstrip("\n").split("\n")
    verify(
        keys=[key_of(secret)],
        message_id=message_id,
        timestamp=timestamp,
        signatures=f"v1,{signature}",
        body=body.encode(),
        now_s=time.time(),
    )
    assert callout.check(body.encode()).org_id == ORG_ID
    assert json.loads(body)["changes"][0]["new"]["Status"] == "Qualified"
    assert curl == "curl "
