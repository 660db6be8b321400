from __future__ import annotations

from workers.enrollments.fire import idempotency_key

KEY = ("00D5g000004XyzAEAS", "nurture", "ana@example.com")


def test_a_generation_has_one_key_for_ever() -> None:
    # Targets remember keys: another way to make them would deliver everything again.
    assert idempotency_key(KEY, 1) == "enr_85561c2bcf3627a91a776106a5814fa5b8bd3523"


def test_each_generation_and_each_recipient_has_a_key_of_its_own() -> None:
    others = [(*KEY[:2], "bo@example.com"), (KEY[0], "welcome", KEY[2]), ("other", *KEY[1:])]
    keys = {idempotency_key(KEY, generation) for generation in (1, 2)}
    keys |= {idempotency_key(key, 1) for key in others}
    assert len(keys) == 5
