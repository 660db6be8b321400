"""An org that runs the real Apex package, connected to a running ingest as an admin connects it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.apex_runtime.errors import ApexThrown
from tests.apex_runtime.org.org import Org
from tests.apex_runtime.parse import parser_path
from tests.salesforce import ORG_ID, RULE, SYNC_USER_ID

if TYPE_CHECKING:
    from tests.processes import PenstockProcesses

PACKAGE: Final = Path(__file__).parents[1] / "apex" / "force-app" / "main" / "default"
ENDPOINT: Final = "https://ingest.example.com"
# From `org add`'s words: the one line of Apex.
_LINE: Final = re.compile(r"^ +(System\.debug\(.*\);)$", re.MULTILINE)
_HEARD_S: Final = 10.0


async def connected_org(
    penstock: PenstockProcesses,
    *,
    rules: str = RULE,
    org: Org | None = None,
    **options: Any,
) -> Org:
    """Register an org, apply rules, and run what `org add` printed as the Sync User.

    The first load is over then, and no hour strikes: what is counted from now on is of saves.
    """
    org = org or deployed_org(penstock, **options)
    penstock.environment["PENSTOCK_INGEST__PUBLIC_URL"] = ENDPOINT
    added = await penstock.run("org", "add", org.org_id, "--sync-user", SYNC_USER_ID)
    assert added.returncode == 0, added.stderr
    if rules:
        applied = await penstock.run("rules", "apply", "-", "--org", org.org_id, stdin=rules)
        assert applied.returncode == 0, applied.stderr
    connect(org, line_of(added.stdout.decode()))
    end_walks(org)
    return org


def end_walks(org: Org) -> None:
    """Have the package look once more for requests, and delete its schedule."""
    org.advance(minutes=1.5)
    org.clock.set_back(minutes=1.5)
    org.schedule.delete("Penstock")


def deployed_org(
    penstock: PenstockProcesses,
    *own_code: Path,
    **options: Any,
) -> Org:
    """Return an org with the package, whose remote site leads to the running ingest.

    `own_code` are folders of Apex that the org has beside the package.
    """
    if parser_path() is None:
        pytest.skip("Apex's parser is not installed: npm ci in apex/")
    org = Org.deploy(PACKAGE, *own_code, **{"org_id": ORG_ID, **options})
    org.user("sync@example.com", Id=SYNC_USER_ID, ProfileId=org.users.admin_profile)
    org.add_remote_site(ENDPOINT)
    org.route(ENDPOINT, penstock.ingest_url)
    return org


def line_of(printed: str) -> str:
    """Return the line of Apex that `org add` or `org rotate` printed."""
    found = _LINE.search(printed)
    assert found is not None, printed
    return found[1]


def connect(org: Org, line: str) -> None:
    """Run the line as the Sync User; ingest hears of a new code by notification."""
    deadline = time.monotonic() + _HEARD_S
    while True:
        try:
            with org.transaction(user=SYNC_USER_ID) as transaction:
                transaction.anonymous(line)
        except ApexThrown:
            if time.monotonic() > deadline:
                raise
        else:
            break
    org.run_until_idle()
