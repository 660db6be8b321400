"""The image: hadolint's rules, settings that are settings, one version wherever one is named."""

from __future__ import annotations

import re
import tomllib
from typing import Final

from pipeline.settings import SettingsError, load
from tests.deployment.check import DEPLOY, ROOT, Check, said

DOCKERFILE: Final = DEPLOY / "Dockerfile"
# `NAME=value` of an ENV instruction over several lines.
_VARIABLE: Final = re.compile(r"\b(PENSTOCK_\w+)=(\S+)")
# Of the image in documentation and compose, of its label there, of what the chart runs.
_VERSION: Final = re.compile(r"\b(?:penstock:|VERSION: |appVersion: )(\d+\.\d+\.\d+)")
_TEXTS: Final = frozenset({"", ".example", ".md", ".yaml"})


def version() -> str:
    """Return the version, which stands in one place."""
    found: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return found


def image_environment() -> dict[str, str]:
    """Return the settings that every container of the image has."""
    return dict(_VARIABLE.findall(DOCKERFILE.read_text()))


def check_version() -> list[str]:
    """See that whatever names a version of the image names this one."""
    texts = [path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix in _TEXTS]
    return [
        f"{path.relative_to(ROOT)} names {named}, and this is {version()}"
        for path in sorted(texts)
        for named in _VERSION.findall(path.read_text())
        if named != version()
    ]


def check_dockerfile() -> list[str]:
    """Have hadolint read it, and load the settings that it makes."""
    problems = said("hadolint", "--failure-threshold", "style", str(DOCKERFILE))
    try:
        load(image_environment())
    except SettingsError as error:
        problems.append(f"{DOCKERFILE.name}: {error}")
    return problems


CHECKS: Final = (
    Check("deploy/Dockerfile (hadolint, settings)", ("hadolint",), check_dockerfile),
    Check("deploy: the image's version is the project's", (), check_version),
)
