"""Checks of the path: processes, backlogs, the outbox, targets, dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ops.commands.lines import times
from ops.doctor.finding import NotMade, Verdict, fine, wrong
from ops.relay_switch import EVERYTHING, paused
from ops.times import ago, span

if TYPE_CHECKING:
    from ops.doctor.subject import Subject

_MAX_WAIT_S: Final = 300.0
_MANY_DEAD: Final = 10
# Beyond it, nobody needs to know how many there are.
_MOST_COUNTED: Final = 10_000
_OPEN_DEAD: Final = """
    SELECT count(*) FROM (SELECT FROM dead_letter WHERE state = 'open' LIMIT $1) AS counted"""
# Of what came in, or went out: above it, something is wrong in general.
_MANY: Final = 0.05
_FEW: Final = 5


async def processes(subject: Subject) -> list[Verdict]:
    """See that ingest, a worker and a relay run, and that none fell silent."""
    flow = await subject.flow()
    running = {one.kind for one in flow.processes if one.state == "running"}
    found = [
        wrong(f"no {kind} runs", f"penstock {kind}")
        for kind in ("ingest", "worker", "relay")
        if kind not in running
    ]
    found += [
        wrong(
            f"{one.kind} {one.pid} on {one.host} told of itself last {ago(one.told_at)}",
            f"look for it on {one.host}; if it was killed, start another: penstock {one.kind}",
        )
        for one in flow.processes
        if one.state == "silent"
    ]
    return found or [fine(f"{', '.join(sorted(running))} run")]


async def workers(subject: Subject) -> list[Verdict]:
    """See that each queue has a worker, and that nothing waits there for long."""
    queues = await subject.queues()
    objects = {one.object: one for one in (await subject.flow()).objects}
    found = []
    for sobject, queue in queues.by_object.items():
        one = objects[sobject.value]
        if queue.consumer_count == 0:
            waiting = f", where {times(queue.depth_count, 'message')} wait"
            told = f"no worker consumes {sobject}{waiting if queue.depth_count else ''}"
            found.append(wrong(told, f"penstock worker --object {sobject.lower()}"))
        elif one.oldest_s is not None and one.oldest_s > _MAX_WAIT_S:
            told = f"changes of {sobject} wait for up to {span(one.oldest_s)}"
            found.append(wrong(told, "penstock flow --drain-within 10m"))
    if not queues.by_object:
        raise NotMade("there are no queues yet")
    return found or [fine("every object has a worker, and none waits for long")]


async def edge(subject: Subject) -> list[Verdict]:
    """See that callouts are taken in, neither refused nor put off."""
    flow = await subject.flow()
    total = flow.callout_count + flow.refused_count + flow.put_off_count
    found = []
    if flow.put_off_count > max(_FEW, _MANY * total):
        told = f"{flow.put_off_count:,} of {total:,} requests of the last hour were put off"
        mend = "look for publish_failed in ingest's log; rabbitmq-diagnostics alarms"
        found.append(wrong(f"{told} (503, 429)", mend))
    if flow.refused_count > max(_FEW, _MANY * total):
        told = f"{flow.refused_count:,} of {total:,} requests of the last hour were refused"
        mend = (
            "look for request_refused and signature_failed in ingest's log; if it is 401: penstock"
            " org rotate ORG_ID"
        )
        found.append(wrong(told, mend))
    return found or [fine(f"{times(flow.callout_count, 'callout')} taken in within the hour")]


async def outbox(subject: Subject) -> Verdict:
    """See that what is to be sent is sent soon."""
    found = (await subject.flow()).outbox
    count = times(found.open_count, "row") + (" or more" if found.has_more else "")
    if found.oldest_s is not None and found.oldest_s > _MAX_WAIT_S:
        return wrong(
            f"{count} of the outbox wait, the oldest for {span(found.oldest_s)}",
            "look for delivery_held in the relay's log; penstock enrollments list --state pending",
        )
    return fine(f"{count} of the outbox wait, none for long")


async def relay(subject: Subject) -> list[Verdict]:
    """See that nothing is paused or stopped."""
    found = await paused(subject.database)
    told = [
        wrong(
            f"{'everything' if one.target == EVERYTHING else f'target {one.target}'} is stopped"
            f" since {one.stopped_at}: {one.reason}",
            "penstock relay resume"
            + ("" if one.target == EVERYTHING else f" --target {one.target}"),
        )
        for one in found.stops
    ]
    told += [
        wrong(
            f"sequence {one.sequence!r} of org {one.org_id} is paused",
            f"penstock relay resume --sequence {one.sequence!r} --org {one.org_id}",
        )
        for one in found.sequences
    ]
    return told or [fine("nothing is paused")]


async def targets(subject: Subject) -> list[Verdict]:
    """See that targets take what they are sent."""
    objects = (await subject.flow()).objects
    sent = sum(minute.sent_count for one in objects for minute in one.minutes)
    held = sum(one.held_count for one in objects)
    failed = sum(one.failed_count for one in objects)
    found = []
    if held > max(_FEW, sent):
        told = f"targets did not take {held:,} attempts of the last hour, and took {sent:,}"
        found.append(wrong(told, "look for delivery_held in the relay's log: it has the answer"))
    if failed > max(_FEW, _MANY * (sent + failed)):
        told = f"targets refused {failed:,} rows of the last hour for good, and took {sent:,}"
        found.append(wrong(told, "penstock enrollments list --state failed"))
    return found or [fine(f"targets took {times(sent, 'row')} within the hour")]


async def dead_letters(subject: Subject) -> list[Verdict]:
    """See that dead letters do not pile up, and that nobody has forgotten older ones."""
    objects = (await subject.flow()).objects
    found = [
        wrong(
            f"{one.dead_count:,} changes of {one.object} became dead letters in the last hour",
            f"penstock dead list --object {one.object}",
        )
        for one in objects
        if one.dead_count >= _MANY_DEAD
    ]
    found += [
        wrong(
            f"{times(one.dead_queue_count, 'message')} that cannot be decoded lie in the dead queue"
            f" of {one.object}",
            f"penstock worker --object {one.object.lower()}   (it records them, to be listed)",
        )
        for one in objects
        if one.dead_queue_count
    ]
    open_count = await subject.database.fetchval(_OPEN_DEAD, _MOST_COUNTED + 1)
    told = f"{times(min(open_count, _MOST_COUNTED), 'dead letter')}"
    told += " or more are open" if open_count > _MOST_COUNTED else ", of any age, open"
    if open_count >= _MANY_DEAD:
        found.append(wrong(told, "penstock dead list   (then replay or discard them)"))
    count = sum(one.dead_count for one in objects)
    return found or [fine(f"{times(count, 'dead letter')} within the hour; {told}")]
