from __future__ import annotations

from ops.orgs import ConnectCode
from tests.salesforce import ORG_ID


def test_a_connect_code_has_no_form_that_shows_it() -> None:
    code = ConnectCode(ORG_ID, "whsec_hidden")
    assert f"{code} {code!r}" == f"ConnectCode({ORG_ID}) ConnectCode({ORG_ID})"
