"""Multi-select picklists, whose value is `A;B;C`."""

from __future__ import annotations

from tests.unit.rules.cases.case import Source, table, values

PICKLISTS = table(
    values(
        Source.SOQL_PICKLISTS,
        ("equals", "AAA;BBB", "AAA;BBB", True, "exactly these"),
        ("equals", "AAA;BBB", "AAA;BBB;DDD", False),
        ("not_equals", "AAA;BBB", "AAA", True),
        ("includes", ("AAA;BBB", "CCC"), "AAA;BBB", True),
        ("includes", ("AAA;BBB", "CCC"), "AAA;BBB;DDD", True),
        ("includes", ("AAA;BBB", "CCC"), "CCC", True),
        ("includes", ("AAA;BBB", "CCC"), "CCC;EEE", True),
        ("includes", ("AAA;BBB", "CCC"), "AAA;CCC", True),
        ("includes", ("AAA;BBB", "CCC"), "AAA", False, "BBB is not selected"),
        ("includes", ("AAA;BBB", "CCC"), "DDD", False),
        ("includes", "AAA;BBB", "BBB;AAA", True, "in whatever order"),
        ("includes", "AAA", "AAA", True),
        ("includes", "aaa", "BBB;AAA", True, "case does not count"),
        ("includes", "AA", "AAA;BBB", False, "a part of a value is none"),
        ("includes", "AAA;BBB;CCC", "AAA;BBB", False),
        ("excludes", ("AAA;BBB", "CCC"), "AAA;BBB", False),
        ("excludes", ("AAA;BBB", "CCC"), "CCC;EEE", False),
        ("excludes", ("AAA;BBB", "CCC"), "AAA", True),
        ("excludes", "AAA", "BBB;CCC", True),
        ("excludes", "AAA", "BBB;AAA", False),
    ),
    values(
        Source.INCLUDES,
        ("includes", "Golf", "Chess;Golf", True),
        ("includes", "Golf", "Mini Golf", False),
        ("includes", "2026", "2025;2026", True, "a value of digits"),
        ("includes", 2026, "2025;2026", True),
    ),
    values(
        Source.SOQL_PICKLISTS,
        ("includes", "AAA; BBB", "AAA;BBB", True),
        otherwise="blanks around a value do not count, since a value never ends in one",
    ),
    values(
        Source.FIELD_TYPES,
        ("includes", "AAA", 7, False),
        ("includes", "true", True, False),
        ("excludes", "AAA", 7, True, "the opposite of includes, always"),
    ),
    values(
        Source.CONTAINS,
        ("contains", "AA;B", "AAA;BBB", True),
        otherwise="the function refuses the type; a record does not tell it from other text",
    ),
)
