"""No secret survives on its way into the SCIM log, wherever in a body it stands."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scim.redaction import redacted, without_secrets

SECRET = "S3CR3T-v4lue"
URN = "urn:ietf:params:scim:schemas:core:2.0:User"

words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
plain_names = st.sampled_from(["userName", "emails", "name", "members", "Operations", "data", URN, "urn:a:b:2.0:User"])
stems = st.sampled_from(
    ["password", "currentPassword", "clientSecret", "secret", "apiToken", "access_token", "Authorization", "credential",
     "userCredentials", "privateKey", "api-key", "x509Certificates"]
)  # fmt: skip
cases = st.sampled_from([str, str.upper, str.lower, str.title])
prefixes = st.sampled_from(["", f"{URN}:", "urn:okta:acme:1.0:user:custom:", "name."])
suffixes = st.sampled_from(["", ".value", '[type eq "work"].value', '[value eq "urn:x:y"].value'])
ops = st.sampled_from(["add", "Replace", "remove"])


@st.composite
def names(draw: st.DrawFn) -> str:
    return draw(prefixes) + draw(cases)(draw(stems)) + draw(suffixes)


secrets = st.sampled_from(
    [
        SECRET,
        [SECRET],
        {"value": SECRET},
        [{"value": SECRET, "primary": True}],
        {"a": [{"b": SECRET}]},
        f"Bearer {SECRET}",
    ]
)
scalars = st.none() | st.booleans() | st.integers() | words


@st.composite
def hiding(draw: st.DrawFn) -> Any:
    """An object with the secret in it, in one of the ways of SCIM."""
    name, secret = draw(names()), draw(secrets)
    operation = {draw(cases)("op"): draw(ops)}
    path, value = draw(cases)("path"), draw(cases)("value")
    return draw(
        st.sampled_from(
            [
                {name: secret},
                operation | {path: name, value: secret},
                operation | {value: {name: secret}},
                operation | {path: f'{name.split("[")[0]}[value eq "{SECRET}"].type', value: "x"},
                operation | {path: f'userName eq "a" and {name.split("[")[0]} eq "{SECRET}"'},
                {"filter": f'{name.split("[")[0]} eq "{SECRET}"'},
                {"method": "POST", "path": "/Users", "bulkId": "1", "data": {name: secret}},
                {
                    "method": "PATCH",
                    "path": "/Users/1",
                    "data": {"Operations": [operation | {path: name, value: secret}]},
                },
                {"value": json.dumps({name: secret})},
                {"name": name, "value": secret},
                {"note": f"Authorization: Bearer {SECRET}"},
            ]
        )
    )


bodies = st.recursive(
    hiding(),
    lambda inner: (
        st.lists(inner | scalars, min_size=1, max_size=3)
        | st.builds(
            lambda key, value, rest: rest | {key: value},
            plain_names,
            inner,
            st.dictionaries(words, scalars, max_size=2),
        )
    ),
    max_leaves=6,
)


@given(bodies)
def test_no_secret_survives(body: Any) -> None:
    assert SECRET not in redacted(json.dumps(body).encode(), "application/scim+json")
    assert SECRET not in redacted(json.dumps(body, ensure_ascii=False, indent=1).encode(), "")


@given(names(), st.sampled_from(["eq", "Ne", "sw"]))
def test_no_secret_survives_in_a_path(name: str, op: str) -> None:
    bare = name.split("[")[0]
    for text in (f'/scim/v2/Users?filter={bare} {op} "{SECRET}"', f"/scim/v2/Users?{bare}={SECRET}&count=1"):
        assert SECRET not in without_secrets(text)


harmless = st.recursive(
    scalars.filter(lambda value: not isinstance(value, str) or value[:1].strip() not in ("{", "[")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["userName", "title", "a"]), inner, max_size=3)
    ),
)


@given(harmless)
def test_what_is_no_secret_stays_as_it_was(body: Any) -> None:
    assert json.loads(redacted(json.dumps(body).encode(), "")) == body


@given(st.binary(min_size=1, max_size=200))
def test_what_is_not_json_is_never_kept(body: bytes) -> None:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        told = redacted(body, "text/plain")
        assert told == f"({len(body)} bytes of text/plain, not kept: not JSON)"


def test_a_secret_that_is_assigned_in_a_text_is_cut_off() -> None:
    kept = redacted(b'{"Operations": [{"op": "replace", "value": "password=hunter2"}]}', "application/json")
    assert "hunter2" not in kept
