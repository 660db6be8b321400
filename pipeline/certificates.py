"""What to tell of a server whose certificate was not accepted, or that has none."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from pipeline.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator


def refusal(error: BaseException, section: str) -> str | None:
    """Say why TLS with a server failed and which setting of `section` decides it; else None."""
    for one in _causes(error):
        if isinstance(one, ssl.SSLCertVerificationError):
            why = one.verify_message.rstrip(".")
            return (
                f"its certificate is not accepted: {why} (PENSTOCK_{section}__CA_FILE names whose"
                f" certificates are, PENSTOCK_{section}__URL the host that it has to be for)"
            )
        if isinstance(one, ssl.SSLError):
            return f"no encrypted connection: {one.reason} (PENSTOCK_{section}__URL asks for one)"
    return None


def told(error: BaseException, section: str) -> str:
    """Return what `refusal` says of an error, or what may be told of it."""
    return refusal(error, section) or redacted(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    # The broker's library keeps what it met among the arguments of its own error.
    seen = [error]
    for one in seen:
        yield one
        causes = (one.__cause__, one.__context__, *one.args)
        seen += [
            cause for cause in causes if isinstance(cause, BaseException) and cause not in seen
        ]
