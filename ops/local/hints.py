"""What to try next, ready to paste."""

from __future__ import annotations

from typing import Final

from pipeline.objects import long_id
from pipeline.signing import SECRET_PREFIX

_CALLOUT: Final = """\
body='{{"version":1,"org_id":"{org_id}","object":"Lead","operation":"insert",\
"capture_id":"'$(cat /proc/sys/kernel/random/uuid)'","transaction_id":"'$RANDOM$(date +%s)'",\
"sequence":0,"captured_at":'$(date +%s000)',"actor_id":null,"changes":[{{"new":\
{{"Id":"{record_id}","Name":"You","Email":"you@example.com","Status":"Qualified",\
"Rating":"Hot"}}}}]}}'
id=msg_$(date +%s%N); ts=$(date +%s)
sig=$(printf %s "$id.$ts.$body" | KEY={key} python3 -c 'import base64, hmac, os, sys; \
print(base64.b64encode(hmac.digest(base64.b64decode(os.environ["KEY"]), sys.stdin.buffer.read(), \
"sha256")).decode())')
curl -sS -H "webhook-id: $id" -H "webhook-timestamp: $ts" -H "webhook-signature: v1,$sig" \
--data-binary "$body" http://127.0.0.1:{port}/v1/orgs/{org_id}/changes; echo"""


def callout_command(org_id: str, secret: str, port: int) -> str:
    """Return shell lines that sign a new lead as the sample org and post it with curl."""
    return _CALLOUT.format(
        org_id=org_id,
        key=secret.removeprefix(SECRET_PREFIX),
        port=port,
        record_id=long_id("00Q8Z000000Try0"),
    )
