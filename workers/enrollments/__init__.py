"""From matches to firings, enrolments and outbox rows, in the change's own transaction."""

from workers.enrollments.fire import Fired, fire
from workers.enrollments.fold import Event, Folded, fold

__all__ = ["Event", "Fired", "Folded", "fire", "fold"]
