"""`--object`, of commands that work on some of the objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pipeline.objects import SObject

if TYPE_CHECKING:
    from collections.abc import Callable


def objects_option(meaning: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option that passes `objects`: those that are named, maybe none."""
    return click.option(
        "--object",
        "objects",
        multiple=True,
        type=click.Choice([sobject.value for sobject in SObject], case_sensitive=False),
        callback=_sobjects,
        help=meaning,
    )


def _sobjects(
    context: click.Context, param: click.Parameter, names: tuple[str, ...]
) -> tuple[SObject, ...]:
    del context, param
    return tuple(SObject(name) for name in dict.fromkeys(names))
