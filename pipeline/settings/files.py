"""Secrets that stand in files, as systemd, Docker and Kubernetes hand them to a process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.settings.kinds import SettingsError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

FILE: Final = "_FILE"


def with_files(environ: Mapping[str, str], secret: Collection[str]) -> dict[str, str]:
    """Return `environ` with the content of files in the place of the variables that name them.

    `PENSTOCK_DATABASE__URL_FILE` names the file that holds `PENSTOCK_DATABASE__URL`, and so for
    each variable of `secret`. White space around the content, as a line's end, is none of it.

    Raises:
        SettingsError: a file cannot be read, holds nothing, or its setting is set as well.
    """
    found = dict(environ)
    for variable in secret:
        naming = variable + FILE
        if naming in found:
            if variable in found:
                raise SettingsError(f"{variable} and {naming} are both set: one of them has to go")
            found[variable] = _content(naming, found.pop(naming))
    return found


def _content(naming: str, path: str) -> str:
    try:
        text = Path(path).read_text().strip()
    except OSError as error:
        raise SettingsError(f"{naming}: {error.strerror}: {path!r}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{naming}: {path!r} holds no text") from None
    if not text:
        raise SettingsError(f"{naming}: {path!r} is empty")
    return text
