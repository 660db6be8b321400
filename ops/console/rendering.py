"""Pages from templates; whatever comes from records or people is escaped."""

from __future__ import annotations

import json
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ops.console.context import OWNER, context_of, session_of
from ops.console_tokens import Role
from ops.times import age_s, iso, span
from pipeline import json_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Raw

FORM_TOKEN: Final = "form_token"  # noqa: S105  the name of a field
# The menu: path, name.
MENU: Final = (
    ("/flow", "Flow"),
    ("/dead", "Dead letters"),
    ("/records", "Records"),
    ("/rules", "Rules"),
    ("/enrollments", "Enrolments"),
    ("/orgs", "Orgs"),
    ("/actions", "Audit"),
)
_NONE: Final = "—"
_TWO_DIGITS: Final = 10
_LARGE: Final = 1_000


def templates() -> Environment:
    """Return the templates, with what they can say: times, counts, values, addresses."""
    environment = Environment(
        loader=PackageLoader("ops.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ago": ago,
        "clock": clock,
        "count": count,
        "day": lambda moment: iso(moment)[:10],
        "duration": duration,
        "ms": ms,
        "named": named,
        "pretty": pretty,
        "rate": rate,
        "segment": lambda text: quote(str(text), safe=""),
        "time": time,
        "value": value,
        "words": lambda text: str(text).replace("_", " "),
    }
    environment.globals |= {"menu": MENU, "query": query}
    return environment


def page(
    request: web.Request, template: str, status: HTTPStatus = HTTPStatus.OK, **values: object
) -> web.Response:
    """Return a page."""
    return web.Response(
        text=render(request, template, **values), status=status, content_type="text/html"
    )


def render(request: web.Request, template: str, **values: object) -> str:
    """Return a template's text for whoever asks."""
    context = context_of(request)
    session = session_of(request)
    owner = request.get(OWNER)
    return context.templates.get_template(template).render(
        owner=owner,
        may_operate=owner is not None and owner.role is Role.OPERATE,
        form_token="" if session is None else context.sessions.form_token(session),
        here=request.path,
        asked=request.query,
        **values,
    )


def problem(request: web.Request, status: HTTPStatus, words: str) -> web.Response:
    """Return a page that says what went wrong."""
    return page(request, "problem.html", status=status, title=status.phrase, words=words)


def query(asked: Mapping[str, str], **changed: object) -> str:
    """Return a query string with some values changed; those that are None or empty left out."""
    values = {**asked, **changed}
    return urlencode({name: value for name, value in values.items() if value not in (None, "")})


def clock(moment: float, beside: float) -> Markup:
    """Return a time (Unix ms) to the millisecond, with its day if `beside` was on another."""
    text = iso(moment)
    day, _, rest = text.rstrip("Z").partition("T")
    shown = rest if day == iso(beside)[: len(day)] else f"{day} {rest}"
    return Markup('<time datetime="{}">{}</time>').format(text, shown)


def time(moment: str | float | None) -> Markup | str:
    """Return a time, RFC 3339 or Unix ms, as people read it: day, clock and zone."""
    if moment is None:
        return _NONE
    text = moment if isinstance(moment, str) else iso(moment)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    shown = at.strftime("%Y-%m-%d %H:%M:%S")
    return Markup('<time datetime="{}">{}<small> UTC</small></time>').format(text, shown)


def ago(moment: str | float | None) -> Markup | str:
    """Return how long ago a time was, which itself is its title."""
    if moment is None:
        return _NONE
    text = moment if isinstance(moment, str) else iso(moment)
    try:
        seconds = age_s(text)
    except ValueError:
        return text
    told = f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}"
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(text, told)


def duration(seconds: float | None) -> str:
    """Return how long something takes."""
    if seconds is None:
        return _NONE
    return ms(seconds * 1000) if seconds < 1 else span(seconds)


def ms(milliseconds: float | None) -> str:
    """Return some milliseconds, as precisely as one can use."""
    if milliseconds is None:
        return _NONE
    if abs(milliseconds) < _LARGE:
        return f"{milliseconds:.{0 if abs(milliseconds) >= _TWO_DIGITS else 1}f} ms"
    return f"{milliseconds / 1000:,.1f} s"


def count(number: float | None) -> str:
    """Return a count with its thousands apart."""
    return _NONE if number is None else f"{number:,.0f}"


def rate(per_s: float) -> str:
    """Return a rate, with a digit more where it says something."""
    return f"{per_s:,.{1 if 0 < per_s < _TWO_DIGITS else 0}f}"


def named(parameters: Mapping[str, Any]) -> str:
    """Return what an action was applied to, in words, whatever it nests."""
    parts = (
        named(inner) if isinstance(inner, dict) else f"{name.replace('_', ' ')} {_plain(inner)}"
        for name, inner in parameters.items()
        if inner is not None
    )
    return ", ".join(part for part in parts if part)


def _plain(inner: object) -> str:
    return ", ".join(map(str, inner)) if isinstance(inner, list) else str(inner)


def pretty(raw: Raw) -> str:
    """Return JSON with a line for each value, every digit and character kept."""
    masked = json_text.mask(bytes(raw))
    return json_text.unmask(msgspec.json.format(masked, indent=2)).decode(errors="replace")


def value(raw: Raw | None) -> str:
    """Return a record's value as JSON has it; texts without their quotes, nothing as `empty`."""
    if raw is None:
        return "empty"
    text = bytes(raw).decode(errors="replace")
    if text == "null":
        return "empty"
    if text.startswith('"'):
        decoded: Any = json.loads(text)
        return str(decoded).encode(errors="backslashreplace").decode()
    return text
