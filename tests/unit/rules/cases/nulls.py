"""Empty fields: none, absent and empty text are one."""

from __future__ import annotations

from tests.unit.rules.cases.case import Source, table, values

NULLS = table(
    values(
        Source.SOQL_COMPARISON,
        ("equals", "Hot", None, False),
        ("equals", "Hot", "", False),
        ("equals", 0, None, False, "null is not zero"),
        ("not_equals", "Hot", None, True, "!= finds records without a value"),
        ("not_equals", "Hot", "", True),
        ("not_equals", 0, None, True),
        ("in", ("Hot", "Warm"), None, False),
        ("not_in", ("Hot", "Warm"), None, True),
        ("greater_than", 0, None, False),
        ("at_least", 0, None, False),
        ("less_than", 1, None, False),
        ("at_most", 0, None, False),
        ("between", (-1, 1), None, False),
        ("contains", "a", None, False),
        ("contains", "a", "", False),
        ("starts_with", "a", "", False),
        ("ends_with", "a", None, False),
    ),
    values(
        Source.FILTERS,
        ("not_contains", "a", None, True, "does not contain"),
        ("not_contains", "a", "", True),
    ),
    values(
        Source.SOQL_DATES,
        ("before", "2026-05-01", None, False),
        ("after", "2026-05-01", "", False),
        ("between", ("2026-05-01", "2026-05-31"), None, False),
        ("before", "tomorrow", None, False),
        ("at_least", "2026-05-01", None, False),
    ),
    values(
        Source.SOQL_PICKLISTS,
        ("includes", "A", None, False),
        ("includes", "A", "", False),
        ("excludes", "A", None, True, "nothing selected leaves A out"),
        ("excludes", "A", "", True),
    ),
    values(
        Source.APEX_OPERATORS,
        ("greater_than", -1, None, False, "a comparison with a number that is null is false"),
        ("less_than", 0, None, False),
        ("after", "2026-05-01T00:00:00Z", None, False),
    ),
    values(
        Source.APEX_OPERATORS,
        ("greater_than", "a", None, False),
        ("less_than", "a", None, False),
        ("less_than", "a", "", False),
        otherwise="Apex puts text after null; like SOQL, no order finds a record without a value",
    ),
    values(
        Source.REGEX,
        ("matches", ".*", "", False),
        ("matches", "(a)?", None, False),
        otherwise="the function reads a blank field as empty text, so that its examples end in ?;"
        " here an empty field matches nothing, as with every operator that is not a negation",
    ),
    values(
        Source.CONTAINS,
        ("contains", "serial", None, False),
        otherwise="in a validation rule a blank field counts as valid; here it contains nothing",
    ),
    values(
        Source.ISBLANK,
        ("is_set", True, None, False),
        ("is_set", True, "", False),
        ("is_set", True, "x", True),
        ("is_set", True, 0, True, "zero is a value"),
        ("is_set", True, " ", True, "blanks are a value"),
        ("is_empty", True, None, True),
        ("is_empty", True, "", True),
        ("is_empty", True, "x", False),
        ("is_empty", True, 0, False),
    ),
)
