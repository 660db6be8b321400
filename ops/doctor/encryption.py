"""Checks of what travels between machines: encrypted, and to nobody but the server that is meant.

They look at the URLs alone, so that they can be made before there is a server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.doctor.finding import NeedsSetting, Verdict, fine, wrong
from pipeline.settings.tls import is_verified_broker, is_verified_database, remote_hosts

if TYPE_CHECKING:
    from ops.doctor.subject import Subject
    from pipeline.settings import Secret


async def broker(subject: Subject) -> Verdict:
    """See that passwords and changes go to RabbitMQ alone."""
    settings = subject.settings.broker
    for name, url, is_verified in (
        ("BROKER__URL", settings.url, is_verified_broker(settings.url)),
        (
            "BROKER__MANAGEMENT_URL",
            settings.management_url,
            settings.management_url.value.startswith("https://"),
        ),
    ):
        if (hosts := remote_hosts(url)) and not is_verified:
            scheme = "amqps://, without no_verify_ssl" if name == "BROKER__URL" else "https://"
            return wrong(
                f"what goes to {', '.join(hosts)} can be read, or taken, on the way",
                f"begin PENSTOCK_{name} with {scheme}; for a CA of your own set"
                " PENSTOCK_BROKER__CA_FILE",
            )
    return _fine("PENSTOCK_BROKER__URL", settings.url)


async def database(subject: Subject) -> Verdict:
    """See that passwords and records go to PostgreSQL alone."""
    url = subject.settings.database.url
    if (hosts := remote_hosts(url)) and not is_verified_database(url):
        return wrong(
            f"what goes to {', '.join(hosts)} can be read, or taken, on the way",
            "set PENSTOCK_DATABASE__CA_FILE to the CA's file: nothing goes unencrypted then",
        )
    return _fine("PENSTOCK_DATABASE__URL", url)


def _fine(variable: str, url: Secret) -> Verdict:
    if not url:
        raise NeedsSetting(variable)
    where = remote_hosts(url)
    return fine("encrypted, and the server is verified" if where else "nothing leaves this machine")
