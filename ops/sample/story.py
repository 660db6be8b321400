"""The history that the demo plays: accounts, contacts, six leads and a deal, in some 30 captures.

What the sample rules make of it: the hot lead and the large one reach `nurture`, the large one
`executive-touch` besides, the cooled one `win-back`, new contacts `welcome`. The near miss does
not reach `nurture` (no condition of its `any` holds), the lost one not `win-back` (Unqualified), a
contact without an address and one who opted out not `welcome`. The walk-in reaches `nurture` as it
is inserted and leaves it as it is deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.sample.cast import Company
from ops.sample.formats import DAY_MS, money
from ops.sample.progress import call_made, carried_over, converted, stage_fields

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from ops.sample.capture import Capture, Record
    from ops.sample.records import SampleOrg
    from ops.sample.timeline import Run
    from pipeline.change import Value


def story(org: SampleOrg, run: Run) -> Iterator[Capture]:
    """Yield the captures of the demo's history, oldest first.

    Who sends one every `run.step_ms` from `run.start_ms` on stays in step with the clock.
    """
    return _Story(org, run).play()


class _Story:
    """The actors and records that more than one chapter is about."""

    def __init__(self, org: SampleOrg, run: Run) -> None:
        self._timeline = org.timeline("story", run)
        self._make = org.factory("story")
        self._staff = org.staff
        self._admin_id = _id(org.admin)
        self._ann, self._ben, self._cleo = (_id(rep) for rep in org.reps)
        self._newcomer = self._make.user(3, Department="Sales", ManagerId=self._admin_id)
        self._companies = [self._make.casting.company() for _ in range(4)]
        self._accounts = [self._make.account(self._ann, company) for company in self._companies]
        self._contacts = self._new_contacts()
        lead = self._make.lead
        self._hot = lead(self._ann, Rating="Warm", AnnualRevenue=money(250_000))
        self._large = lead(self._ben, Rating="Cold", AnnualRevenue=money(400_000))
        self._near_miss = lead(self._ben, Rating="Warm", AnnualRevenue=money(940_000))
        self._cooled = lead(self._ann, Rating="Hot", AnnualRevenue=money(620_000))
        self._lost = lead(self._cleo, domain="example.org", Rating="Hot", AnnualRevenue=None)
        self._walk_in = lead(self._cleo, Status="Qualified", Rating="Hot", LeadSource="Web")

    def play(self) -> Iterator[Capture]:
        yield from self._the_org_fills()
        yield from self._leads_arrive()
        yield from self._leads_are_worked()
        yield from self._a_deal_is_won()
        yield from self._leads_are_decided()
        yield from self._the_hot_lead_is_converted()
        yield from self._loose_ends()

    def _new_contacts(self) -> list[Record]:
        quirks: list[dict[str, Value]] = [{}, {"Email": None}, {"HasOptedOutOfEmail": True}, {}]
        places = zip(self._accounts, self._companies, quirks, strict=True)
        return [
            self._make.contact(self._ben, _id(account), company.domain, **fields)
            for account, company, fields in places
        ]

    def _update(self, actor_id: str, *records: Record, **values: Value) -> Capture:
        changes = {_id(record): values for record in records}
        return self._timeline.transaction(actor_id).update(changes)

    def _insert(self, actor_id: str, *records: Record) -> Capture:
        return self._timeline.transaction(actor_id).insert(*records)

    def _the_org_fills(self) -> Iterator[Capture]:
        yield self._update(self._admin_id, *self._staff, Division="Rivers & Canals 🛶")
        yield self._insert(self._admin_id, self._newcomer)
        yield self._insert(self._admin_id, *self._accounts)
        yield self._insert(self._admin_id, *self._contacts)

    def _leads_arrive(self) -> Iterator[Capture]:
        yield self._insert(self._admin_id, self._hot, self._large, self._near_miss, self._cooled)
        yield self._insert(self._cleo, self._lost)
        yield self._insert(self._cleo, self._walk_in)

    def _leads_are_worked(self) -> Iterator[Capture]:
        yield self._update(self._ann, self._hot, Status="Working", Rating="Hot")
        call = self._make.task(self._ann, _id(self._hot), "Call", self._timeline.next_ms)
        yield self._insert(self._ann, call)
        yield self._update(self._ben, self._large, self._near_miss, Status="Working")
        yield self._update(self._ann, self._cooled, Status="Working")
        yield self._update(self._ann, call, **call_made(self._timeline.next_ms, duration_s=412))
        yield self._update(self._ben, self._large, AnnualRevenue=money(7_500_000))

    def _a_deal_is_won(self) -> Iterator[Capture]:
        account_id, contact_id = _id(self._accounts[0]), _id(self._contacts[0])
        name = f"{self._companies[0].name}: 12 gate valves"
        deal = self._make.opportunity(self._ben, account_id, name, self._timeline.next_ms)
        amount = money(184_500)
        yield self._insert(self._ben, deal)
        yield self._update(self._ben, deal, **self._stage("Needs Analysis", amount))
        meeting = self._make.event(
            self._ben, contact_id, _id(deal), self._timeline.next_ms + DAY_MS
        )
        yield self._insert(self._ben, meeting)
        yield self._update(
            self._ben, meeting, ShowAs="Free", Description="Held ✅\r\nThey sign this week."
        )
        yield self._update(self._ben, deal, **self._stage("Negotiation/Review", amount))
        yield self._update(self._ben, deal, **self._stage("Closed Won", amount), NextStep=None)

    def _leads_are_decided(self) -> Iterator[Capture]:
        yield self._update(self._ann, self._hot, Status="Qualified")
        yield self._update(self._ben, self._near_miss, Status="Qualified")
        yield self._update(self._ben, self._large, Status="Qualified")
        yield self._update(self._cleo, self._lost, Status="Unqualified", Rating="Cold")
        yield self._update(self._ann, self._cooled, Rating="Cold")

    def _the_hot_lead_is_converted(self) -> Iterator[Capture]:
        """One transaction in which four triggers run."""
        lead = self._hot
        domain = str(lead["Email"]).partition("@")[2]
        company = Company(str(lead["Company"]), domain, str(lead["Industry"]))
        account = self._make.account(self._ann, company)
        contact = self._make.contact(self._ann, _id(account), domain, **carried_over(lead))
        name = f"{company.name}: pilot"
        deal = self._make.opportunity(self._ann, _id(account), name, self._timeline.next_ms)
        conversion = self._timeline.transaction(self._ann)
        outcome = converted(conversion.now_ms, _id(account), _id(contact), _id(deal))
        yield conversion.insert(account)
        yield conversion.insert(contact)
        yield conversion.insert(deal)
        yield conversion.update({_id(lead): outcome})

    def _loose_ends(self) -> Iterator[Capture]:
        yield self._update(self._ben, self._contacts[3], Phone=None)
        yield self._timeline.transaction(self._cleo).delete(_id(self._walk_in))

    def _stage(self, stage: str, amount: Decimal) -> dict[str, Value]:
        return stage_fields(stage, amount, self._timeline.next_ms)


def _id(record: Record) -> str:
    return str(record["Id"])
