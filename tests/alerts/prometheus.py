"""A Prometheus of the trial's own: the deployed rules, with a shorter minute."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import yaml

from ops.stack import Child, Supervised
from ops.stack.ports import free_port
from tests.deployment.check import DEPLOY, found

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RULES: Final = DEPLOY / "monitoring" / "rules" / "penstock.yml"
# As windows and waits are written there: minutes, or a number of times 60.
_MINUTES: Final = re.compile(r"(?<=[\[ ])(\d+)m\b")
_SIXTY: Final = re.compile(r"\* 60\b")
_POLL_S: Final = 0.25


def quickened(rules: str, minute_s: int) -> str:
    """Return the rules with minutes of `minute_s` seconds."""
    shorter = _MINUTES.sub(lambda found: f"{int(found[1]) * minute_s}s", rules)
    return _SIXTY.sub(f"* {minute_s}", shorter)


class Prometheus:
    """Scrapes `targets` (addresses by job) every second and evaluates as often."""

    def __init__(self, folder: Path, targets: Mapping[str, list[str]], minute_s: int) -> None:
        self._folder = folder
        self._targets = targets
        self._minute_s = minute_s
        self._url = f"http://127.0.0.1:{free_port()}"
        self._session: aiohttp.ClientSession
        self._server: Supervised | None = None

    async def start(self) -> None:
        """Write its configuration and start it; return when it has seen every process."""
        self._folder.mkdir()
        (self._folder / "rules.yml").write_text(
            quickened(RULES.read_text("utf-8"), self._minute_s), "utf-8"
        )
        deployed = yaml.safe_load((DEPLOY / "monitoring" / "prometheus.yml").read_text("utf-8"))
        jobs = [
            # Paths and parameters are those of the deployed file; addresses are here.
            {**_without_addresses(job), "file_sd_configs": [{"files": [f"{job['job_name']}.json"]}]}
            for job in deployed["scrape_configs"]
        ]
        for job in jobs:
            self.scrape(job["job_name"], self._targets[job["job_name"]])
        configuration = {
            "global": {
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "evaluation_interval": "1s",
            },
            "rule_files": ["rules.yml"],
            "scrape_configs": jobs,
        }
        path = self._folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(configuration), "utf-8")
        self._session = aiohttp.ClientSession()
        self._server = Supervised(
            Child(
                name="Prometheus",
                argv=[
                    found("prometheus") or "prometheus",
                    f"--config.file={path}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address={self._url.removeprefix('http://')}",
                    "--log.level=warn",
                ],
                env={"PATH": "/usr/bin:/bin"},
                log_path=self._folder / "prometheus.log",
                ready=self._is_ready,
            )
        )
        await self._server.start()
        # What is broken before it has looked twice did not change for it.
        seen = "min (count_over_time(up[1h])) >= 3 and min (up) == 1"
        while not await self.query(seen):  # noqa: ASYNC110  Prometheus sets no event of ours
            await asyncio.sleep(_POLL_S)

    def scrape(self, job: str, addresses: list[str]) -> None:
        """Have a job's processes at these addresses from now on."""
        path = self._folder / f"{job}.json"
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps([{"targets": addresses}]))
        unfinished.rename(path)

    async def stop(self) -> None:
        """End it."""
        if self._server is not None:
            await self._server.stop()
            await self._session.close()

    async def _is_ready(self) -> bool:
        try:
            async with self._session.get(f"{self._url}/-/ready") as answer:
                return answer.ok
        except aiohttp.ClientError:
            return False

    async def alerts(self, name: str) -> list[dict[str, Any]]:
        """Return what there is of an alert, pending or firing."""
        async with self._session.get(f"{self._url}/api/v1/alerts") as answer:
            told = (await answer.json())["data"]["alerts"]
        return [one for one in told if one["labels"]["alertname"] == name]

    async def firing(self) -> set[str]:
        """Return the names of all that fire."""
        async with self._session.get(f"{self._url}/api/v1/alerts") as answer:
            told = (await answer.json())["data"]["alerts"]
        return {one["labels"]["alertname"] for one in told if one["state"] == "firing"}

    async def query(self, expr: str) -> list[dict[str, Any]]:
        """Return what an expression comes to now."""
        async with self._session.get(f"{self._url}/api/v1/query", params={"query": expr}) as answer:
            told = await answer.json()
        assert told["status"] == "success", (expr, told)
        found: list[dict[str, Any]] = told["data"]["result"]
        return found

    async def until_fires(self, name: str, timeout_s: float) -> dict[str, Any]:
        """Return an alert once it fires."""
        async with asyncio.timeout(timeout_s):
            while True:
                for one in await self.alerts(name):
                    if one["state"] == "firing":
                        return one
                await asyncio.sleep(_POLL_S)

    async def until_quiet(self, name: str, timeout_s: float) -> None:
        """Return once nothing of an alert is left, not even pending."""
        async with asyncio.timeout(timeout_s):
            while await self.alerts(name):  # noqa: ASYNC110  Prometheus sets no event of ours
                await asyncio.sleep(_POLL_S)


def _without_addresses(job: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in job.items() if not name.endswith("_configs")}
