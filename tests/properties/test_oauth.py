"""Whatever is sent to the token endpoint: a refusal in the words of RFC 6749, never a fault of ours."""

from __future__ import annotations

import base64

import pytest
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

FORM = "application/x-www-form-urlencoded"
ERRORS = {"invalid_request", "invalid_client", "unsupported_grant_type", "invalid_scope"}
ODD = st.binary(max_size=40) | st.lists(st.sampled_from([b"%", b":", b"=", b"&", b"+", b"\x00", b"\xc3", b"a"])).map(
    b"".join
)
HEADERS = ODD.map(lambda raw: "Basic " + base64.b64encode(raw).decode()) | ODD.map(
    lambda raw: "Basic " + "".join(char for char in raw.decode("latin-1") if char.isprintable())
)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=st.none() | HEADERS, form=ODD, start=st.sampled_from([b"", b"grant_type=client_credentials&"]))
@example(header="Basic \u00c3", form=b"", start=b"")
def test_what_is_sent_at_random_is_refused(app: Flask, header: str | None, form: bytes, start: bytes) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = app.test_client().post("/oauth/token", data=start + form, headers=headers, content_type=FORM)
    assert answer.status_code in (400, 401)
    assert answer.get_json()["error"] in ERRORS
