from __future__ import annotations

import pytest

from pipeline.settings import Relay, Secret, Settings, SettingsError
from pipeline.signing import new_secret
from workers.relay import service

URL = "PENSTOCK_RELAY__WEBHOOK_URL"
SECRET = "PENSTOCK_RELAY__WEBHOOK_SECRET"


@pytest.mark.parametrize(
    ("url", "secret", "told"),
    [
        ("http://target.example/", "not base64!", f"{SECRET}: "),
        ("http://target.example/", "", f"{SECRET} is not set"),
        ("", new_secret(), f"{URL} is not set"),
        ("target.example", new_secret(), f"{URL}: "),
        ("ftp://target.example/", new_secret(), f"{URL}: "),
        ("http://target.example:port/", new_secret(), f"{URL}: "),
    ],
    ids=["bad secret", "no secret", "no url", "no scheme", "another scheme", "no port"],
)
async def test_a_target_that_cannot_be_one_stops_the_relay_at_its_start(
    url: str, secret: str, told: str
) -> None:
    settings = Settings(relay=Relay(webhook_url=url, webhook_secret=Secret(secret)))
    with pytest.raises(SettingsError, match=f"^{told}") as caught:
        await service.run(settings)
    assert not secret or secret not in str(caught.value)
