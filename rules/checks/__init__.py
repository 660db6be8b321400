"""What can be told of rules before they run: against an org's fields, and against each other."""

from rules.checks.catalog import Catalog, Field, FieldType, Kind, ObjectFields, learnt_fields
from rules.checks.check import Sourced, check
from rules.checks.describe import Described, DescribeError, read_describes
from rules.checks.findings import Finding, Severity

__all__ = [
    "Catalog",
    "DescribeError",
    "Described",
    "Field",
    "FieldType",
    "Finding",
    "Kind",
    "ObjectFields",
    "Severity",
    "Sourced",
    "check",
    "learnt_fields",
    "read_describes",
]
