from __future__ import annotations

import base64

import pytest

from pipeline.key_ring import CannotOpen, KeyRing, new_key, parse_keys
from pipeline.settings import SettingsError, load
from pipeline.signing import new_secret

ORG, OTHER = "00D5g000004XyzAEAS", "00D5g000004OthrEAS"
OLD, NEW = new_key(), new_key()
SECRET = new_secret()


def test_what_is_sealed_shows_nothing_and_opens_for_its_org_alone() -> None:
    ring = parse_keys(NEW)
    stored = ring.seal(ORG, SECRET)
    assert SECRET not in stored
    assert ring.seal(ORG, SECRET) != stored
    assert ring.open(ORG, stored) == SECRET
    with pytest.raises(CannotOpen, match="another org's"):
        ring.open(OTHER, stored)


def test_an_old_key_opens_until_it_is_taken_off_and_the_newest_seals() -> None:
    stored = parse_keys(OLD).seal(ORG, SECRET)
    both = parse_keys(f"{NEW}, {OLD}")
    assert both.open(ORG, stored) == SECRET
    assert not both.is_current(stored)
    anew = both.seal(ORG, SECRET)
    assert both.is_current(anew)
    assert parse_keys(NEW).open(ORG, anew) == SECRET
    with pytest.raises(CannotOpen, match=OLD.partition(":")[0]):
        parse_keys(NEW).open(ORG, stored)


def test_any_altered_character_is_noticed() -> None:
    ring = parse_keys(NEW)
    stored = ring.seal(ORG, SECRET)
    head, _, content = stored.rpartition(":")
    whole = base64.b64decode(content)
    for place in range(len(whole)):
        altered = bytearray(whole)
        altered[place] ^= 1
        with pytest.raises(CannotOpen):
            ring.open(ORG, f"{head}:{base64.b64encode(altered).decode()}")
    for text in (f"{head}:", f"{head}:!", stored[:-8], head, "sealed:"):
        with pytest.raises(CannotOpen):
            ring.open(ORG, text)


def test_without_keys_texts_stay_plain_and_with_them_plain_ones_are_still_read() -> None:
    assert KeyRing().seal(ORG, SECRET) == SECRET
    assert parse_keys(NEW).open(ORG, SECRET) == SECRET
    assert not parse_keys(NEW).is_current(SECRET)
    assert not parse_keys("")


@pytest.mark.parametrize(
    "keys",
    [NEW.partition(":")[2], "a:c2hvcnQ=", f"{NEW},{NEW}", f"a b:{NEW.partition(':')[2]}", "a:\xe9"],
    ids=["no id", "too short", "twice", "an id with a blank", "not base64"],
)
def test_keys_that_are_none_stop_the_process_and_are_not_quoted(keys: str) -> None:
    with pytest.raises(SettingsError, match="PENSTOCK_SECRETS__KEYS: key ") as error:
        load({"PENSTOCK_SECRETS__KEYS": keys})
    assert NEW.partition(":")[2] not in str(error.value)
