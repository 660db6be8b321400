"""What history cannot tell of rules: fields that were not watched, days before it began."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import msgspec

from ops.times import iso
from pipeline.objects import Operation, SObject
from rules import Climb, compile_rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.database import Connection
    from rules import Rule

_MAX_GAPS: Final = 3

_READ_SPANS: Final = """
    SELECT conditions::text, floor(extract(epoch FROM since) * 1000)::bigint AS since_ms
    FROM conditions_span WHERE org_id = $1 ORDER BY conditions_version"""
_BEGAN_BEFORE: Final = """
    SELECT EXISTS (SELECT FROM change WHERE org_id = $1 AND captured_at < $2)"""
_FIRST: Final = """
    SELECT min(captured_at) FROM change
    WHERE org_id = $1 AND captured_at >= $2 AND captured_at < $3"""

_conditions: Final = msgspec.json.Decoder(dict[str, list[str]])

# From and until, in Unix ms.
Gap: TypeAlias = "tuple[int, int]"


class _Span(NamedTuple):
    """Which fields (in lower case) of which objects were watched, from and until (Unix ms)."""

    since_ms: int
    until_ms: int
    fields: Mapping[str, frozenset[str]]

    def watches(self, sobject: SObject, field: str | None) -> bool:
        """Tell whether a field was watched; None stands for all of them."""
        # As long as no object is named, Salesforce sends everything.
        if not self.fields:
            return True
        watched = self.fields.get(sobject.value)
        return watched is not None and (not watched or (field or "").lower() in watched)

    def sends(self, sobject: SObject) -> bool:
        """Tell whether anything of an object was sent."""
        return not self.fields or sobject.value in self.fields


async def warnings(
    connection: Connection, org_id: str, rules: Sequence[Rule], since_ms: int, until_ms: int
) -> list[str]:
    """Return, one line each, what a trial of rules on a span (Unix ms) cannot know."""
    found = [await _beginning(connection, org_id, since_ms, until_ms)]
    spans = await _read_spans(connection, org_id, since_ms, until_ms)
    for rule in rules:
        found += _unwatched(rule, spans)
        if any("." in field for field in compile_rule(rule, 0).reads):
            found.append(
                f"rule {rule.name}: lookups read other records as they stand today, not as they"
                " stood then, and changes of those records were not looked at"
            )
    return [warning for warning in found if warning is not None]


async def _beginning(
    connection: Connection, org_id: str, since_ms: int, until_ms: int
) -> str | None:
    if await connection.fetchval(_BEGAN_BEFORE, org_id, since_ms):
        return None
    first = await connection.fetchval(_FIRST, org_id, since_ms, until_ms)
    if first is None:
        return f"history holds no change of org {org_id} in this span, nor any before it"
    return f"history holds less than this span: it begins at {iso(first)}"


async def _read_spans(
    connection: Connection, org_id: str, since_ms: int, until_ms: int
) -> list[_Span]:
    rows = await connection.fetch(_READ_SPANS, org_id)
    ends = [*(row["since_ms"] for row in rows[1:]), until_ms]
    spans = [
        _Span(
            max(row["since_ms"], since_ms),
            min(end, until_ms),
            {
                sobject: frozenset(map(str.lower, fields))
                for sobject, fields in _conditions.decode(row["conditions"]).items()
            },
        )
        for row, end in zip(rows, ends, strict=True)
    ]
    return [span for span in spans if span.since_ms < span.until_ms]


def _unwatched(rule: Rule, spans: Sequence[_Span]) -> Iterator[str]:
    unsent = _gaps(spans, [not span.sends(rule.object) for span in spans])
    if unsent:
        yield f"rule {rule.name}: no {rule.object} was sent {_shown(unsent)}"
    if Operation.UPDATE not in rule.operations:
        return
    compiled = compile_rule(rule, 0)
    if compiled.reads_any_field:
        partly = _gaps(
            spans,
            [span.sends(rule.object) and not span.watches(rule.object, None) for span in spans],
        )
        if partly:
            yield (
                f"rule {rule.name}: it takes every update, and only those of some fields were sent"
                f" {_shown(partly)}"
            )
        return
    for (objects, field), gaps in sorted(_gaps_of_fields(rule, spans).items()):
        yield (
            f"rule {rule.name}: {'/'.join(objects)}.{field} was not watched {_shown(gaps)}, so that"
            " updates of it alone were not sent"
        )


def _gaps_of_fields(
    rule: Rule, spans: Sequence[_Span]
) -> dict[tuple[tuple[str, ...], str], list[Gap]]:
    """Return when a field that the rule reads was watched on none of the objects it may be on."""
    compiled = compile_rule(rule, 0)
    own = frozenset({rule.object})
    fields = {(own, field) for field in compiled.reads if "." not in field}
    for path in compiled.paths:
        climb = Climb(rule.object, path.references, path.field)
        fields |= {
            (climb.objects(depth), climb.step(depth)) for depth in range(len(path.references) + 1)
        }
    gaps: defaultdict[tuple[tuple[str, ...], str], list[Gap]] = defaultdict(list)
    for objects, field in fields:
        # Nothing at all was sent of the rule's own object: that has been said.
        missing = [
            not any(span.watches(one, field) for one in objects)
            and not (objects == own and not span.sends(rule.object))
            for span in spans
        ]
        if found := _gaps(spans, missing):
            gaps[tuple(sorted(objects)), field] = found
    return dict(gaps)


def _gaps(spans: Sequence[_Span], missing: Sequence[bool]) -> list[Gap]:
    """Return the times of the spans that are missing, adjacent ones as one."""
    gaps: list[Gap] = []
    for span, is_missing in zip(spans, missing, strict=True):
        if not is_missing:
            continue
        if gaps and gaps[-1][1] == span.since_ms:
            gaps[-1] = (gaps[-1][0], span.until_ms)
        else:
            gaps.append((span.since_ms, span.until_ms))
    return gaps


def _shown(gaps: Sequence[Gap]) -> str:
    told = " and ".join(f"from {iso(start)} until {iso(end)}" for start, end in gaps[:_MAX_GAPS])
    more = len(gaps) - _MAX_GAPS
    return told if more <= 0 else f"{told} and {more} more times"
