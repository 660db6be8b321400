"""Why something happened, or did not: the trail of an enrolment, a record or a change."""

from ops.explanation.change import explain_capture
from ops.explanation.considered import Considered, Outcome
from ops.explanation.enrollment import Delivery, Explanation, explain_enrollment
from ops.explanation.record import RecordTrail, explain_record
from ops.explanation.replayed import Replayed
from ops.explanation.stages import Stage
from ops.explanation.trail import ChangeTrail, Difference
from ops.explanation.whole import EnrollmentTrail, explain_enrollment_whole

__all__ = [
    "ChangeTrail",
    "Considered",
    "Delivery",
    "Difference",
    "EnrollmentTrail",
    "Explanation",
    "Outcome",
    "RecordTrail",
    "Replayed",
    "Stage",
    "explain_capture",
    "explain_enrollment",
    "explain_enrollment_whole",
    "explain_record",
]
