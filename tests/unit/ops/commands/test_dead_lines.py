"""What a record holds steers no terminal."""

from __future__ import annotations

from msgspec import Raw

from ops.commands.dead_lines import whole_lines
from ops.dead_letters import DeadCallout, DeadLetterWhole, DeadState
from pipeline.envelope import Kind
from pipeline.errors import Reason

# What 8-bit terminals take for the beginning of a command, as a record may have it.
STEERING = '{"Name":"\x9b2J"}'


def test_what_does_not_print_is_escaped_in_originals_and_in_callouts() -> None:
    letter = DeadLetterWhole(
        id=1,
        org_id=None,
        object="Lead",
        operation=None,
        record_id=None,
        capture_id=None,
        reason=Reason.UNDECODABLE,
        error="",
        state=DeadState.OPEN,
        attempts=1,
        callout_id=None,
        captured_at=None,
        received_at=None,
        first_dead_at="",
        dead_at="",
        settled_at=None,
        run_id=None,
        settled_by=None,
        persisted_at=None,
        original=Raw(STEERING.encode()),
        callouts=[DeadCallout("msg", 0, Kind.CHANGES, None, Raw(STEERING.encode()), None)],
        message_base64=None,
    )
    lines = "\n".join(whole_lines(letter))
    assert "\x9b" not in lines
    assert lines.count(r"\x9b2J") == 2
