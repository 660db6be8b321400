"""Blobs, encodings, digests. [apex_classes_restful_crypto]"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.values import ApexThrown

if TYPE_CHECKING:
    from tests.unit.apex_runtime.conftest import Apex


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("EncodingUtil.base64Encode(Blob.valueOf('é'))", "w6k="),
        ("EncodingUtil.base64Decode('w6k=').toString()", "é"),
        ("EncodingUtil.convertToHex(Blob.valueOf('az'))", "617a"),
        ("EncodingUtil.urlEncode('a b&é~', 'UTF-8')", "a+b%26%C3%A9%7E"),
        ("Blob.valueOf('é').size()", 2),
        (
            "EncodingUtil.convertToHex(Crypto.generateDigest('SHA-256', Blob.valueOf('abc')))",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            # RFC 4231, test case 2
            (
                "EncodingUtil.convertToHex(Crypto.generateMac('hmacSHA256',"
                " Blob.valueOf('what do ya want for nothing?'), Blob.valueOf('Jefe')))"
            ),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
    ],
)
def test_encodings(apex: Apex, expression: str, expected: object) -> None:
    assert apex.value(expression) == expected


def test_what_is_no_text_or_base64_throws(apex: Apex) -> None:
    with pytest.raises(ApexThrown, match="StringException"):
        apex.value("EncodingUtil.convertFromHex('ff').toString()")
    with pytest.raises(ApexThrown, match="InvalidParameterValueException"):
        apex.value("EncodingUtil.base64Decode('***')")


def test_uuids_are_random_and_compare_by_value(apex: Apex) -> None:
    made = apex.value("UUID.randomUUID().toString()")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", str(made))
    assert apex.value(f"UUID.fromString('{made!s}') == UUID.fromString('{made!s}')") is True
    assert apex.value("UUID.randomUUID() == UUID.randomUUID()") is False
