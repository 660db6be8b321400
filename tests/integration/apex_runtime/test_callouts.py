"""Callouts of Apex over real HTTP, under the platform's rules."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.org.callouts import Answer, Fault
from tests.apex_runtime.org.org import Org
from tests.apex_runtime.parse import parser_path
from tests.apex_runtime.values import ApexThrown, LimitReached

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    parser_path() is None, reason="Apex's parser is not installed: npm ci in apex/"
)

SENDER = """
public class Sender implements Queueable, Database.AllowsCallouts {
    public void execute(QueueableContext c) { send('x', false); }
    public static HttpResponse send(String body, Boolean compressed) {
        HttpRequest r = new HttpRequest();
        r.setEndpoint('https://ingest.example/v1?a=b');
        r.setMethod('POST');
        r.setBody(body);
        r.setCompressed(compressed);
        r.setHeader('webhook-id', 'm1');
        r.setTimeout(2000);
        return new Http().send(r);
    }
}
"""
WITHOUT_CALLOUTS = SENDER.replace("Sender", "Mute").replace(", Database.AllowsCallouts", "")
TRIGGER = "trigger T on Task (before insert) { Sender.send('x', false); }"


class Server(ThreadingHTTPServer):
    """Notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers 202 to everything."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers), body))
        self.send_response(202, "Accepted")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()


@pytest.fixture
def org(tmp_path: Path, server: Server) -> Org:
    (tmp_path / "Sender.cls").write_text(SENDER)
    (tmp_path / "Mute.cls").write_text(WITHOUT_CALLOUTS)
    (tmp_path / "T.trigger").write_text(TRIGGER)
    made = Org.deploy(tmp_path)
    made.add_remote_site("https://ingest.example")
    made.route("https://ingest.example", server.url)
    return made


def send(org: Org, before: str = "", after: str = "") -> None:
    with org.transaction() as tx:
        tx.anonymous(f"{before} HttpResponse r = Sender.send('{{}}', false); {after}")


def test_a_callout_carries_the_platforms_headers(org: Org, server: Server) -> None:
    # HttpRequest
    send(
        org,
        after="System.assertEquals(202, r.getStatusCode());System.assertEquals('ok', r.getBody());",
    )
    path, headers, body = server.asked[0]
    assert (path, body) == ("/v1?a=b", b"{}")
    assert headers["User-Agent"] == "SFDC-Callout/65.0"
    assert headers["SFDC_STACK_DEPTH"] == "1"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert headers["webhook-id"] == "m1"
    assert (org.callouts[0].status_code, org.callouts[0].body) == (202, b"{}")


def test_a_compressed_body_is_sent_as_gzip(org: Org, server: Server) -> None:
    # HttpRequest.setCompressed
    with org.transaction() as tx:
        tx.anonymous("Sender.send('é'.repeat(50), true);")
    _, headers, body = server.asked[0]
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body).decode() == "é" * 50


@pytest.mark.parametrize(
    "before",
    [
        "insert new Lead(LastName = 'x', Company = 'y');",
        "System.enqueueJob(new Sender());",
        "Savepoint sp = Database.setSavepoint();",
    ],
)
def test_no_callout_goes_out_after_uncommitted_work(org: Org, server: Server, before: str) -> None:
    # Guide page apex_callouts_timeouts: "You have uncommitted work pending"
    with pytest.raises(ApexThrown, match="uncommitted work pending"):
        send(org, before)
    assert server.asked == []


def test_no_callout_goes_out_of_a_trigger(org: Org) -> None:
    with pytest.raises(ApexThrown, match="Callout from triggers"), org.transaction() as tx:
        tx.insert("Task", {"Subject": "x"})


def test_a_queueable_calls_out_only_where_it_says_so(org: Org, server: Server) -> None:
    # Guide page apex_queueing_jobs: only with Database.AllowsCallouts
    with org.transaction() as tx:
        tx.anonymous("System.enqueueJob(new Mute());")
    with org.transaction() as tx:
        tx.anonymous("System.enqueueJob(new Sender());")
    org.run_until_idle()
    assert "Callout not allowed" in str(org.failures[0].error)
    assert len(server.asked) == 1


def test_an_endpoint_without_remote_site_is_refused(org: Org) -> None:
    # Guide page apex_callouts_remote_site_settings
    org.network.remote_sites.clear()
    with pytest.raises(ApexThrown, match=r"Unauthorized endpoint.*endpoint = https://ingest"):
        send(org)


def test_a_lost_answer_looks_like_a_timeout_and_takes_its_time(org: Org, server: Server) -> None:
    org.fault(Fault(drop_answer=True))
    before_ms = org.clock.now_ms
    with pytest.raises(ApexThrown, match="Read timed out"):
        send(org)
    assert org.clock.now_ms - before_ms >= 2000
    assert len(server.asked) == 1
    assert org.callouts[0].status_code is None


def test_a_slow_answer_in_time_passes_virtual_time(org: Org) -> None:
    org.fault(Fault(delay_ms=1500))
    before_ms = org.clock.now_ms
    send(org)
    assert 1500 <= org.clock.now_ms - before_ms < 3500
    org.fault(Fault(delay_ms=2100))
    with pytest.raises(ApexThrown, match="Read timed out"):
        send(org)


def test_a_fault_may_answer_in_the_servers_place(org: Org, server: Server) -> None:
    org.fault(Fault(answer=Answer(429, "Too Many", {"Retry-After": "60"}, b"")))
    send(
        org,
        after="System.assertEquals(429, r.getStatusCode());"
        "System.assertEquals('60', r.getHeader('Retry-After'));",
    )
    assert server.asked == []


def test_another_transaction_may_commit_while_a_callout_is_under_way(org: Org) -> None:
    def edit() -> None:
        with org.transaction() as tx:
            tx.insert("Lead", {"LastName": "x", "Company": "y"})

    org.fault(Fault(before=edit))
    send(org, after="System.assertEquals(1, [SELECT COUNT() FROM Lead]);")


def test_callouts_together_take_at_most_two_minutes(org: Org) -> None:
    # Guide page apex_callouts_timeouts: 120 s cumulative
    org.fault(Fault(answer=Answer(202, "Accepted", {}, b""), delay_ms=1900), times=70)
    before_ms = org.clock.now_ms
    with pytest.raises(ApexThrown, match="Read timed out"), org.transaction() as tx:
        tx.anonymous("for (Integer i = 0; i < 70; i++) { Sender.send('x', false); }")
    assert 120_000 <= org.clock.now_ms - before_ms <= 120_010


def test_the_hundred_and_first_callout_ends_the_transaction(org: Org, server: Server) -> None:
    # Guide page apex_gov_limits
    with pytest.raises(LimitReached, match="Too many callouts: 101"), org.transaction() as tx:
        tx.anonymous("for (Integer i = 0; i < 101; i++) { Sender.send('x', false); }")
    assert len(server.asked) == 100


def test_a_server_that_is_away_refuses_the_connection(org: Org) -> None:
    org.route("https://ingest.example", "http://127.0.0.1:1")
    with pytest.raises(ApexThrown, match="Connection refused"):
        send(org)


def test_a_body_over_the_limit_is_refused(org: Org) -> None:
    # HttpRequest.setBody: 6 MB synchronous, 12 MB asynchronous; the heap holds it too
    with pytest.raises((ApexThrown, LimitReached)), org.transaction() as tx:
        tx.anonymous("Sender.send('x'.repeat(6000001), false);")
