from __future__ import annotations

import pytest

from rules.mistakes import RuleError
from rules.model import QuietHours, Sequence, Target
from rules.parse import parse_documents


def messages(text: str) -> list[str]:
    with pytest.raises(RuleError) as caught:
        parse_documents(text, "a.yaml")
    return [str(mistake) for mistake in caught.value.mistakes]


def test_a_sequence_has_defaults_for_all_but_its_name() -> None:
    (document,) = parse_documents("sequence: nurture", "a.yaml")
    assert document.content == Sequence("nurture", Target.WEBHOOK)


def test_every_setting_of_a_sequence_is_read() -> None:
    text = """\
sequence: nurture
target: mixmax
target_id: 5f0c0ffee
daily_cap: 200
quiet_hours: {from: 20:00, until: "08:30", time_zone: Europe/Berlin}
send_to_opted_out: true
enrich: true
allow_missing_variables: true
"""
    (document,) = parse_documents(text, "a.yaml")
    quiet = QuietHours("20:00", "08:30", "Europe/Berlin")
    assert document.content == Sequence(
        "nurture", Target.MIXMAX, "5f0c0ffee", 200, quiet, True, True, True
    )
    assert document.lines["Europe/Berlin"] == 5


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("target: mixmx", "unknown 'target' 'mixmx'; did you mean 'mixmax'?"),
        ("daily_cap: none", "'daily_cap' takes a whole number from 1, not 'none'"),
        ("quiet_hours: {from: 20:00}", "missing key 'until'"),
        ("quiet_hours: {from: 20:00, until: 20:00}", "'from' and 'until' are the same time"),
        (
            "quiet_hours: {from: 24:00, until: 8:00}",
            "a time of day is written HH:MM, from 00:00 to 23:59; not '24:00'",
        ),
        ("quite_hours: {}", "unknown key 'quite_hours'; did you mean 'quiet_hours'?"),
    ],
)
def test_a_mistake_in_a_sequence_is_told_with_its_line(line: str, message: str) -> None:
    assert messages(f"sequence: nurture\n{line}")[0] == f"a.yaml:2: {message}"


def test_a_sequence_that_stands_twice_is_refused() -> None:
    assert messages("sequence: a\n---\nsequence: a\n") == [
        "a.yaml:3: a sequence 'a' stands on line 1 already"
    ]
