from __future__ import annotations

from pathlib import Path

from rules.model import Operator
from rules.parse import parse_rules

README = Path(__file__).parents[3] / "rules" / "README.md"


def test_the_first_example_is_a_rule() -> None:
    example = README.read_text().split("```yaml\n")[1].split("```")[0]
    (rule,) = parse_rules(example, "README.md")
    assert rule.name == "hot-leads-to-nurture"


def test_every_operator_has_a_row() -> None:
    text = README.read_text()
    assert [name for name in Operator if f"\n| `{name}: " not in text] == []
