"""Who plays in the sample org: invented people, places and companies, read from `cast.yaml`."""

from __future__ import annotations

import functools
import itertools
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import random


class Region(msgspec.Struct, frozen=True):
    """A place and how people there are called; `given` and `family` map ASCII to written form."""

    country: str
    city: str
    street: str
    postal_code: str
    phone: str
    language: str
    locale: str
    time_zone: str
    given: dict[str, str]
    family: dict[str, str]
    state: str | None = None


class Company(msgspec.Struct, frozen=True):
    """A company and the reserved domain that its people write from."""

    name: str
    domain: str
    industry: str


class Person(msgspec.Struct, frozen=True):
    """Somebody of a region; `mailbox` is the part of the address before the @."""

    first: str
    last: str
    mailbox: str
    phone: str
    region: Region

    @property
    def name(self) -> str:
        """The compound Name field as Salesforce joins it."""
        return f"{self.first} {self.last}"


class _Script(msgspec.Struct, frozen=True):
    regions: list[Region]
    companies: list[Company]
    titles: list[str]
    remarks: list[str]


@functools.cache
def _script() -> _Script:
    text = files("ops.sample").joinpath("cast.yaml").read_bytes()
    return msgspec.yaml.decode(text, type=_Script)


class Casting:
    """Casts people and companies: regions and companies come round in a shuffled order.

    No two people share a mailbox, however many are cast: namesakes are numbered.
    """

    def __init__(self, stream: random.Random) -> None:
        script = _script()
        self._stream = stream
        self._regions = itertools.cycle(stream.sample(script.regions, len(script.regions)))
        self._companies = itertools.cycle(stream.sample(script.companies, len(script.companies)))
        self._namesakes: dict[str, int] = {}

    def person(self) -> Person:
        """Cast the next person, from the next region."""
        region = next(self._regions)
        given, first = self._stream.choice(list(region.given.items()))
        family, last = self._stream.choice(list(region.family.items()))
        name = f"{given}.{family}"
        count = self._namesakes[name] = self._namesakes.get(name, 0) + 1
        return Person(
            first=first,
            last=last,
            mailbox=name if count == 1 else f"{name}{count}",
            phone=f"{region.phone}{self._stream.randrange(100):02}",
            region=region,
        )

    def company(self) -> Company:
        """Cast the next company."""
        return next(self._companies)

    def title(self) -> str:
        """Pick a job title."""
        return self._stream.choice(_script().titles)

    def description(self, size_bytes: int = 0) -> str:
        """Write remarks on lines of their own: at least two, and until `size_bytes` are full."""
        lines = self._stream.sample(_script().remarks, 2)
        while sum(len(line.encode()) + 4 for line in lines) < size_bytes:
            lines.append(self._stream.choice(_script().remarks))
        return "\r\n".join(lines)
