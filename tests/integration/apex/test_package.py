"""The tools of the Salesforce package: what operators deploy, and a gate that is able to fail."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import pytest

ROOT: Final = Path(__file__).parents[3]
APEX: Final = ROOT / "apex"
NODE: Final = APEX / "node_modules/.bin/node"
ENDPOINT: Final = "https://ingest.example.com"
SOURCES: Final = Path(__file__).with_name("sources")
GREETING: Final = (SOURCES / "Greeting.cls").read_text()
METADATA: Final = "{http://soap.sforce.com/2006/04/metadata}"

pytestmark = pytest.mark.skipif(
    not (APEX / "node_modules/.installed").exists(),
    reason="the Salesforce tools are not installed: make apex-tools, which needs npm",
)


def run(*argv: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environ = {"NODE_DISABLE_COMPILE_CACHE": "1", "PATH": f"{NODE.parent}:{os.environ['PATH']}"}
    return subprocess.run(  # noqa: S603 (the project's own tools, with arguments from this file)
        argv, cwd=cwd, env=os.environ | environ, capture_output=True, text=True, check=False
    )


def tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run("node", APEX / "tools" / name, *arguments)


def package(endpoint: str, path: Path) -> Path:
    done = tool("package.mjs", endpoint, path)
    assert done.returncode == 0, done.stderr
    return path


def source_digest() -> str:
    files = sorted(path for path in (APEX / "force-app").rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


@pytest.fixture(scope="module")
def zip_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(ENDPOINT, tmp_path_factory.mktemp("package") / "penstock-apex.zip")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project with the real one's settings, which passes the gate."""
    for name in ("sfdx-project.json", ".prettierrc", ".prettierignore", ".forceignore"):
        shutil.copy(APEX / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(APEX / "node_modules")
    site = "force-app/main/default/remoteSiteSettings"
    shutil.copytree(APEX / site, tmp_path / site)
    write_class(tmp_path, "Greeting", GREETING)
    write_class(tmp_path, "GreetingTest", (SOURCES / "GreetingTest.cls").read_text(), folder="test")
    return tmp_path


def write_class(
    project: Path, name: str, source: str, *, folder: str = "main/default", version: str = "65.0"
) -> None:
    classes = project / "force-app" / folder / "classes"
    classes.mkdir(parents=True, exist_ok=True)
    (classes / f"{name}.cls").write_text(source)
    (classes / f"{name}.cls-meta.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ApexClass xmlns="http://soap.sforce.com/2006/04/metadata">\n'
        f"    <apiVersion>{version}</apiVersion>\n    <status>Active</status>\n</ApexClass>\n"
    )


def greeting_as(name: str) -> str:
    return GREETING.replace("Greeting", name)


def test_the_package_has_every_class_with_its_metadata_and_a_manifest(zip_path: Path) -> None:
    sources = [
        path.name for kind in ("cls", "trigger") for path in (APEX / "force-app").rglob(f"*.{kind}")
    ]
    with zipfile.ZipFile(zip_path) as archive:
        names = {Path(name).name for name in archive.namelist()}
        manifest = ET.fromstring(archive.read("package.xml"))  # noqa: S314 (our own output)
    assert sources
    assert {f"{name}{suffix}" for name in sources for suffix in ("", "-meta.xml")} <= names
    assert manifest.findtext(f"{METADATA}version") == "65.0"
    members = {member.text for member in manifest.iter(f"{METADATA}members")}
    assert {name.split(".")[0] for name in sources} <= members


def test_the_remote_site_has_the_operators_endpoint_and_nothing_else(zip_path: Path) -> None:
    with zipfile.ZipFile(zip_path) as archive:
        site = archive.read("remoteSiteSettings/Penstock.remoteSite").decode()
        texts = [archive.read(name) for name in archive.namelist()]
    assert f"<url>{ENDPOINT}</url>" in site
    assert not any(b"penstock.invalid" in text for text in texts)


def test_the_same_source_makes_the_same_bytes(zip_path: Path, tmp_path: Path) -> None:
    before = source_digest()
    again = package(ENDPOINT, tmp_path / "again.zip")
    assert again.read_bytes() == zip_path.read_bytes()
    assert source_digest() == before


def test_another_endpoint_makes_another_package(zip_path: Path, tmp_path: Path) -> None:
    other = package("https://other.example.com:8443/", tmp_path / "other.zip")
    assert other.read_bytes() != zip_path.read_bytes()
    with zipfile.ZipFile(other) as archive:
        site = archive.read("remoteSiteSettings/Penstock.remoteSite").decode()
    assert "<url>https://other.example.com:8443</url>" in site


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        ("", "is missing"),
        ("http://ingest.example.com", "must be https"),
        ("ingest.example.com", "is no URL"),
        ("https://ingest.example.com/v1", "without path or query"),
        ("https://ingest.example.com?a=1", "without path or query"),
        ("https://ingest.example.com#a", "without path or query"),
        ("https://me:secret@ingest.example.com", "no credentials"),
        ("https://a&b.example.com", "without path or query"),
    ],
)
def test_an_unfit_endpoint_is_refused(endpoint: str, says: str, tmp_path: Path) -> None:
    done = tool("package.mjs", endpoint, tmp_path / "refused.zip")
    assert done.returncode == 2
    assert says in done.stderr
    assert "secret" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_make_refuses_plain_http_and_says_how_to_deploy(tmp_path: Path) -> None:
    refused = run("make", "apex-package", "ENDPOINT=http://ingest.example.com")
    assert refused.returncode == 2
    assert "must be https" in refused.stderr
    made = tool("package.mjs", ENDPOINT, tmp_path / "penstock-apex.zip")
    assert f"sf project deploy start --metadata-dir {tmp_path}/penstock-apex.zip" in made.stdout
    tests = [path.stem for path in (APEX / "force-app/test").rglob("*Test.cls")]
    assert tests
    assert all(f"--tests {name}" in made.stdout for name in tests)


def test_size_counts_characters_without_tests_and_fails_at_the_limit(project: Path) -> None:
    shipped = len(GREETING)
    done = tool("size.mjs", project)
    assert done.returncode == 0
    assert f"{shipped}  classes/Greeting.cls" in done.stdout
    assert "GreetingTest" not in done.stdout
    write_class(project, "Filler", "é" * (33_000 - shipped - 1))
    assert tool("size.mjs", project).returncode == 0
    write_class(project, "Filler", "é" * (33_000 - shipped))
    too_much = tool("size.mjs", project)
    assert too_much.returncode == 1
    assert "33000" in too_much.stderr


@pytest.mark.skipif(shutil.which("java") is None, reason="the gate's analyzers need java")
def test_the_gate_finds_a_fault_of_each_kind(project: Path) -> None:
    write_class(project, "Ugly", greeting_as("Ugly").replace("\t", "   "))
    write_class(project, "Lost", greeting_as("Lost").replace("name;", "nobody;"))
    write_class(project, "Mute", "@SuppressWarnings('PMD.ApexDoc')\n" + greeting_as("Mute"))
    write_class(project, "Wipe", (SOURCES / "Wipe.cls").read_text())
    write_class(project, "Old", greeting_as("Old"), version="50.0")
    done = tool("check.mjs", project)
    assert done.returncode == 1
    for fault in (
        "Ugly.cls is not formatted",
        "Lost.cls:11 Missing: No variable or type found for 'nobody'",
        "Mute.cls:1 a suppression must carry its reason",
        "Wipe.cls:10 pmd:ApexCRUDViolation",
        "Wipe.cls:10 sfge:DatabaseOperationsMustUseWithSharing",
        "apiVersion is 50.0, the project's is 65.0",
    ):
        assert fault in done.stdout
    assert "the analysis failed" not in done.stdout
    assert "Greeting.cls is not formatted" not in done.stdout
