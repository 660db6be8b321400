"""Apex source to the syntax tree that Salesforce's own parser prints."""

from __future__ import annotations

import json
import os
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.apex_runtime.errors import CompileError, NotModelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Node = dict[str, Any]
"""A node of the tree, as JSON gives it: `@class`, `loc` where it has one, and its parts."""

_INSTALLED = Path("apex/node_modules/@prettier-apex/apex-ast-serializer-linux-x64")
_BINARY = "apex-ast-serializer-linux-x64"
_ROOT = Path(__file__).parents[2]
_TIMEOUT_S = 20.0


def parser_path() -> Path | None:
    """Return the parser of the package's npm dependencies, else of the environment, else None."""
    installed = _ROOT / _INSTALLED / _BINARY
    if installed.exists():
        return installed
    named = os.environ.get("APEX_PARSER")
    return Path(named) if named and Path(named).exists() else None


@lru_cache(maxsize=512)
def parse(source: str, file: str, *, anonymous: bool = False) -> Node:
    """Return the unit's node; CompileError on a bad text. Nobody may change what is returned."""
    binary = parser_path()
    if binary is None:
        raise NotModelled("Apex, without its parser: run npm ci in apex/")
    command = [str(binary), "-a"] if anonymous else [str(binary)]
    ran = subprocess.run(  # noqa: S603 (the parser, and Apex on its standard input)
        command, input=source.encode(), capture_output=True, check=True, timeout=_TIMEOUT_S
    )
    output = json.loads(ran.stdout)
    (parsed,) = output.values()
    if parsed["parseErrors"]:
        problems = CompileError(parsed["parseErrors"][0]["message"])
        problems.passed("parser", file, line_of(parsed["parseErrors"][0]))
        raise problems
    unit: Node = parsed["unit"]
    return unit


def kind(node: Mapping[str, Any]) -> str:
    """Return a node's class without its package: `Expr$LiteralExpr`."""
    name: str = node["@class"]
    return name.rpartition(".")[2]


def line_of(node: object) -> int:
    """Return the line where a node begins: its own, else the first of its parts'; 0 for none."""
    if isinstance(node, dict) and "loc" in node:
        return line_of(node["loc"])
    return min(_lines(node), default=0)


def _lines(node: object) -> Iterator[int]:
    if isinstance(node, dict):
        if "line" in node and "startIndex" in node:
            yield node["line"]
        for part in node.values():
            yield from _lines(part)
    elif isinstance(node, list):
        for part in node:
            yield from _lines(part)


def optional(part: Node) -> Any:  # noqa: ANN401 (whatever the tree has in that place)
    """Return what an optional part of a node holds, None when it is absent."""
    return part.get("value")


def text(identifier: Node) -> str:
    """Return an identifier as written."""
    value: str = identifier["value"]
    return value


def dotted(identifiers: list[Node]) -> str:
    """Return identifiers as written with dots between."""
    return ".".join(map(text, identifiers))
