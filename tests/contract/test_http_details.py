"""HTTP semantics of the API: conditional requests, methods, query numbers, links between pages."""

from __future__ import annotations

import pytest

from tests.integration.helpers import finished, open_job, png, problem, put, submit


@pytest.mark.parametrize("form", ["{etag}", "{strong}", '"other", {etag}', '{etag}, W/"other"', "*"])
def test_if_none_match_is_compared_weakly_and_may_be_a_list(http, form):
    address = f"/v1/jobs/{open_job(http)}"
    etag = http.get(address).headers["ETag"]
    value = form.format(etag=etag, strong=etag.removeprefix("W/"))
    answer = http.get(address, headers={"If-None-Match": value})
    assert answer.status_code == 304 and answer.headers["ETag"] == etag and answer.headers["Retry-After"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/jobs", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("DELETE", "/v1/jobs", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("PATCH", "/v1/models/aliases/champion", {"PUT", "OPTIONS"}),
        ("POST", "/openapi.json", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_405_lists_the_allowed_methods(http, method, path, allowed):
    answer = http.request(method, path)
    problem(answer, 405)
    assert set(answer.headers["Allow"].split(", ")) == allowed
    assert set(http.options(path).headers["Allow"].split(", ")) == allowed


def test_head_is_get_without_its_body(http):
    for path in ("/v1/jobs", "/v1/queues", f"/v1/jobs/{open_job(http)}", "/openapi.json"):
        answer = http.head(path)
        assert answer.status_code == 200 and answer.content == b""
        assert answer.headers["Content-Type"] == "application/json" and int(answer.headers["Content-Length"]) > 2


@pytest.mark.parametrize("number", ["1_0", " 10", "+10", "10.5", "٣", "0x10", "", "1e400", "nan", "9" * 400])
def test_numbers_are_those_of_json(http, number):
    assert problem(http.get("/v1/jobs", params={"limit": number}), 422)["errors"][0]["pointer"] == "limit"
    answer = http.get(f"/v1/jobs/{open_job(http)}/results", params={"max_score": number})
    assert problem(answer, 422)["errors"][0]["pointer"] == "max_score"


def test_results_say_when_there_is_more_already(http):
    job = open_job(http)
    for key in ("a", "b", "c"):
        put(http, job, key, png())
    http.post(f"/v1/jobs/{job}/seal")
    finished(http, job)
    first = http.get(f"/v1/jobs/{job}/results", params={"limit": 2, "state": "succeeded"})
    assert not first.json()["done"]
    second = http.get(first.links["next"]["url"])
    assert second.json()["done"] and len(second.json()["data"]) == 1 and "next" not in second.links


def test_changing_resources_are_not_cached(http):
    job = submit(http, ("a.png", png()))
    for path in ("/v1/jobs", f"/v1/jobs/{job}", f"/v1/jobs/{job}/results", "/v1/queues"):
        assert http.get(path).headers["Cache-Control"] == "private, no-cache"


def test_a_problem_names_its_path_as_a_uri(http):
    problem(http.get("/v1/jobs/käfer/results"), 404)


@pytest.mark.parametrize("call", ["POST /cancel", "POST /seal", "DELETE ", "PUT /items/a"])
def test_a_call_without_parameters_refuses_them(http, call):
    job = open_job(http)
    method, path = call.split(" ")
    answer = http.request(method, f"/v1/jobs/{job}{path}", params={"wait": 5}, content=png())
    assert problem(answer, 422)["errors"][0]["pointer"] == "wait"
    assert http.get(f"/v1/jobs/{job}").json()["counts"]["total"] == 0
