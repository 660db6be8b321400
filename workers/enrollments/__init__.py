"""From matches to firings, enrolments and outbox rows, in the change's own transaction."""

from workers.enrollments.fire import fire
from workers.enrollments.fired import Fired, Occasion
from workers.enrollments.fold import EndKind
from workers.enrollments.recheck import recheck_ends

__all__ = ["EndKind", "Fired", "Occasion", "fire", "recheck_ends"]
