from __future__ import annotations

import json

from rules.model import Operator
from rules.operators import OPERATORS
from rules.schema import rule_schema


def test_every_operator_is_in_the_table_and_in_the_schema() -> None:
    assert set(OPERATORS) == set(Operator)
    properties = rule_schema()["$defs"]["Condition"]["properties"]
    assert set(properties) == {"field", *Operator}


def test_a_document_has_the_keys_that_the_parser_takes() -> None:
    definitions = rule_schema()["$defs"]
    assert set(definitions["Rule"]["properties"]) == {
        "rule", "object", "on", "when", "then", "include_sync_user", "max_age", "ceiling",
        "missing_parent",
    }  # fmt: skip
    assert set(definitions["Sequence"]["properties"]) == {
        "sequence", "target", "target_id", "daily_cap", "quiet_hours", "send_to_opted_out",
        "enrich", "allow_missing_variables",
    }  # fmt: skip
    assert set(definitions["QuietHours"]["properties"]) == {"from", "until", "time_zone"}
    assert set(definitions["RemoveFromSequence"]["properties"]) == {
        "remove_from_sequence", "recipient",
    }  # fmt: skip
    assert set(definitions["Webhook"]["properties"]) == {"webhook", "fields"}
    assert set(definitions["AddToSequence"]["properties"]) == {
        "add_to_sequence", "recipient", "variables", "re_enroll",
    }  # fmt: skip


def test_every_reference_is_defined() -> None:
    schema = rule_schema()
    text = json.dumps(schema)
    referred = {part.split('"')[0] for part in text.split("#/$defs/")[1:]}
    assert referred <= set(schema["$defs"])
