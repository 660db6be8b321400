"""Whatever is done to one org, by callouts or by commands, nothing of another is read or touched.

Both have the same ids of records, captures and transactions, the same addresses, rules and
sequences. The console is not asked: its tokens are good for every org.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
import pytest
from aiohttp.test_utils import TestServer

from ops.__main__ import cli
from tests import two_orgs
from tests.salesforce import Salesforce, callout
from tests.snapshots import absence, snapshot
from tests.two_orgs import CANARY, LEAD, LOSER, MISSING, RULES, A, B, TwoOrgs, audit, said
from tests.webhook import Webhooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.processes import PenstockProcesses

SECRET: Final = "whsec_" + "c2VjcmV0IG9mIHRoZSB0YXJnZXQgb2YgdGhlIHRlc3Q="
NEW_RULES: Final = RULES.format(name="A").replace("Qualified", "Working")
# What is done to A, with what the command reads and the exit code: `{their_…}` are B's.
BY_RULES: Final = (
    ("rules apply - --org {a} --dry-run", NEW_RULES, 0),
    ("rules test - --org {a} --since 1d --json", NEW_RULES, 0),
    ("rules apply - --org {a}", NEW_RULES, 0),
    ("rules list --org {a} --all --json", "", 0),
    ("rules versions welcome --org {a} --json", "", 0),
    ("rules show welcome --org {a} --version 1", "", 0),
    ("rules rollback welcome --org {a}", "", 0),
    ("rules disable welcome slow --org {a}", "", 0),
    ("rules enable welcome --org {a}", "", 0),
    ("rules apply - --org {a} --prune", NEW_RULES.partition("---\n")[0], 0),
)
BY_LOOKING: Final = (
    ("org show {a} --json", "", 0),
    ("org loads {a} --json", "", 0),
    ("record show {a} Lead {lead} --json", "", 0),
    ("enrollments list --org {a} --json", "", 0),
    ("explain {lead} --org {a} --json", "", 0),
    ("explain capture-1 --org {a} --json", "", 0),
    ("explain {enrollment} --org {a} --json", "", 0),
    ("explain {their_enrollment} --org {a} --json", "", 1),
    ("dead list --org {a} --state any --json", "", 0),
    ("dead list --org {a} --text {canary} --json", "", 0),
    ("gaps list --org {a} --json", "", 0),
    ("suppress list --org {a} --json", "", 0),
    ("audit show {a} --all --json", "", 0),
    ("replay --since 1d --org {a} --json", "", 0),
    ("replay --callouts --since 1d --org {a} --json", "", 0),
    ("forget {a} --email ana@example.com --json", "", 0),
)
BY_DOING: Final = (
    ("enrollments release {their_held} --org {a}", "", 1),
    ("enrollments release --org {a} --rule slow", "", 0),
    ("dead replay {their_dead} --org {a} --apply", "", 1),
    ("dead discard {their_dead} --org {a} --apply", "", 1),
    ("dead replay --org {a} --capture capture-7 --apply", "", 0),
    ("dead discard --org {a} --apply", "", 0),
    ("suppress add ana@example.com example.com --org {a} --reason asked", "", 0),
    ("suppress remove ana@example.com blocked@example.com --org {a}", "", 0),
    ("relay pause --org {a} --sequence nurture", "", 0),
    ("relay resume --org {a} --sequence nurture", "", 0),
    ("org load {a} --object User --cancel", "", 0),
    ("org load {a} --object User", "", 0),
    ("audit allow {a}", "", 1),
    ("audit cancel {a}", "", 0),
    ("audit start {a} --object Event", "", 0),
    ("audit schedule {a} 7d", "", 0),
    ("audit schedule {a} off", "", 0),
    ("org describe {described} --org {a}", "", 0),
    ("org time-zone {a} Europe/Berlin", "", 0),
    ("org watch {a} Task.Subject", "", 0),
    ("org unwatch {a} Task.Subject", "", 0),
    ("replay --since 1d --org {a} --apply", "", 0),
    ("replay --callouts --since 1d --org {a} --apply", "", 0),
    ("org pause {a}", "", 0),
    ("org resume {a}", "", 0),
    ("org rotate {a}", "", 0),
    ("org add {a} --sync-user 0055g00000AbCdEAAV", "", 1),
    ("forget {a} --email ana@example.com --block --apply", "", 0),
    ("forget {a} --email held@example.com --record {lead} --apply", "", 0),
)
# Commands that take no org. What they tell or do is of all orgs, or of what has a number.
OF_EVERY_ORG: Final = frozenset(
    {
        *("up", "ingest", "worker", "migrate", "declare", "restored", "flow", "doctor", "actions"),
        "probe",
        *("org list", "rules schema", "secrets new-key", "secrets rotate", "dead show"),
        *("runs cancel", "runs list", "runs pause", "runs resume", "runs show"),
        *("console token add", "console token list", "console token revoke"),
    }
)


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command with the words that call it."""

    def within(
        command: click.Command, words: tuple[str, ...]
    ) -> Iterator[tuple[str, click.Command]]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                yield from within(inner, (*words, name))
        else:
            yield " ".join(words), command

    return within(cli, ())


def test_every_command_that_takes_an_org_is_tried_beside_another() -> None:
    lines = [line for line, _, _ in (*BY_RULES, *BY_LOOKING, *BY_DOING)]
    found = dict(commands())
    taking = {
        name
        for name, command in found.items()
        if any(one.name == "org_id" for one in command.params)
    }
    tried = {name for name in found if any(line.startswith(f"{name} ") for line in lines)}
    assert tried == taking
    assert found.keys() - taking == OF_EVERY_ORG


@pytest.fixture
async def orgs(penstock: PenstockProcesses, tmp_path: Path) -> AsyncIterator[TwoOrgs]:
    """Both orgs with all that came of their history, and with what operators set up for both."""
    hooks = Webhooks(SECRET)
    async with TestServer(hooks.app) as target:
        await penstock.start_ingest()
        orgs = TwoOrgs(
            penstock,
            hooks,
            a=await Salesforce.connect(penstock, A, RULES.format(name="A")),
            b=await Salesforce.connect(penstock, B, RULES.format(name=CANARY)),
        )
        await penstock.start_worker(PENSTOCK_WORKER__SWEEP_S="0.1")
        await penstock.start_relay(
            PENSTOCK_RELAY__WEBHOOK_URL=str(target.make_url("/hook")),
            PENSTOCK_RELAY__WEBHOOK_SECRET=SECRET,
        )
        await orgs.set_up(tmp_path)
        yield orgs


async def test_whatever_is_done_to_one_org_another_is_neither_read_nor_touched(
    orgs: TwoOrgs,
) -> None:
    # What came of a callout too late to be seen here is seen after the commands.
    await send_everything(orgs)
    await orgs.penstock.until_counted(19, "SELECT count(*) FROM change")
    await orgs.settle()
    await orgs.untouched()
    for table in (BY_LOOKING, BY_RULES, BY_DOING):
        await orgs.do(table)
        await orgs.settle()
        await orgs.untouched()


async def send_everything(orgs: TwoOrgs) -> None:
    """Send of A all that it can say of the ids that are B's as well, and what it must not say."""
    lead, changed = said("A"), said("A", Email="other@example.com", HasOptedOutOfEmail=True)
    gone = {**said("A", Id=LOSER), "MasterRecordId": LEAD}
    asked = orgs.their_requests
    for document in (
        callout([{"old": lead, "new": changed}], org_id=A),
        callout([{"old": lead, "new": changed}], org_id=A, capture_id="capture-1"),
        callout([{"old": gone, "new": None}], org_id=A, operation="delete"),
        callout([{"old": changed, "new": None}], org_id=A, operation="delete"),
        callout([{"new": lead}], org_id=A, operation="undelete"),
        *(
            snapshot(said("A", Id=MISSING), org_id=A, object=name, request_id=number, total=7)
            for number in asked
            for name in ("Event", "User")
        ),
        *(absence(MISSING, org_id=A, object="Event", request_id=number) for number in asked),
    ):
        await orgs.tell("changes", document)
    for number in asked:
        await orgs.tell("audit", audit(A, number))
    await orgs.tell("heartbeat", two_orgs.beat(A, asked), 200)

    assert (await orgs.a.send(callout([{"new": lead, "old": lead}], org_id=B))).status == 403
    for secret, org_id in ((orgs.b.secret, A), (orgs.a.secret, B)):
        forged = Salesforce(orgs.penstock, secret, org_id)
        assert (
            await forged.send(callout([{"new": lead, "old": lead}], org_id=org_id))
        ).status == 401
