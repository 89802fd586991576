"""schemathesis over a hand-written OpenAPI document: whatever comes in, the answer is one that the document knows,
never a 5xx but 501, always SCIM's content type and, for errors, SCIM's body with the status as text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.scim import ScimClient

DOCUMENT = Path(__file__).with_name("scim_openapi.yaml")
CHECKS = [
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
EXAMPLES = {"sqlite": 12, "postgresql": 4}


def with_document(app: Flask) -> Callable[..., Iterable[bytes]]:
    """The application, and the document at an address that the product does not have."""

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/openapi.yaml":
            start_response("200 OK", [("Content-Type", "application/yaml")])
            return [DOCUMENT.read_bytes()]
        return app(environ, start_response)

    return serve


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "unfitting"])
def test_every_answer_is_one_that_the_document_knows(
    app: Flask, scim: ScimClient, request: pytest.FixtureRequest, mode: GenerationMode
) -> None:
    many = EXAMPLES[request.node.callspec.params["database"]]
    schema = schemathesis.openapi.from_wsgi("/openapi.yaml", with_document(app))
    headers = {"Authorization": f"Bearer {scim.secret}"}
    user, group = scim.user("bjensen"), scim.group("Tour Guides")
    turns = cycle((True, True, False))
    seen: set[int] = set()

    def check(case: Case) -> None:
        if "id" in case.path_parameters and next(turns):
            kind = "Users" if "/Users" in case.path else "Groups"
            listed = scim.get(f"/{kind}", count=1)["Resources"] or [user if kind == "Users" else group]
            case.path_parameters["id"] = listed[0]["id"]
        response = case.call(headers=headers)
        seen.add(response.status_code)
        if response.status_code != 501:
            case.validate_response(response, checks=[*CHECKS, not_a_server_error])
        if response.status_code >= 400:
            assert response.headers["content-type"] == ["application/scim+json"]
            assert response.json()["status"] == str(response.status_code)

    for result in schema.get_all_operations():
        strategy = result.ok().as_strategy(generation_mode=mode)
        bounded = settings(
            max_examples=many,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        bounded(given(case=strategy)(check))()
    assert seen >= {200, 204, 400, 404}
