"""deploy/compose.yaml: its schema, its settings, what bounds and confines each container."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aio_pika
import yaml
from aio_pika.exceptions import AMQPError

from ops.__main__ import COMMANDS
from ops.stack import PrivateRabbitMQ, StackError
from pipeline.settings import SettingsError, load
from tests.deployment import drain
from tests.deployment.check import DEPLOY, TIMEOUT_S, Check, said
from tests.deployment.image import image_environment
from tests.servers import manage, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    Service = dict[str, Any]

FILE: Final = DEPLOY / "compose.yaml"
EXAMPLE: Final = DEPLOY / "compose.env.example"
_PASSWORD: Final = "of-a-user-of-the-check"
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
_ENTRY: Final = re.compile(r"^#?([A-Z_]+)=(.*)$", re.MULTILINE)
_SECONDS: Final = re.compile(r"(\d+)s")
# The limit of its container.
_BROKER_BYTES: Final = 2 * 1024**3


def services(given: Mapping[str, str]) -> dict[str, Service]:
    """Return the services, with the variables that `.env` gives in their places."""
    found: dict[str, Service] = _filled(yaml.safe_load(FILE.read_text())["services"], given)
    return found


def _filled(tree: Any, given: Mapping[str, str]) -> Any:  # noqa: ANN401  any part of the document
    match tree:
        case str():
            return _VARIABLE.sub(lambda found: given.get(found[1]) or found[3] or "", tree)
        case list():
            return [_filled(part, given) for part in tree]
        case dict():
            return {name: _filled(part, given) for name, part in tree.items()}
        case _:
            return tree


def example() -> dict[str, str]:
    """Return what the example gives once its passwords are made, without what it comments out."""
    lines = (line for line in EXAMPLE.read_text().splitlines() if not line.startswith("#"))
    entries = (line.partition("=") for line in lines if line)
    return {name: text.replace("RANDOM", "ab" * 24) for name, _, text in entries}


def check_variables() -> list[str]:
    """See that the example names all variables, and gives all without which nothing starts."""
    variables = {(found[1], found[2]) for found in _VARIABLE.finditer(FILE.read_text())}
    named = {found[1] for found in _ENTRY.finditer(EXAMPLE.read_text())} | {"PENSTOCK_IMAGE"}
    needed = {name for name, operator in variables if operator == "?"}
    return [
        *(f"{EXAMPLE.name} lacks {name}" for name in {name for name, _ in variables} - named),
        *(f"{EXAMPLE.name} gives no {name}" for name in needed - set(example())),
    ]


def check_services() -> list[str]:
    """See that each container has the settings, bounds and confines that it should have."""
    found = services(example())
    return [
        f"{name}: {problem}" for name, service in found.items() for problem in _problems(service)
    ]


def _problems(service: Service) -> Iterator[str]:
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    for bound in ("memory", "cpus"):
        if bound not in limits:
            yield f"no limit of {bound}"
    if service.get("read_only") is not True or service.get("cap_drop") != ["ALL"]:
        yield "its root file system can be written to, or it has capabilities"
    if service.get("security_opt") != ["no-new-privileges:true"]:
        yield "it may get new privileges"
    if not {"max-size", "max-file"} <= set(service.get("logging", {}).get("options", {})):
        yield "its logs are not bounded"
    if "restart" not in service or "healthcheck" not in service:
        yield "nothing says when it is healthy, or whether it is started again"
    for volume in service.get("volumes", ()):
        source = volume.partition(":")[0]
        if source.startswith(".") and not (DEPLOY / source).exists():
            yield f"{source} does not exist"
    if "penstock" in service["image"]:
        yield from _penstock_problems(service)


def _penstock_problems(service: Service) -> Iterator[str]:
    if "entrypoint" in service:
        return
    if service["command"][0] not in {*COMMANDS, "--help"}:
        yield f"{service['command'][0]} is no command"
    given = {name: str(text) for name, text in service["environment"].items()}
    try:
        settings = load({**image_environment(), **given})
    except SettingsError as error:
        yield str(error)
        return
    grace = _SECONDS.fullmatch(service["stop_grace_period"])
    if grace is None or int(grace[1]) < drain.longest_s(settings):
        yield f"{service['stop_grace_period']} are too short to drain"


def check_scraped() -> list[str]:
    """See that Prometheus scrapes each process, and nobody else."""
    found = services({})
    text = (DEPLOY / "monitoring" / "prometheus.yml").read_text()
    jobs = yaml.safe_load(text)["scrape_configs"]
    scraped = {
        target.partition(":")[0]
        for job in jobs
        for targets in job["static_configs"]
        for target in targets["targets"]
    }
    meant = {name for name, service in found.items() if "environment" in service}
    meant -= {"migrate", "define", "penstock", "postgres", "grafana"}
    return [f"scraped or running, but not both: {name}" for name in sorted(scraped ^ meant)]


def check_database() -> list[str]:
    """See that every user who may log in at the database gets its password."""
    script = (DEPLOY / "compose" / "postgres.sh").read_text()
    roles = re.findall(
        r"^CREATE ROLE (\w+) LOGIN", (DEPLOY / "postgres/roles.sql").read_text(), re.MULTILINE
    )
    passwords = re.findall(r"^\\getenv (\w+) (\w+)$", script, re.MULTILINE)
    given = services({})["postgres"]["environment"]
    return [
        *(
            f"{role} gets no password"
            for role in roles
            if f"ALTER ROLE {role} PASSWORD" not in script and role != "replicator"
        ),
        *(f"{name} is not handed over" for _, name in passwords if name not in given),
    ]


def check_broker() -> list[str]:
    """Have a node defined by compose's job, twice, and connect as its users."""
    with open_folder() as folder:
        return asyncio.run(_check_broker(folder))


async def _check_broker(folder: Path) -> list[str]:
    lines = (DEPLOY / "compose" / "rabbitmq.conf").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    told = {name.strip(): text.strip() for name, _, text in pairs}
    server = PrivateRabbitMQ(
        folder / "server",
        plugins=["rabbitmq_management"],
        configuration={"vm_memory_high_watermark.relative": "0.4", **told},
    )
    try:
        await server.start()
        admin = json.dumps({"password": _PASSWORD, "tags": "administrator"})
        manage(server.management_url, "PUT", "/api/users/admin", admin)
        port = urlsplit(server.management_url).port
        problems = [*_defined(f"http://127.0.0.1:{port}"), *_defined(f"http://127.0.0.1:{port}")]
        if problems:
            return problems
        broker = urlsplit(server.url)
        for name in ("ingest", "worker", "console", "operator"):
            url = f"amqp://{name}:{_PASSWORD}@127.0.0.1:{broker.port}/penstock"
            await (await aio_pika.connect(url)).close()
        limit = await server.ctl("eval", "vm_memory_monitor:get_memory_limit().")
    except (StackError, AMQPError, OSError) as error:
        return str(error).splitlines() or [repr(error)]
    finally:
        # Killed first: its good order takes seconds, for data that nobody wants.
        await server.kill()
        await server.stop()
    return [] if int(limit) < _BROKER_BYTES / 2 else [f"RabbitMQ may use {int(limit):,} bytes"]


def _defined(url: str) -> list[str]:
    job = services(example())["define"]
    files = [str(DEPLOY / path.removeprefix("/deploy/")) for path in job["command"][1:]]
    script = str(DEPLOY / job["entrypoint"][1].removeprefix("/deploy/"))
    done = subprocess.run(  # noqa: S603  our own arguments
        [sys.executable, script, url, *files],
        env={**os.environ, **dict.fromkeys(job["environment"], _PASSWORD)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return done.stderr.splitlines() if done.returncode else []


CHECKS: Final = (
    Check(
        "compose.yaml: the compose specification's schema",
        ("check-jsonschema",),
        lambda: said("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)),
    ),
    Check("compose.yaml: variables are those of the example", (), check_variables),
    Check("compose.yaml: settings, limits, confinement, time to drain", (), check_services),
    Check("compose.yaml: each process is scraped", (), check_scraped),
    Check("compose.yaml: each user of the database has a password", (), check_database),
    Check(
        "compose.yaml: RabbitMQ gets its definitions and users", ("rabbitmq-server",), check_broker
    ),
)
