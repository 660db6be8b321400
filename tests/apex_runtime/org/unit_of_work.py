"""What a test does inside one transaction: DML with plain dicts, anonymous Apex, conversions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tests.apex_runtime.org import library_values
from tests.apex_runtime.org.dml import CHUNK_RECORDS, Outcome
from tests.apex_runtime.org.field_values import record_of
from tests.apex_runtime.org.lead_conversion import convert_lead
from tests.apex_runtime.values import ApexThrown, Id, LimitReached, SObject

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.apex_runtime.org.lead_conversion import ConvertedLead
    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.values import ApexDatetime, Value

Record = SObject | Mapping[str, Any]


class UnitOfWork:
    """A transaction as a test drives it; `platform` is what code in it sees.

    Records are dicts of one type, named first (`insert("Lead", {…}, {…})`), or SObjects after None.
    Every verb is one DML statement, whose exceptions leave it as Apex would see them.
    """

    def __init__(self, tx: Transaction) -> None:
        self.platform = tx

    def insert(
        self, type_name: str | None, *records: Record, all_or_none: bool = True
    ) -> list[Outcome]:
        """Insert records; the outcomes hold their ids."""
        return self._dml("insert", type_name, records, all_or_none=all_or_none)

    def update(
        self, type_name: str | None, *records: Record, all_or_none: bool = True
    ) -> list[Outcome]:
        """Update records by their Id; what is not given stays, None clears."""
        return self._dml("update", type_name, records, all_or_none=all_or_none)

    def upsert(
        self,
        type_name: str | None,
        *records: Record,
        external_id: str | None = None,
        all_or_none: bool = True,
    ) -> list[Outcome]:
        """Insert or update records, by Id or by an external id."""
        made = self._records(type_name, records)
        return self.platform.dml("upsert", made, all_or_none=all_or_none, external_id=external_id)

    def delete(self, *ids: str, all_or_none: bool = True) -> list[Outcome]:
        """Delete records by id."""
        return self.platform.dml("delete", self._of_ids(ids), all_or_none=all_or_none)

    def undelete(self, *ids: str, all_or_none: bool = True) -> list[Outcome]:
        """Take records out of the recycle bin."""
        return self.platform.dml("undelete", self._of_ids(ids), all_or_none=all_or_none)

    def merge(self, winner: str, *losers: str) -> list[Outcome]:
        """Merge one or two losers into a winner."""
        return self.platform.dml("merge", self._of_ids((winner, *losers)), all_or_none=True)

    def convert_lead(self, lead_id: str, *, opportunity: str | None = None) -> ConvertedLead:
        """Convert a lead into an account and a contact, with a name into an opportunity too."""
        return convert_lead(self.platform, Id(lead_id), opportunity)

    def insert_event_series(
        self, event: Mapping[str, Any], starts: Sequence[ApexDatetime]
    ) -> list[Outcome]:
        """Insert a recurring event: the series' record, then one of each occurrence.

        Source: Change Data Capture Developer Guide, cdc_standard_objects_task_event_recurring:
        each is a record of its own.
        """
        series = self.insert("Event", {**event, "IsRecurrence": True, "StartDateTime": starts[0]})
        parent = {"RecurrenceActivityId": series[0].record_id}
        each = ({**event, **parent, "StartDateTime": start} for start in starts)
        return [*series, *self.insert("Event", *each)]

    def publish(self, type_name: str, *events: Mapping[str, Any]) -> list[Outcome]:
        """Publish platform events."""
        return self.platform.publish(self._records(type_name, events))

    def anonymous(self, source: str) -> None:
        """Run anonymous Apex."""
        self.platform.session.anonymous(source)

    def call(self, class_name: str, method: str, *args: Value) -> Value:
        """Call a static method."""
        return self.platform.session.call(class_name, method, args)

    def execute_batch(
        self, execute: Callable[[UnitOfWork, Sequence[Any]], object] | str, scope: Sequence[Any]
    ) -> None:
        """Run one scope of a batch job, in Python or by an Apex class of that name."""
        if not isinstance(execute, str):
            execute(self, scope)
            return
        instance = self.platform.session.new(execute)
        records = library_values.record_list(scope)
        self.platform.session.call(instance, "execute", [None, records])

    def bulk(
        self, operation: str, type_name: str | None, records: Sequence[Record]
    ) -> list[Outcome]:
        """Run one batch of the Bulk API: chunks of 200, each with limits of its own, committed."""
        tx = self.platform
        fresh = tx.limits.snapshot()
        outcomes: list[Outcome] = []
        made = self._records(type_name, records)
        for start in range(0, len(made), CHUNK_RECORDS):
            chunk = made[start : start + CHUNK_RECORDS]
            tx.begin_chunk(fresh)
            try:
                outcomes += tx.dml(operation, chunk, all_or_none=False)
                tx.commit()
            except (ApexThrown, LimitReached) as ended:
                tx.abort()
                error = ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", str(ended))
                outcomes += [Outcome(success=False, record_id=None, errors=[error]) for _ in chunk]
        return outcomes

    def _dml(
        self,
        operation: str,
        type_name: str | None,
        records: Sequence[Record],
        *,
        all_or_none: bool,
    ) -> list[Outcome]:
        made = self._records(type_name, records)
        return self.platform.dml(operation, made, all_or_none=all_or_none)

    def _records(self, type_name: str | None, records: Sequence[Record]) -> list[SObject]:
        """Return records as Apex has them."""
        made = []
        for record in records:
            if isinstance(record, SObject):
                made.append(record)
            elif type_name is not None:
                made.append(record_of(self.platform.catalog[type_name], record))
            else:
                raise TypeError(f"of which type is {record}?")
        return made

    def _of_ids(self, ids: Sequence[str]) -> list[SObject]:
        """Return records of which only the id is known, whose prefix tells the type."""
        records = []
        for each in ids:
            kind = self.platform.catalog.of_id(each)
            if kind is None:
                raise TypeError(f"of which type is {each}?")
            records.append(SObject(kind.name, {"Id": Id(each)}))
        return records
