"""`matches`: RE2 on the whole value."""

from __future__ import annotations

from tests.unit.rules.cases.case import Source, table, values

PATTERNS = table(
    values(
        Source.REGEX,
        ("matches", "[0-9]{5}", "94105", True),
        ("matches", "[0-9]{5}", "941051", False, "the whole value"),
        ("matches", "[0-9]{5}", "a94105", False),
        ("matches", "[0-9]{5}(-[0-9]{4})?", "94105-1234", True),
        ("matches", "Salesforce", "Salesforce", True),
        ("matches", "Salesforce", "salesforce", False, "case counts"),
        ("matches", "(?i)salesforce", "SalesForce", True, "unless it is told not to"),
        ("matches", "Sales", "Salesforce", False),
        ("matches", "Sales.*", "Salesforce", True),
        ("matches", "a|ab", "ab", True, "the longest alternative counts, too"),
        ("matches", r"\d{3}-\d{2}-\d{4}", "123-45-6789", True),
        ("matches", r"((\d{4}-){3}\d{4})|\d{16}", "1234-1234-1234-1234", True),
        ("matches", r"((\d{4}-){3}\d{4})|\d{16}", "1234123412341234", True),
        ("matches", r"((\d{4}-){3}\d{4})|\d{16}", "1234-1234", False),
        ("matches", "Zo.", "Zoë", True, "a character, not a byte"),
        ("matches", ".*", "a\nb", False, "a dot is no line's end"),
        ("matches", "(?s).*", "a\nb", True),
        ("matches", "[^a]", "\U0001f600", True, "one character beyond 16 bits"),
    ),
    values(
        Source.REGEX,
        ("matches", "(a*)*b", "a" * 5000, False, "no pattern takes long"),
        ("matches", ".*", "\ud800", False, "half a character matches nothing"),
        ("matches", ".*", "a\x00b", True),
        otherwise="Java's engine, which backtracks and takes any UTF-16, is not RE2",
    ),
)
