"""The image's Dockerfile: hadolint's rules, and that what it sets are settings."""

from __future__ import annotations

import re
from typing import Final

from pipeline.settings import SettingsError, load
from tests.deployment.check import DEPLOY, Check, said

DOCKERFILE: Final = DEPLOY / "Dockerfile"
# `NAME=value` of an ENV instruction over several lines.
_VARIABLE: Final = re.compile(r"\b(PENSTOCK_\w+)=(\S+)")


def image_environment() -> dict[str, str]:
    """Return the settings that every container of the image has."""
    return dict(_VARIABLE.findall(DOCKERFILE.read_text()))


def _run() -> list[str]:
    problems = said("hadolint", "--failure-threshold", "style", str(DOCKERFILE))
    try:
        load(image_environment())
    except SettingsError as error:
        problems.append(f"{DOCKERFILE.name}: {error}")
    return problems


CHECKS: Final = (Check("deploy/Dockerfile (hadolint, settings)", ("hadolint",), _run),)
