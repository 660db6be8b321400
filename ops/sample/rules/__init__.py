"""The sample rules that ship with Penstock: one YAML document a file, for the sample org."""

from __future__ import annotations

from importlib.resources import files

_SUFFIX = ".yaml"


def sample_rules() -> list[tuple[str, str]]:
    """Return (name, text) of every sample rule, sorted by name.

    The name is the file's without its suffix, which is also what the document's `rule` says.
    """
    return sorted(
        (entry.name.removesuffix(_SUFFIX), entry.read_text(encoding="utf-8"))
        for entry in files(__name__).iterdir()
        if entry.name.endswith(_SUFFIX)
    )
