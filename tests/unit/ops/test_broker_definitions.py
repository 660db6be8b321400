from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import yaml

from ops.broker_definitions import NOTHING, USERS, definitions, files

DEPLOY: Final = Path(__file__).parents[3] / "deploy"
# | console | (nothing) | `^(penstock\\.replay\\|amq\\.default)$` | `^penstock\\.log$` |
ROW: Final = re.compile(r"\| (\w+)" + 3 * r" \| (`\S+`|\(nothing\))" + r" \|\n")


def test_the_files_say_what_the_code_says() -> None:
    for name, text in files().items():
        assert (DEPLOY / "rabbitmq" / name).read_text("utf-8") == text, "run `make docs`"


def test_the_page_says_what_each_user_may() -> None:
    page = (DEPLOY / "README.md").read_text("utf-8")
    rows = ROW.findall(page.partition("## Give each process its own")[2])
    told = {
        name: tuple(
            NOTHING if cell == "(nothing)" else cell.strip("`").replace("\\|", "|")
            for cell in cells
        )
        for name, *cells in rows
    }
    assert told == {name: tuple(may) for name, may in USERS.items()}


def test_no_file_lets_anybody_in() -> None:
    assert re.findall(r'"password(?:_hash)?": "(.*)"', files()["users.json"]) == [""] * 5


def test_the_example_for_kubernetes_has_the_same_policies_and_permissions() -> None:
    example = DEPLOY / "helm" / "examples" / "rabbitmq-definitions.yaml"
    documents = [one for one in yaml.safe_load_all(example.read_text("utf-8")) if one]
    policies = [one["spec"] for one in documents if one["kind"] == "Policy"]
    assert [
        (one["name"], one["pattern"], one["applyTo"], one["priority"], one["definition"])
        for one in policies
    ] == [
        (one["name"], one["pattern"], one["apply-to"], one["priority"], one["definition"])
        for one in definitions()["policies"]
    ]
    granted = {
        one["metadata"]["name"]: one["spec"]["permissions"]
        for one in documents
        if one["kind"] == "Permission"
    }
    for name, may in USERS.items():
        given = {kind: granted[name].get(kind) or NOTHING for kind in may._fields}
        assert given == may._asdict(), name
