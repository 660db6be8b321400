from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS: Final[list[str]] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
VERSION: Final[str] = PROJECT["project"]["version"]


def run(*argv: str, cwd: Path = ROOT, **environment: str) -> str:
    done = subprocess.run(  # noqa: S603  our own arguments
        [sys.executable, *argv],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def built(folder: Path, root: Path = ROOT) -> Path:
    run("-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=root)
    return folder / f"penstock-{VERSION}-py3-none-any.whl"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_has_all_that_a_room_has_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = (path for room in ROOMS for path in (ROOT / room).rglob("*") if path.is_file())
    meant = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    assert packed == meant
    for kind in ("pipeline/migrations/0001_spine.sql", "ops/console/static/console.css"):
        assert kind in packed


def test_the_same_commit_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    # Another clone: the same files, written at another time.
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, clone / name)
    unmeant = shutil.ignore_patterns("__pycache__")
    for room in ROOMS:
        shutil.copytree(ROOT / room, clone / room, copy_function=shutil.copy, ignore=unmeant)
    again = built(tmp_path, clone)
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (wheel, again)}
    assert len(digests) == 1


def test_what_is_unpacked_from_the_wheel_runs(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    told = run("-m", "ops", "--version", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert told.split()[-1] == VERSION
    where = run("-c", "import ops; print(ops.__file__)", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert Path(where.strip()).is_relative_to(tmp_path)


def test_an_image_is_built_by_the_engine_that_is_asked_for() -> None:
    for asked, engine in (((), "docker"), (("ENGINE=podman",), "podman")):
        told = subprocess.run(  # noqa: S603  our own arguments
            ["make", "--dry-run", "image", *asked],  # noqa: S607  the machine's own make
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=90,
            check=True,
        ).stdout
        assert f"&& {engine} build --file deploy/Dockerfile" in told
