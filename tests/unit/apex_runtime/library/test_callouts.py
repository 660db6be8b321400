"""Http. [apex_classes_restful_http]"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.apex_runtime.values import ApexThrown

if TYPE_CHECKING:
    from tests.unit.apex_runtime.conftest import Apex


def test_a_callout_is_handed_over_and_its_answer_read(apex: Apex) -> None:
    apex.platform.answer.status_code = 429
    apex.platform.answer.headers = {"Retry-After": "60"}
    apex.platform.answer.body = "é".encode()
    body = """
    HttpRequest request = new HttpRequest();
    request.setEndpoint('https://example.com/x');
    request.setMethod('POST');
    request.setHeader('Content-Type', 'text/plain');
    request.setHeader('content-type', 'application/json');
    request.setBody('é');
    request.setCompressed(true);
    request.setTimeout(20000);
    HttpResponse response = new Http().send(request);
    System.debug(response.getStatusCode() + response.getStatus() + response.getBody());
    System.debug(response.getHeader('retry-after') + response.getHeaderKeys() + request.getBody());
    """
    assert apex.run(body) == ["429OKé", "60(Retry-After)é"]
    ((_, sent),) = apex.platform.done
    exchange: Any = sent
    assert (exchange.endpoint, exchange.method) == ("https://example.com/x", "POST")
    assert exchange.headers == {"content-type": "application/json"}
    assert (exchange.body, exchange.compressed, exchange.timeout_ms) == ("é".encode(), True, 20000)


@pytest.mark.parametrize(
    "body",
    ["new Http().send(new HttpRequest());", "new HttpRequest().setTimeout(120001);"],
)
def test_an_incomplete_request_is_refused(apex: Apex, body: str) -> None:
    with pytest.raises(ApexThrown, match="CalloutException"):
        apex.run(body)


def test_a_mock_is_set_and_called_by_the_platform(apex: Apex) -> None:
    # Guide page apex_classes_restful_http_testing_httpcalloutmock
    source = """
    @isTest
    public class Mock implements HttpCalloutMock {
        public HttpResponse respond(HttpRequest request) {
            HttpResponse response = new HttpResponse();
            response.setStatusCode(202);
            return response;
        }
    }
    """
    session = apex.session(source)
    session.anonymous("Test.setMock(HttpCalloutMock.class, new Mock());")
    ((_, mock),) = apex.platform.done
    made: Any = mock
    assert session.call(made, "respond", [None]).fields["statusCode"] == 202  # type: ignore[union-attr]  # an HttpResponse
