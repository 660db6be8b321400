"""Documents of rules and sequences as they come from files, and what checks say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.errors import OpsError
from rules import Climb, Mistake, Rule, RuleError, Sequence, compile_rule, parse_documents
from rules.checks.check import Sourced
from rules.checks.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.objects import SObject
    from rules.checks.findings import Finding


def read_documents(texts: Iterable[tuple[str, str]]) -> list[Sourced]:
    """Return the documents of (file name, YAML text) pairs.

    Raises:
        rules.RuleError: with every mistake in them.
        OpsError: two files hold a document of one name.
    """
    documents: dict[tuple[str, str], Sourced] = {}
    mistakes: list[Mistake] = []
    for file, text in texts:
        try:
            found = parse_documents(text, file)
        except RuleError as error:
            mistakes += error.mistakes
            continue
        for document in found:
            kind = "rule" if isinstance(document.content, Rule) else "sequence"
            name = document.content.name
            if (kind, name) in documents:
                first = documents[kind, name].source
                raise OpsError(f"two of the files hold a {kind} {name!r}: {first} and {file}")
            documents[kind, name] = Sourced(file, document)
    if mistakes:
        raise RuleError(mistakes)
    return list(documents.values())


def rules_of(documents: Iterable[Sourced]) -> list[Rule]:
    """Return the rules among documents."""
    contents = (one.document.content for one in documents)
    return [content for content in contents if isinstance(content, Rule)]


def rule_texts(documents: Iterable[Sourced]) -> dict[str, Sourced]:
    """Return the documents of rules by the rules' names."""
    return {
        one.document.content.name: one
        for one in documents
        if isinstance(one.document.content, Rule)
    }


def sequence_texts(documents: Iterable[Sourced]) -> dict[str, tuple[Sequence, str]]:
    """Return the sequences among documents, each with its own text, by name."""
    return {
        one.document.content.name: (one.document.content, one.document.text)
        for one in documents
        if isinstance(one.document.content, Sequence)
    }


def objects_read(rules: Iterable[Rule]) -> set[SObject]:
    """Return the objects whose fields rules read, those that lookups lead to included."""
    objects: set[SObject] = set()
    for rule in rules:
        objects.add(rule.object)
        for path in compile_rule(rule, version=1).paths:
            climb = Climb(rule.object, path.references, path.field)
            for depth in range(1, len(path.references) + 1):
                objects |= climb.objects(depth)
    return objects


def refuse_errors(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings that are all warnings, sorted by place.

    Raises:
        rules.RuleError: with the errors among them, if there are any.
    """
    found = sorted(findings, key=lambda finding: (finding.source, finding.line))
    errors = [
        Mistake(finding.source, finding.line, finding.message)
        for finding in found
        if finding.severity is Severity.ERROR
    ]
    if errors:
        raise RuleError(errors)
    return found
