"""Addresses and domains in the one form in which the suppression list compares them."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import idna

_ENDS: Final = re.compile(r"^[\s.]+|[\s.]+$")


def canonical_domain(domain: str) -> str:
    """Return a domain as DNS has it: punycode, lower case, no dot or blank at either end.

    What is no domain name by IDNA 2008 stays as it is, but for its case.
    """
    domain = _ENDS.sub("", domain).lower()
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return domain


def canonical_address(address: str) -> str:
    """Return an address in lower case, composed (NFC), with its domain as DNS has it."""
    local, _, domain = address.strip().rpartition("@")
    return f"{unicodedata.normalize('NFC', local).lower()}@{canonical_domain(domain)}"


def suppressible(recipient: str) -> list[str]:
    """Return whatever of a recipient may be on the list: the address, its domain and all above."""
    address = canonical_address(recipient)
    domain = address.rpartition("@")[2]
    labels = domain.split(".")
    return [address, *(".".join(labels[start:]) for start in range(len(labels)))]
