"""How much slower a thousand rules are than ten: `python -m tests.benchmarks.rule_count`.

Full-width lead edits go through the worker's own transactions into a private PostgreSQL, 200 a
batch, with ten and with a thousand active rules by turns. The rules are made as orgs make them:
most begin with a field that becomes something or changes, some compare numbers or names.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from typing import TYPE_CHECKING, Final

import msgspec

from ops.sample.records import SampleOrg
from ops.stack import PrivatePostgres
from pipeline.callout import Header
from pipeline.database import ensure_partitions, open_pool
from pipeline.objects import Operation, SObject, long_id
from pipeline.settings import Database, Secret
from tests.servers import migrated, open_folder
from workers.processor import Processor
from workers.received import ReceivedChange, now_ms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.database import Pool

FEW: Final = 10
MANY: Final = 1000
BATCH: Final = 200
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def rule(number: int, org_number: random.Random) -> str:
    """Return one rule; few of them match the sample's edits."""
    status = f"Stage {org_number.randrange(60)}"
    industry = f"Industry {org_number.randrange(60)}"
    amount = org_number.randrange(10**9)
    kinds = {
        4: f"{{field: Status, changed_to: {status}}}, {{field: Industry, equals: {industry}}}",
        6: (
            f"{{field: Rating, changed: true}}, {{any: [{{field: Industry, equals: {industry}}},"
            f" {{field: Title, contains: chief {number}}}]}}"
        ),
        8: (
            f"{{field: Industry, in: [{industry}, Mining {number}]}},"
            f" {{field: NumberOfEmployees, greater_than: {amount}}}"
        ),
        9: f"{{field: OwnerId, changed: true}}, {{field: Company, starts_with: corp {number}}}",
        10: f"{{field: AnnualRevenue, at_least: {9**10 + amount}}}, {{field: Fax, is_set: true}}",
    }
    when = next(clauses for below, clauses in kinds.items() if number % 10 < below)
    return (
        f"rule: rule-{number}\nobject: Lead\non: [insert, update]\nwhen: [{when}]\n"
        f"then: [{{add_to_sequence: nurture, recipient: Email}}]\n"
    )


async def activate(pool: Pool, org_id: str, count: int) -> None:
    """Leave the org with `count` active rules."""
    stream = random.Random(count)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("DELETE FROM rule")
        await connection.executemany(
            "INSERT INTO rule (org_id, rule, version, object, state, source)"
            " VALUES ($1, $2, 1, 'Lead', 'active', $3)",
            [(org_id, f"rule-{number}", rule(number, stream)) for number in range(count)],
        )


def batches(org: SampleOrg, count: int, turn: int) -> Iterator[list[ReceivedChange]]:
    """Yield `count` batches of edits that were not seen before."""
    for number, capture in enumerate(org.bulk(count, BATCH, lead_count=1000)):
        header = Header(
            version=1,
            org_id=org.org_id,
            object=SObject.LEAD,
            operation=Operation.UPDATE,
            capture_id=f"capture-{turn}-{number}",
            transaction_id=f"transaction-{turn}-{number}",
            sequence=0,
            captured_at=now_ms(),
            actor_id=None,
        )
        yield [
            ReceivedChange(
                captured_at=header.captured_at,
                capture_id=header.capture_id,
                record_id=long_id(str((change.new or {})["Id"])),
                org_id=header.org_id,
                object=header.object,
                operation=header.operation,
                sequence=0,
                transaction_id=header.transaction_id,
                actor_id=None,
                callout_id=f"msg_{turn}_{number}",
                received_at=header.captured_at,
                masked=False,
                old=_encoder.encode(change.old),
                new=_encoder.encode(change.new),
            )
            for change in capture.changes
        ]


async def rate(pool: Pool, org: SampleOrg, rule_count: int, batch_count: int, turn: int) -> float:
    """Return how many changes a second one worker commits with so many rules."""
    await activate(pool, org.org_id, rule_count)
    # The org begins anew: next to what the last measurement left, its edits would be gaps.
    await pool.execute("TRUNCATE record")
    processor = Processor(pool, retention_days=90)
    made = list(batches(org, batch_count + 1, turn))
    await processor.process(made.pop())
    begun = time.perf_counter()
    for batch in made:
        await processor.process(batch)
    return batch_count * BATCH / (time.perf_counter() - begun)


async def main(change_count: int, turns: int) -> None:
    """Measure by turns and print the rates, and the ratio of their medians."""
    org = SampleOrg(seed=4)
    with open_folder() as folder:
        server = PrivatePostgres(folder / "postgres")
        await server.start()
        try:
            await migrated(server.url)
            async with open_pool(Database(url=Secret(server.url)), "benchmark") as pool:
                async with pool.acquire() as connection:
                    await connection.execute(
                        "INSERT INTO org (org_id, sync_user_id) VALUES ($1, '')", org.org_id
                    )
                    await ensure_partitions(connection, retention_days=90, now_ms=now_ms())
                rates: dict[int, list[float]] = {FEW: [], MANY: []}
                for turn in range(2 * turns):
                    count = (FEW, MANY)[turn % 2]
                    rates[count].append(await rate(pool, org, count, change_count // BATCH, turn))
                    print(f"{count:>5} rules: {rates[count][-1]:7.0f} changes/s")
        finally:
            await server.stop()
    few, many = (sorted(rates[count])[turns // 2] for count in (FEW, MANY))
    print(f"{few / many:.2f} times slower with {MANY} rules than with {FEW}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=10_000, help="changes a measurement")
    parser.add_argument("--turns", type=int, default=3, help="measurements of each kind")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.changes, arguments.turns))
