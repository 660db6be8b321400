from __future__ import annotations

import http
import json

import pytest

from ingest import problems
from ingest.problems import Problem, render


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (problems.bad_request("no"), 400),
        (problems.unauthorized("no"), 401),
        (problems.forbidden("no"), 403),
        (problems.too_large(7), 413),
        (problems.unprocessable("$.version", "required"), 422),
        (problems.too_many("slowly"), 429),
        (problems.unavailable("later"), 503),
    ],
)
def test_a_problem_is_a_document_of_rfc_9457(problem: Problem, status: int) -> None:
    response = render(problem)
    assert response.status == status
    assert response.content_type == "application/problem+json"
    assert isinstance(response.body, bytes)
    document = json.loads(response.body)
    assert document["type"] == "about:blank"
    assert document["title"] == http.HTTPStatus(status).phrase
    assert document["status"] == status
    assert document["detail"] == str(problem)


@pytest.mark.parametrize("problem", [problems.too_many("slowly"), problems.unavailable("later")])
def test_what_passes_says_when_to_come_back(problem: Problem) -> None:
    assert int(render(problem).headers["Retry-After"]) >= 1


def test_what_does_not_pass_says_no_time() -> None:
    assert "Retry-After" not in render(problems.bad_request("no")).headers


def test_a_mistake_in_the_body_has_its_place() -> None:
    body = render(problems.unprocessable("$.changes[3].new.Id", "required")).body
    assert isinstance(body, bytes)
    document = json.loads(body)
    assert document["place"] == "$.changes[3].new.Id"
    assert document["detail"] == "$.changes[3].new.Id: required"


def test_a_problem_of_no_place_names_none() -> None:
    body = render(problems.bad_request("no")).body
    assert isinstance(body, bytes)
    assert "place" not in json.loads(body)
