"""What a tolerant credential takes and what comes of it, row by row; with which scimType a strict one refuses it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask

from tests.support.make import Make
from tests.support.scim import ENTERPRISE, PATCH, ScimClient, make_secret

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
FOREIGN = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
SYNTAX, VALUE, FILTER, PATH, TARGET = "invalidSyntax", "invalidValue", "invalidFilter", "invalidPath", "noTarget"


@dataclass(frozen=True)
class Row:
    """`shows`: part of what a tolerant credential answers, or of what a read gives where the answer is empty."""

    name: str
    method: str
    path: str
    body: Any
    shows: Mapping[str, Any]
    refused: str
    query: Mapping[str, Any] = field(default_factory=dict)
    content_type: str = "application/scim+json"
    status: int = 400


def new(name: str, body: dict[str, Any], shows: Mapping[str, Any], refused: str) -> Row:
    """A POST of a user; without `schemas` in `body` it has the right ones."""
    return Row(name, "POST", "/Users", {"schemas": [USER], "userName": "new"} | body, shows, refused)


def patch(
    name: str, operation: dict[str, Any], shows: Mapping[str, Any], refused: str, path: str = "/Users/@ann"
) -> Row:
    return Row(name, "PATCH", path, {"schemas": [PATCH], "Operations": [operation]}, shows, refused)


def patch_group(name: str, operation: dict[str, Any], members: list[str], refused: str) -> Row:
    return patch(name, operation, {"members": members}, refused, "/Groups/@team")


def find(name: str, filter: str, total: int, *, refused: str = FILTER, **query: Any) -> Row:
    query = {"filter": filter} | query if filter else query
    return Row(name, "GET", "/Users", None, {"totalResults": total}, refused, query)


def search(name: str, body: dict[str, Any], total: int, refused: str) -> Row:
    return Row(name, "POST", "/Users/.search", body, {"totalResults": total}, refused)


def bulk(name: str, body: dict[str, Any]) -> Row:
    return Row(name, "POST", "/Bulk", body, {"Operations": ["201"]}, SYNTAX)


POST = {"method": "POST", "path": "/Users", "bulkId": "b", "data": {"schemas": [USER], "userName": "new"}}
MANAGER = f"{ENTERPRISE}:manager"

ROWS = [
    # bodies
    Row("no schemas", "POST", "/Users", {"userName": "new"}, {"userName": "new"}, SYNTAX),
    new("schemas as text", {"schemas": USER}, {"userName": "new"}, SYNTAX),
    new("schemas without the core schema", {"schemas": [ENTERPRISE]}, {"schemas": [USER]}, SYNTAX),
    new("an unknown schema", {"schemas": [USER, "urn:x"]}, {"schemas": [USER]}, SYNTAX),
    new("an extension that schemas does not name", {ENTERPRISE: {"department": "IT"}}, {"userName": "new"}, SYNTAX),
    new("the core schema's URN as a key", {USER: {"title": "T"}}, {"title": "T"}, SYNTAX),
    new("an unknown attribute", {"misspelled": 1}, {"userName": "new"}, SYNTAX),
    new("an unknown part", {"name": {"givenName": "N", "nick": "x"}}, {"name": {"givenName": "N"}}, SYNTAX),
    new("a dotted key", {"name.givenName": "N"}, {"name": {"givenName": "N"}}, SYNTAX),
    new("a URN as a key", {f"{ENTERPRISE}:department": "IT"}, {ENTERPRISE: {"department": "IT"}}, SYNTAX),
    new("an attribute of an extension without it", {"department": "IT"}, {ENTERPRISE: {"department": "IT"}}, SYNTAX),
    new(
        "an extension that is no object",
        {"schemas": [USER, ENTERPRISE], ENTERPRISE: "IT"},
        {"schemas": [USER]},
        VALUE,
    ),
    new("a boolean as text", {"active": "False"}, {"active": False}, VALUE),
    new("a number as text", {"title": 7}, {"title": "7"}, VALUE),
    new("text for a list", {"emails": "n@x.org"}, {"emails": [{"value": "n@x.org"}]}, VALUE),
    new("an object for a list", {"emails": {"value": "n@x.org"}}, {"emails": [{"value": "n@x.org"}]}, VALUE),
    new("text in a list of objects", {"emails": ["n@x.org"]}, {"emails": [{"value": "n@x.org"}]}, VALUE),
    new("null in a list", {"roles": [None, {"value": "r"}]}, {"roles": [{"value": "r"}]}, VALUE),
    new("a type that is not canonical", {"emails": [{"value": "n@x.org", "type": "main"}]}, {"userName": "new"}, VALUE),
    new("what is no base64", {"x509Certificates": [{"value": "%"}]}, {"userName": "new"}, VALUE),
    new(
        "the manager as a bare id",
        {"schemas": [USER, ENTERPRISE], ENTERPRISE: {"manager": "@bob"}},
        {ENTERPRISE: {"manager": {"value": "@bob"}}},
        VALUE,
    ),
    Row(
        "a name twice",
        "POST",
        "/Users",
        b'{"schemas": ["%s"], "userName": "a", "username": "new"}' % USER.encode(),
        {"userName": "new"},
        SYNTAX,
    ),
    Row(
        "no content type",
        "POST",
        "/Users",
        {"schemas": [USER], "userName": "new"},
        {"userName": "new"},
        "",
        content_type="",
        status=415,
    ),
    Row(
        "a foreign schema of a group",
        "POST",
        "/Groups",
        {"schemas": [GROUP, FOREIGN], "displayName": "New"},
        {"displayName": "New"},
        SYNTAX,
    ),
    Row(
        "members as bare ids",
        "POST",
        "/Groups",
        {"schemas": [GROUP], "displayName": "New", "members": ["@ann"]},
        {"members": ["@ann"]},
        VALUE,
    ),
    Row(
        "PUT with an unknown attribute",
        "PUT",
        "/Users/@ann",
        {"schemas": [USER], "userName": "ann", "x": 1},
        {"userName": "ann"},
        SYNTAX,
    ),
    # PATCH
    Row(
        "PATCH without schemas",
        "PATCH",
        "/Users/@ann",
        {"Operations": [{"op": "add", "path": "title", "value": "T"}]},
        {"title": "T"},
        SYNTAX,
    ),
    Row(
        "PATCH with another key",
        "PATCH",
        "/Users/@ann",
        {"schemas": [PATCH], "x": 1, "Operations": [{"op": "add", "path": "title", "value": "T"}]},
        {"title": "T"},
        SYNTAX,
    ),
    patch("a capitalised op", {"op": "Replace", "path": "title", "value": "T"}, {"title": "T"}, SYNTAX),
    patch(
        "another key in an operation", {"op": "add", "path": "title", "value": "T", "name": "x"}, {"title": "T"}, SYNTAX
    ),
    patch("no path", {"op": "replace", "value": {"active": False}}, {"active": False}, SYNTAX),
    patch("an empty path", {"op": "replace", "path": "", "value": {"title": "T"}}, {"title": "T"}, SYNTAX),
    patch(
        "dotted keys without path",
        {"op": "add", "value": {"name.givenName": "N"}},
        {"name": {"givenName": "N", "familyName": "A"}},
        SYNTAX,
    ),
    patch("the core schema as path", {"op": "add", "path": USER, "value": {"title": "T"}}, {"title": "T"}, SYNTAX),
    patch(
        "unknown parts of an extension",
        {"op": "add", "path": ENTERPRISE, "value": {"x": 1, "department": "IT"}},
        {ENTERPRISE: {"department": "IT"}},
        SYNTAX,
    ),
    patch(
        "an attribute of an extension without it in a path",
        {"op": "add", "path": "department", "value": "IT"},
        {ENTERPRISE: {"department": "IT"}},
        SYNTAX,
    ),
    patch(
        "a boolean as text in PATCH", {"op": "replace", "path": "active", "value": "False"}, {"active": False}, VALUE
    ),
    patch(
        "a boolean as text in a path",
        {"op": "replace", "path": 'emails[primary eq "True"].display', "value": "D"},
        {"emails": [{"value": "ann@x.org", "type": "work", "primary": True, "display": "D"}]},
        FILTER,
    ),
    patch(
        "text without quotes in a path",
        {"op": "replace", "path": "emails[type eq work].display", "value": "D"},
        {"emails": [{"value": "ann@x.org", "type": "work", "primary": True, "display": "D"}]},
        FILTER,
    ),
    patch(
        "the manager as a bare id in PATCH",
        {"op": "replace", "path": MANAGER, "value": "@bob"},
        {ENTERPRISE: {"manager": {"value": "@bob"}}},
        VALUE,
    ),
    patch(
        "a filter on one value",
        {"op": "add", "path": f'{MANAGER}[value eq "x"]', "value": {"value": "@bob"}},
        {ENTERPRISE: {"manager": {"value": "@bob"}}},
        PATH,
    ),
    patch(
        "an object for a list in PATCH",
        {"op": "replace", "path": "roles", "value": {"value": "r"}},
        {"roles": [{"value": "r"}]},
        VALUE,
    ),
    patch(
        "a list for one entry",
        {"op": "replace", "path": 'emails[type eq "work"]', "value": [{"value": "b@x.org"}]},
        {"emails": [{"type": "work", "value": "b@x.org"}]},
        VALUE,
    ),
    patch(
        "a filter that makes an entry",
        {"op": "add", "path": 'phoneNumbers[type eq "work"].value', "value": "1"},
        {"phoneNumbers": [{"type": "work", "value": "1"}]},
        TARGET,
    ),
    patch(
        "parts of entries that are not there",
        {"op": "add", "path": "phoneNumbers.value", "value": "1"},
        {"phoneNumbers": [{"value": "1"}]},
        TARGET,
    ),
    patch(
        "remove with values",
        {"op": "remove", "path": "emails", "value": [{"value": "other@x.org"}]},
        {"userName": "ann"},
        SYNTAX,
    ),
    patch_group(
        "remove of members with values",
        {"op": "remove", "path": "members", "value": [{"value": "@ann"}]},
        ["@bob"],
        SYNTAX,
    ),
    patch_group(
        "a member as a bare id", {"op": "add", "path": "members", "value": ["@eve"]}, ["@ann", "@bob", "@eve"], VALUE
    ),
    patch_group("members without path", {"op": "replace", "value": {"members": [{"value": "@eve"}]}}, ["@eve"], SYNTAX),
    # filters and lists
    find("a value after brackets", 'emails[type eq "work"].value eq "ann@x.org"', 1),
    find("text without quotes", "userName eq ann", 1),
    find("no blank before the value", 'userName eq"ann"', 1),
    find("a boolean as text in a filter", 'active eq "True"', 3),
    find("a capitalised literal", "active eq True", 3),
    find("a number for text", "userName eq 5", 0),
    find("a boolean as text in brackets", 'emails[primary eq "true"]', 1),
    find("a date without a time", 'meta.created gt "2020-01-01"', 3),
    find("an attribute of an extension without it in a filter", 'department eq "IT"', 0),
    find("sort by an attribute of an extension without it", "", 3, sortBy="department"),
    find("a sortOrder that is none", "", 3, sortBy="userName", sortOrder="Descending", refused=VALUE),
    find("an empty count", "", 3, count="", refused=VALUE),
    find("both projections", "", 3, attributes="userName", excludedAttributes="emails", refused=VALUE),
    find("a filter in a projection", "", 3, attributes='emails[type eq "work"]', refused=VALUE),
    search("a search without schemas", {"filter": 'userName eq "ann"'}, 1, SYNTAX),
    search("a search with another key", {"schemas": [SEARCH], "filters": 'userName eq "ann"'}, 3, SYNTAX),
    search("a count as text", {"schemas": [SEARCH], "count": "1"}, 3, VALUE),
    search("attributes as text", {"schemas": [SEARCH], "attributes": "userName,title"}, 3, VALUE),
    search("text without quotes in a search", {"schemas": [SEARCH], "filter": "userName eq ann"}, 1, FILTER),
    # bulk
    bulk("bulk without schemas", {"Operations": [POST]}),
    bulk("bulk with another key", {"schemas": [BULK], "x": 1, "Operations": [POST]}),
    bulk("bulk with another key in an operation", {"schemas": [BULK], "Operations": [POST | {"x": 1}]}),
    bulk("a method in small letters", {"schemas": [BULK], "Operations": [POST | {"method": "post"}]}),
]

BOTH = [
    ("/Users", 'noSuch eq "x"', FILTER),
    ("/Users", 'emails.noSuch eq "x"', FILTER),
    ("/Groups", 'userName eq "x"', FILTER),
    ("/Users", "active gt true", FILTER),
]


@dataclass
class Pushed:
    tolerant: ScimClient
    strict: ScimClient
    ids: dict[str, str]

    def sent(self, value: Any) -> Any:
        """With the ids in the place of names such as @ann."""
        if isinstance(value, bytes):
            return value
        text = json.dumps(value)
        for name, row_id in self.ids.items():
            text = text.replace(f"@{name}", row_id)
        return json.loads(text)

    def send(self, scim: ScimClient, row: Row, status: int | None) -> Any:
        path, body = self.sent(row.path), None if row.body is None else self.sent(row.body)
        wanted = {"POST": 201, "PATCH": 204 if path.startswith("/Groups") else 200}.get(row.method, 200)
        wanted = 200 if path in ("/Users/.search", "/Bulk") else wanted
        headers = {"Content-Type": row.content_type}
        return scim.send(row.method, path, body, status=status or wanted, headers=headers, **row.query)

    def everything(self) -> Any:
        return [self.tolerant.get(kind)["Resources"] for kind in ("/Users", "/Groups")]


@pytest.fixture
def pushed(app: Flask, make: Make) -> Pushed:
    space = make.space("acme", scim_enabled=True)
    tolerant, strict = (ScimClient(app, make_secret(make, space, strict=strict)) for strict in (False, True))
    ids = {
        "ann": tolerant.user(
            "ann", name={"familyName": "A"}, emails=[{"value": "ann@x.org", "type": "work", "primary": True}]
        )["id"]
    }
    ids |= {name: tolerant.user(name)["id"] for name in ("bob", "eve")}
    ids["team"] = tolerant.group("Team", ids["ann"], ids["bob"])["id"]
    return Pushed(tolerant, strict, ids)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_tolerated_by_default_and_refused_when_strict(pushed: Pushed, row: Row) -> None:
    before = pushed.everything()
    refused = pushed.send(pushed.strict, row, row.status)
    assert (refused["status"], refused.get("scimType", "")) == (str(row.status), row.refused), refused["detail"]
    assert pushed.everything() == before
    answer = pushed.send(pushed.tolerant, row, None) or pushed.tolerant.get(pushed.sent(row.path))
    if "members" in answer:
        answer["members"] = [member["value"] for member in answer["members"]]
    if "Operations" in answer:
        answer["Operations"] = [operation["status"] for operation in answer["Operations"]]
    shows = pushed.sent(row.shows)
    assert {name: answer.get(name) for name in shows} == shows


@pytest.mark.parametrize(("path", "filter", "scim_type"), BOTH)
def test_what_would_widen_an_answer_is_refused_by_both(pushed: Pushed, path: str, filter: str, scim_type: str) -> None:
    for scim in (pushed.tolerant, pushed.strict):
        assert scim.get(path, filter=filter, status=400)["scimType"] == scim_type


def test_what_the_rfc_shows_is_taken_by_a_strict_credential(pushed: Pushed) -> None:
    scim, ids = pushed.strict, pushed.ids
    user = scim.post(
        "/Users",
        {
            "schemas": [USER, ENTERPRISE],
            "id": "ignored",
            "UserName": "new",
            "title": None,
            "name": {"familyName": "N", "middleName": None},
            "emails": [{"value": "n@x.org", "type": "Work", "primary": True}],
            "groups": [{"value": "ignored"}],
            "meta": {"resourceType": "User", "unknown": 1},
            ENTERPRISE: {"manager": {"value": ids["bob"], "displayName": "ignored"}},
        },
    )
    path = f"/Users/{user['id']}"
    after = scim.patch(
        path,
        {"op": "add", "path": "nickName", "value": "N"},
        {"op": "replace", "path": 'emails[type eq "work" and value ew "x.org"].value', "value": "m@x.org"},
        {"op": "add", "path": "phoneNumbers", "value": [{"value": "1", "type": "mobile"}]},
        {"op": "remove", "path": "name.familyName"},
        {"op": "replace", "path": f"{USER}:displayName", "value": "New"},
        {"op": "replace", "path": f"{ENTERPRISE}:department", "value": "IT"},
    )
    assert (after["nickName"], after["displayName"], after["emails"][0]["value"]) == ("N", "New", "m@x.org")
    assert (after[ENTERPRISE]["department"], "name" in after) == ("IT", False)
    scim.patch(f"/Groups/{ids['team']}", {"op": "remove", "path": f'members[value eq "{ids["ann"]}"]'})
    scim.patch(f"/Groups/{ids['team']}", {"op": "add", "path": "members", "value": [{"value": user["id"]}]})
    assert [each["value"] for each in scim.get(f"/Groups/{ids['team']}")["members"]] == [ids["bob"], user["id"]]
    wanted = 'userName eq "new" and (active eq true or meta.created lt "2030-01-01T00:00:00.1234567Z")'
    assert scim.found("/Users", wanted)[0]["id"] == user["id"]
    body = {"schemas": [SEARCH], "filter": f'{ENTERPRISE}:department eq "IT"', "count": 5, "attributes": ["userName"]}
    assert scim.post("/Users/.search", body, status=200)["totalResults"] == 1
    operation = {"method": "DELETE", "path": path}
    answer = scim.post("/Bulk", {"schemas": [BULK], "failOnErrors": 1, "Operations": [operation]}, status=200)
    assert answer["Operations"][0]["status"] == "204"


def test_the_data_of_a_bulk_request_is_held_to_the_same(pushed: Pushed) -> None:
    operation = POST | {"data": {"schemas": [USER], "userName": "new", "active": "True"}}
    answer = pushed.strict.post("/Bulk", {"schemas": [BULK], "Operations": [operation]}, status=200)
    assert answer["Operations"][0]["response"]["scimType"] == VALUE


@pytest.mark.parametrize(("value", "kept"), [({"formatted": "F"}, {"formatted": "F"}), ({}, None)])
def test_strict_replaces_a_complex_attribute_as_a_whole(pushed: Pushed, value: Any, kept: Any) -> None:
    ann = f"/Users/{pushed.ids['ann']}"
    tolerant = pushed.tolerant.patch(ann, {"op": "replace", "path": "name", "value": value})
    assert tolerant["name"] == {"familyName": "A", **value}
    assert pushed.strict.patch(ann, {"op": "replace", "path": "name", "value": value}).get("name") == kept
    added = pushed.strict.patch(ann, {"op": "add", "path": "name", "value": {"givenName": "G"}})
    assert added["name"] == {**value, "givenName": "G"}


def test_only_a_strict_credential_claims_the_profile(pushed: Pushed) -> None:
    assert pushed.strict.get("/ServiceProviderConfig")["interopProfileConformant"] is True
    assert "interopProfileConformant" not in pushed.tolerant.get("/ServiceProviderConfig")
    for document in pushed.strict.get("/ResourceTypes")["Resources"]:
        assert document["id"] == document["name"]
    for schema in pushed.strict.get("/Schemas")["Resources"]:
        for attribute in schema["attributes"]:
            kinds = [sub for sub in attribute.get("subAttributes", []) if sub["name"] == "type"]
            assert all(kind["canonicalValues"] for kind in kinds), attribute["name"]
    config = pushed.strict.get("/ServiceProviderConfig")
    assert config["filter"]["maxResults"] >= 100
    assert config["pagination"]["defaultPageSize"] >= 100
