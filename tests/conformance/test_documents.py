"""What the documents show is what the code takes."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline import callout
from rules import parse_rules

ROOT = Path(__file__).parents[2]


def _blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_the_callout_in_the_documents_is_one_that_ingest_accepts() -> None:
    example, _ = _blocks("apex/contract.md", "json")
    checked = callout.check(example.encode())
    assert len(checked.changes) == 1


def test_the_rule_in_the_readme_is_one_that_can_be_applied() -> None:
    (example,) = _blocks("README.md", "yaml")
    (rule,) = parse_rules(example, "README.md")
    assert rule.name == "my-hot-leads"
