"""Break the local stack so that each alert fires, follow its runbook to the letter, see it go.

`make alerts`: private servers, Penstock's processes, and a Prometheus that scrapes them by the
deployed rules, where a minute lasts `--minute` seconds. Of each alert it prints what was broken,
after how long it fired, by which case of its runbook it was mended, and how long after the first of
its commands the alert was gone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from tests.alerts.faults import TRIALS, Trial
from tests.alerts.prometheus import Prometheus
from tests.alerts.runbook import FOLDER, Ran, run, sections
from tests.alerts.site import Site
from tests.deployment.check import DEPLOY
from tests.deployment.monitoring import filled
from tests.servers import open_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

_MINUTE_S: Final = 3
# Of the longest wait before an alert fires, 30 minutes, and of the longest one before it goes.
_WITHIN_MINUTES: Final = 80
# What bash says of a command that is not there, or is none.
_NO_COMMAND: Final = frozenset({126, 127})


class Failed(Exception):
    """A trial did not go as the runbook says; says how."""


async def _try(trial: Trial, site: Site, prometheus: Prometheus, within_s: float) -> list[Ran]:
    """Go through one trial and print its line; return all that was run."""
    try:
        await prometheus.until_quiet(trial.alert, within_s)
    except TimeoutError:
        raise Failed("it is there before anything was broken") from None
    began = time.monotonic()
    async with trial.happen(site) as told:
        try:
            alert = await prometheus.until_fires(trial.alert, within_s)
        except TimeoutError:
            raise Failed(f"did not fire; {sorted(await prometheus.firing())} did") from None
        fired_s = time.monotonic() - began
        page = Runbook(site, alert, told)
        await page.check()
        began = time.monotonic()
        await page.mend(trial)
        try:
            await prometheus.until_quiet(trial.alert, within_s)
        except TimeoutError:
            raise Failed("it goes on, though its runbook was followed") from None
        gone_s = time.monotonic() - began
        await page.verify()
    print(  # noqa: T201
        f"{trial.alert:<28} {trial.words}: fired after {fired_s:.0f} s;"
        f" mended by {trial.case!r}; gone after {gone_s:.0f} s",
        flush=True,
    )
    return page.ran


class Runbook:
    """The page of an alert, followed step by step; `ran` is what was run of it."""

    def __init__(self, site: Site, alert: dict[str, Any], told: Mapping[str, str]) -> None:
        texts = alert["annotations"]
        if any("<no value>" in text or "error" in text.lower() for text in texts.values()):
            raise Failed(f"its words: {texts}")
        self.ran: list[Ran] = []
        self._page = sections(FOLDER / texts["runbook_url"].rpartition("/")[2])
        self._site = site
        names = {name.upper(): value for name, value in alert["labels"].items()}
        self._environment = {**site.machine.environment, **names, **told}

    async def check(self) -> None:
        """Look at what is broken, which may well be said by exit codes."""
        await self._do(self._page["Check"].commands, has_to_work=False)

    async def mend(self, trial: Trial) -> None:
        """Do what the case says, here and elsewhere."""
        commands = self._page["Mend"].cases[trial.case]
        await self._do(commands[:1], has_to_work=True)
        if trial.by_hand is not None:
            await trial.by_hand(self._site, self.ran[-1].printed)
        await self._do(commands[1:], has_to_work=True)

    async def verify(self) -> None:
        """See that all is well."""
        await self._do(self._page["Verify"].commands, has_to_work=True)

    async def _do(self, commands: list[str], *, has_to_work: bool) -> None:
        for command in commands:
            one = await run(command, self._environment, self._site.machine.settings)
            self.ran.append(one)
            if one.code in _NO_COMMAND or (has_to_work and one.code):
                raise Failed(f"{one.command}: ended with {one.code}\n{one.printed}")


async def _empty_panels(prometheus: Prometheus) -> list[str]:
    """Return the panels' expressions that came to nothing all the while."""
    empty = []
    for path in sorted((DEPLOY / "monitoring" / "grafana").glob("*.json")):
        for panel in json.loads(path.read_text("utf-8"))["panels"]:
            for target in panel.get("targets", ()):
                expr = filled(target["expr"])
                if not await prometheus.query(f"last_over_time(({expr})[1h:5s])"):
                    empty.append(f"{path.stem}: {panel['title']}: {target['expr']}")
    return empty


async def _all(asked: argparse.Namespace) -> int:
    wrong = 0
    within_s = _WITHIN_MINUTES * asked.minute
    with open_folder() as folder:
        async with Site(folder) as site:
            prometheus = Prometheus(folder / "prometheus", site.machine.targets, asked.minute)
            site.machine.prometheus = prometheus
            await prometheus.start()
            try:
                for trial in TRIALS:
                    if asked.only and trial.alert not in asked.only:
                        continue
                    try:
                        ran = await _try(trial, site, prometheus, within_s)
                    except (Failed, AssertionError) as error:
                        wrong += 1
                        print(f"{trial.alert:<28} {trial.words}: FAILED: {error}", flush=True)  # noqa: T201
                        continue
                    for one in ran if asked.verbose else ():
                        lines = "".join(f"    {line}\n" for line in one.printed.splitlines())
                        print(f"  $ {one.command}  [{one.code}]\n{lines}", flush=True)  # noqa: T201
                for line in await _empty_panels(prometheus):
                    print(f"nothing to see: {line}")  # noqa: T201
            finally:
                await prometheus.stop()
    return 1 if wrong else 0


def main() -> int:
    """Return 1 if a trial did not go as its runbook says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", nargs="+", metavar="ALERT", help="these alone")
    parser.add_argument(
        "--minute", type=int, default=_MINUTE_S, help="seconds that a minute of the rules lasts"
    )
    parser.add_argument("--verbose", action="store_true", help="print what commands print")
    return asyncio.run(_all(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
