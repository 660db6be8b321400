from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.apex_runtime.org.org import Org
from tests.apex_runtime.parse import parser_path

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"\b(class|interface|trigger)\s+(\w+)")


class Deploy(Protocol):
    """Gives an org with Apex sources in it; `files` are metadata by path."""

    def __call__(
        self,
        *sources: str,
        files: dict[str, str] | None = None,
        **options: Any,
    ) -> Org: ...


@pytest.fixture
def deploy(tmp_path: Path) -> Deploy:
    if parser_path() is None:
        pytest.skip("Apex's parser is not installed: npm ci in apex/")

    def deployed(*sources: str, files: dict[str, str] | None = None, **options: Any) -> Org:
        for source in sources:
            found = _NAME.search(source)
            assert found is not None, source
            ending = "trigger" if found[1] == "trigger" else "cls"
            (tmp_path / f"{found[2]}.{ending}").write_text(source)
        for path, text in (files or {}).items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        return Org.deploy(tmp_path, **options)

    return deployed
