"""`penstock org add` and `rotate`: the line of Apex that they print."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from ops.__main__ import cli
from ops.orgs import NO_PUBLIC_URL
from pipeline.objects import long_id
from tests.salesforce import ORG_ID, SYNC_USER_ID

PUBLIC_URL = "https://ingest.example.com:8443"
ADD = ("org", "add", ORG_ID, "--sync-user", SYNC_USER_ID)


def printed(database_url: str, *arguments: str, public_url: str | None = None) -> str:
    """Return what a command prints."""
    environment = {
        "PENSTOCK_DATABASE__URL": database_url,
        "PENSTOCK_INGEST__PUBLIC_URL": public_url,
    }
    result = CliRunner().invoke(cli, arguments, env=environment)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("public_url", [None, PUBLIC_URL])
def test_the_line_of_apex_is_printed_with_the_address_or_with_what_stands_for_it(
    database_url: str, public_url: str | None
) -> None:
    for command in (ADD, ("org", "rotate", ORG_ID)):
        told = printed(database_url, *command, public_url=public_url)
        code = next(line.strip() for line in told.splitlines() if line.startswith("    whsec_"))
        apex = f"System.debug(Penstock.connect('{public_url or NO_PUBLIC_URL}', '{code}'));"
        assert f"\n    {apex}\n" in told
        assert "its Sync User runs this as anonymous Apex:" in told
        hint = f"Write ingest's address in place of {NO_PUBLIC_URL}, or set PENSTOCK_INGEST__PUBLIC"
        assert (hint in told) == (public_url is None)
        assert told.endswith("`penstock org list` shows when that is done.\n")


def test_a_program_that_asks_for_json_gets_the_code_alone(database_url: str) -> None:
    added = json.loads(printed(database_url, *ADD, "--json", public_url=PUBLIC_URL))
    assert added.keys() == {"org_id", "connect_code"}


def test_of_many_orgs_a_page_is_listed_and_it_says_that_there_are_more(database_url: str) -> None:
    ids = [ORG_ID, long_id("00D5g000005Sandb"[:15])]
    for org_id in ids:
        printed(database_url, "org", "add", org_id, "--sync-user", SYNC_USER_ID)
    environment = {"PENSTOCK_DATABASE__URL": database_url}
    page = CliRunner().invoke(cli, ("org", "list", "--limit", "1"), env=environment)
    assert ids[0] in page.stdout
    assert ids[1] not in page.stdout
    assert page.stderr == "more rows exist: --limit\n"
    rest = CliRunner().invoke(cli, ("org", "list", "--after", ids[0]), env=environment)
    assert ids[0] not in rest.stdout
    assert ids[1] in rest.stdout
    assert rest.stderr == ""
