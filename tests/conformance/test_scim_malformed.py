"""What no generator of fitting and unfitting JSON makes: bytes that are no text, depth, length, numbers, odd requests.

Each is answered with a SCIM error of the 400s or simply understood, and the service goes on.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.support.scim import ScimClient
from tests.support.scim_examples import ERROR


def ask(scim: ScimClient, method: str, path: str, body: bytes = b"", **headers: str) -> int:
    """The status; an error is a SCIM error."""
    response = scim.client.open(
        f"/scim/v2{path}",
        method=method,
        data=body,
        headers={
            "Authorization": f"Bearer {scim.secret}",
            **({"Content-Type": "application/scim+json"} | {k.replace("_", "-"): v for k, v in headers.items()}),
        },
    )
    if response.status_code >= 400:
        error = response.get_json(force=True)
        assert response.content_type == "application/scim+json"
        assert (error["schemas"], error["status"]) == ([ERROR], str(response.status_code))
        assert error["detail"]
    assert response.status_code < 500, f"{method} {path[:80]} {body[:80]!r}"
    return response.status_code


BODIES: dict[str, bytes] = {
    "no UTF-8": b'{"userName": "\xff\xfe"}',
    "half a UTF-8 sequence": b'{"userName": "a\xc3"}',
    "an overlong sequence": b'{"userName": "\xc0\xaf"}',
    "a raw NUL": b'{"userName": "a\x00b"}',
    "a NUL by escape": b'{"userName": "a\\u0000b"}',
    "half of a surrogate pair": b'{"userName": "ann", "title": "\\ud800"}',
    "a control character": b'{"userName": "ann", "title": "a\nb"}',
    "many lists": b'{"userName": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "many objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a number of 5000 digits": b'{"userName": ' + b"9" * 5000 + b"}",
    "no number": b'{"userName": "ann", "title": Infinity}',
    "an exponent out of bounds": b'{"userName": "ann", "emails": [{"primary": 1e999}]}',
    "two documents": b'{"userName": "ann"} {"userName": "bob"}',
    "a form": b"userName=ann",
    "XML": b"<user/>",
    "nothing": b"",
}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_bodies_that_are_none(scim: ScimClient) -> None:
    user, group = f"/Users/{scim.user('bob')['id']}", f"/Groups/{scim.group('G')['id']}"
    for name, body in BODIES.items():
        for method, path in (
            *(("POST", "/Users"), ("POST", "/Groups"), ("POST", "/Bulk"), ("PUT", user), ("PATCH", user)),
            *(("PUT", group), ("PATCH", group)),
        ):
            assert 400 <= ask(scim, method, path, body) < 500, name
    assert [found["userName"] for found in scim.get("/Users")["Resources"]] == ["bob"]


def test_bodies_that_are_odd_but_understood(scim: ScimClient) -> None:
    """A byte order mark; a name twice (the last counts, as in every JSON library); depth in what is dropped anyway."""
    for number, body in enumerate(
        (
            b'\xef\xbb\xbf{"userName": "u0"}',
            b'{"userName": "first", "userName": "u1"}',
            b'{"userName": "first", "USERNAME": "u2"}',
            b'{"userName": "u3", "unknown": ' + b"[" * 500 + b"]" * 500 + b"}",
            b'{"userName": "u4", "title": 1e5, "nickName": 123456789012345678901234567890}',
        )
    ):
        assert ask(scim, "POST", "/Users", body) == 201
        assert scim.found("/Users", f'userName eq "u{number}"')
    found = scim.found("/Users", 'userName eq "u4"')[0]
    assert (found["title"], found["nickName"]) == ("100000.0", "123456789012345678901234567890")


def test_content_types(scim: ScimClient) -> None:
    for number, (content_type, status) in enumerate(
        (
            ("application/scim+json", 201),
            ("application/scim+json; charset=utf-8", 201),
            ("application/json;charset=UTF-8", 201),
            ("APPLICATION/JSON", 201),
            ("", 201),
            ("text/plain", 415),
            ("application/xml", 415),
            ("application/x-www-form-urlencoded", 415),
            ("multipart/form-data; boundary=x", 415),
            ("nonsense", 415),
        )
    ):
        body = b'{"userName": "u%d"}' % number
        assert ask(scim, "POST", "/Users", body, Content_Type=content_type) == status, content_type


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_addresses_headers_and_queries(scim: ScimClient) -> None:
    user = f"/Users/{scim.user('ann')['id']}"
    assert ask(scim, "GET", user, b'{"a": 1}') == 200  # a body on GET means nothing
    assert ask(scim, "DELETE", "/Users/u-000000000000", b"{") == 404
    for path in (
        *("/Users/" + "x" * 20_000, "/Schemas/" + "x" * 20_000, "/Users/%00", "/Users/%FF%FE", "/Users/..%2F..%2Fetc"),
        *("/Users/%F0%9F%98%80", "/Users//", "/users", "/Users/.search", "//Users", "/Users/a/b/c", "/", ""),
    ):
        assert ask(scim, "GET", path) in (200, 308, 400, 404, 405), path[:60]
    odd: list[Any] = ["\x00", "\xff", "é", "😀", '"', "\\", "%", "(" * 5000, "a" * 50_000, "userName eq \\", "[]", "."]
    for value in odd:
        for name in ("filter", "sortBy", "sortOrder", "attributes", "excludedAttributes", "count", "cursor"):
            assert ask(scim, "GET", f"/Users?{name}={quote(value)}") in (200, 400), (name, value[:20])
    assert ask(scim, "GET", "/Users?filter=%FF%FE&count=%ED%A0%80") == 400
    for header in ("If-Match", "If-None-Match", "Accept", "Accept-Charset", "X-Forwarded-For"):
        for value in ("", ",", "W/", '"', "x" * 5000, "é"):
            assert ask(scim, "GET", user, **{header.replace("-", "_"): value}) == 200
    assert ask(scim, "PUT", user, b'{"userName": "ann"}', If_Match=",,") == 412
