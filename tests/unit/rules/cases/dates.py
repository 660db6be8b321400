"""Dates and datetimes that a rule names."""

from __future__ import annotations

from tests.unit.rules.cases.case import At, Source, table, values

NEW_YORK = At(zone="America/New_York")
BERLIN = At(zone="Europe/Berlin")
KOLKATA = At(zone="Asia/Kolkata")
SANTIAGO = At(zone="America/Santiago")

MAY = ("2026-05-01", "2026-05-31")

WHOLE_DAY = (
    "SOQL compares a date with dates alone, a datetime with datetimes; here a date is the whole day"
    " in the org's time zone"
)
LONG_DAY = "the reference gives each day 24 hours; a day ends where the next one begins"

DATES = table(
    values(
        Source.SOQL_DATES,
        ("equals", "2026-05-01", "2026-05-01", True),
        ("equals", "2026-05-01", "2026-05-02", False),
        ("not_equals", "2026-05-01", "2026-05-02", True),
        ("in", ("2026-05-01", "2026-05-02"), "2026-05-02", True),
        ("before", "2026-05-01", "2026-04-30", True),
        ("before", "2026-05-01", "2026-05-01", False, "not before itself"),
        ("after", "2026-05-01", "2026-05-02", True),
        ("after", "2026-05-01", "2026-05-01", False),
        ("after", "2026-12-31", "2027-01-01", True),
        ("before", "1970-01-01", "1969-12-31", True),
        ("less_than", "2026-05-01", "2026-04-30", True, "less than is before"),
        ("less_than", "2026-05-01", "2026-05-01", False),
        ("at_most", "2026-05-01", "2026-05-01", True, "not after"),
        ("at_most", "2026-05-01", "2026-05-02", False),
        ("greater_than", "2026-05-01", "2026-05-02", True, "greater than is after"),
        ("greater_than", "2026-05-01", "2026-05-01", False),
        ("at_least", "2026-05-01", "2026-05-01", True, "not before"),
        ("at_least", "2026-05-01", "2026-04-30", False),
        ("between", MAY, "2026-05-01", True, "both ends belong to it"),
        ("between", MAY, "2026-05-31", True),
        ("between", MAY, "2026-04-30", False),
        ("between", MAY, "2026-06-01", False),
        ("before", "2024-02-29", "2024-02-28", True, "a leap day"),
        ("after", "2024-02-29", "2024-03-01", True),
    ),
    values(
        Source.SOQL_DATES,
        ("equals", "2026-05-01T12:00:00Z", "2026-05-01T12:00:00.000+0000", True),
        ("equals", "2026-05-01T14:00:00+02:00", "2026-05-01T12:00:00.000Z", True),
        ("equals", "2026-05-01T12:00:00Z", "2026-05-01T12:00:00.001Z", False),
        ("not_equals", "2026-05-01T12:00:00Z", "2026-05-01T12:00:00.000+0000", False),
        ("in", ("2026-05-01T12:00:00Z",), "2026-05-01T12:00:00.000+0000", True),
        ("before", "2026-05-01T12:00:00Z", "2026-05-01T11:59:59.999Z", True),
        ("before", "2026-05-01T12:00:00Z", "2026-05-01T12:00:00.000Z", False),
        ("after", "2026-05-01T12:00:00Z", "2026-05-01T12:00:00.001Z", True),
        ("after", "2026-05-01T12:00:00Z", "2026-05-01T12:00:00.000Z", False),
        ("after", "2026-05-01T12:00:00-0800", "2026-05-01T19:00:00.000Z", False, "by the instant"),
        ("at_least", "2026-05-01T12:00:00Z", "2026-05-01T12:00:00.000Z", True),
        ("at_most", "2026-05-01T12:00:00Z", "2026-05-01T12:00:00.000Z", True),
        ("greater_than", "2026-05-01T12:00:00Z", "2026-05-01T12:00:00.000Z", False),
        (
            "between",
            ("2026-05-01T12:00:00Z", "2026-05-01T13:00:00Z"),
            "2026-05-01T13:00:00.000Z",
            True,
        ),
        (
            "between",
            ("2026-05-01T12:00:00Z", "2026-05-01T13:00:00Z"),
            "2026-05-01T13:00:00.001Z",
            False,
        ),
    ),
    values(
        Source.SOQL_DATES,
        ("before", "2026-05-01", "2026-05-01T03:59:59.999Z", True, "the evening before, there"),
        ("before", "2026-05-01", "2026-05-01T04:00:00.000Z", False, "the day begins"),
        ("after", "2026-05-01", "2026-05-02T03:59:59.999Z", False, "the day's last instant"),
        ("after", "2026-05-01", "2026-05-02T04:00:00.000Z", True),
        ("at_least", "2026-05-01", "2026-05-01T04:00:00.000Z", True),
        ("at_most", "2026-05-01", "2026-05-02T03:59:59.999Z", True),
        ("between", MAY, "2026-06-01T03:59:59.999Z", True),
        ("between", MAY, "2026-06-01T04:00:00.000Z", False),
        ("between", ("2026-05-01", "2026-05-01"), "2026-05-01T23:00:00.000Z", True, "on a day"),
        ("after", "2026-05-01T02:00:00Z", "2026-05-01", True, "that instant's day is 30 April"),
        ("before", "2026-05-01T02:00:00Z", "2026-04-30", False),
        ("at_most", "2026-05-01T12:00:00Z", "2026-05-01", True),
        otherwise=WHOLE_DAY,
        at=NEW_YORK,
    ),
    values(
        Source.SOQL_DATES,
        ("before", "2026-05-01", "2026-04-30T18:29:59.999Z", True),
        ("before", "2026-05-01", "2026-04-30T18:30:00.000Z", False, "half an hour, too"),
        otherwise=WHOLE_DAY,
        at=KOLKATA,
    ),
    values(
        Source.SOQL_DATES,
        ("after", "2026-03-08", "2026-03-09T03:59:59.999Z", False, "a day of 23 hours"),
        ("after", "2026-03-08", "2026-03-09T04:00:00.000Z", True),
        ("before", "2026-03-08", "2026-03-08T05:00:00.000Z", False),
        ("after", "2026-11-01", "2026-11-02T04:59:59.999Z", False, "a day of 25 hours"),
        ("after", "2026-11-01", "2026-11-02T05:00:00.000Z", True),
        ("before", "2026-11-01", "2026-11-01T03:59:59.999Z", True),
        otherwise=LONG_DAY,
        at=NEW_YORK,
    ),
    values(
        Source.SOQL_DATES,
        ("after", "2026-03-29", "2026-03-29T22:00:00.000Z", True),
        ("after", "2026-03-29", "2026-03-29T21:59:59.999Z", False),
        ("after", "2026-10-25", "2026-10-25T22:59:59.999Z", False),
        otherwise=LONG_DAY,
        at=BERLIN,
    ),
    values(
        Source.SOQL_DATES,
        ("before", "2026-09-06", "2026-09-06T03:59:59.999Z", True),
        ("before", "2026-09-06", "2026-09-06T04:00:00.000Z", False, "it begins at 01:00"),
        otherwise=LONG_DAY,
        at=SANTIAGO,
    ),
    values(
        Source.SOQL_DATES,
        ("equals", "2026-05-01", "2026-05-01T00:00:00.000Z", False),
        ("equals", "2026-05-01T00:00:00Z", "2026-05-01", False),
        ("not_equals", "2026-05-01", "2026-05-01T00:00:00.000Z", True),
        ("equals", "today", "2026-05-08", False, "'between: [today, today]' asks for that"),
        ("equals", "Today", "today", True, "a picklist's value"),
        otherwise="= on a date literal asks whether a value lies in its range; here equals is of"
        " one kind and one instant, since a picklist may hold such words",
    ),
    values(
        Source.FIELD_TYPES,
        ("before", "2026-05-01", "2026-04-31", False, "no such day"),
        ("after", "2026-05-01", "2026-13-01", False),
        ("after", "2026-05-01", "tomorrow", False, "a value is never relative"),
        ("after", "2026-05-01", "zzz", False, "text is no date"),
        ("greater_than", "2026-05-01", "zzz", False),
        ("before", "2026-05-01", 5, False),
        ("at_least", "2026-05-01", True, False),
        ("between", MAY, "2026-05", False),
        ("after", "2026-05-01", "2026-05-02T00:00:00", False, "a datetime without its zone"),
        (
            "greater_than",
            "12:00:00.000Z",
            "13:00:00.000Z",
            True,
            "a time of day is ordered as text",
        ),
        ("before", "2026-05-01", "0001-01-01", True),
        ("after", "2026-05-01", "9999-12-31", True),
        ("before", "9999-12-31", "9999-12-31T23:59:59.999Z", False),
        ("after", "0001-01-01", "0001-01-01T00:00:00.000+1400", False),
    ),
)
