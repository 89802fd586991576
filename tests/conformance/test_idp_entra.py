"""Microsoft's SCIM validator and reference collection (facts F11 to F24), beyond tests/functional/test_scim_entra.py:
every mapped attribute, set, changed, set to nothing; users made in parallel; both forms of each PATCH.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from tests.support.scim import ENTERPRISE, PATCH, ScimClient
from tests.support.scim_examples import GROUP, USER

# The default attribute mapping of a non-gallery application, and values to send.
MAPPED: dict[str, Any] = {
    "displayName": "Ann Smith",
    "title": "Engineer",
    'emails[type eq "work"].value': "ann@acme.example",
    "preferredLanguage": "de-DE",
    "name.givenName": "Ann",
    "name.familyName": "Smith",
    "name.formatted": "Ann Smith",
    'addresses[type eq "work"].formatted': "Room 7",
    'addresses[type eq "work"].streetAddress': "Street 1",
    'addresses[type eq "work"].locality': "Köln",
    'addresses[type eq "work"].region': "NRW",
    'addresses[type eq "work"].postalCode': "50667",
    'addresses[type eq "work"].country': "DE",
    'phoneNumbers[type eq "work"].value': "+49 (0) 221-1",
    'phoneNumbers[type eq "mobile"].value': "+49 170 1",
    'phoneNumbers[type eq "fax"].value': "+49 221 2",
    "externalId": "ann",
    "nickName": "Annie",
    "userType": "Member",
    "locale": "de-DE",
    "timezone": "Europe/Berlin",
    "profileUrl": "https://acme.example/ann",
    'roles[primary eq "True"].value': "admin",
    f"{ENTERPRISE}:employeeNumber": "7",
    f"{ENTERPRISE}:department": "IT",
    f"{ENTERPRISE}:costCenter": "4130",
    f"{ENTERPRISE}:organization": "Acme",
    f"{ENTERPRISE}:division": "North",
}


@pytest.fixture
def entra(scim: ScimClient) -> ScimClient:
    scim.content_type = "application/scim+json; charset=utf-8"
    return scim


def read(user: dict[str, Any], path: str) -> Any:
    """The value that Entra compares with what it sent; None when there is none."""
    if path.startswith(ENTERPRISE):
        return user.get(ENTERPRISE, {}).get(path.rpartition(":")[2])
    if "[" in path:
        name, _, rest = path.partition("[")
        sub = rest.rpartition(".")[2]
        kind = rest.partition('"')[2].partition('"')[0]
        chosen = [e for e in user.get(name, []) if e.get("type") == kind or (kind == "True" and e.get("primary"))]
        assert len(chosen) <= 1, f"two entries of one type: {chosen}"  # F20
        return chosen[0].get(sub) if chosen else None
    first, _, sub = path.partition(".")
    return user.get(first, {}).get(sub) if sub else user.get(first)


def test_every_mapped_attribute_is_described(entra: ScimClient) -> None:
    names: set[str] = set()
    for schema in entra.get("/Schemas")["Resources"]:
        prefix = f"{ENTERPRISE}:" if schema["id"] == ENTERPRISE else ""
        for attribute in schema["attributes"]:
            names.add(prefix + attribute["name"])
            names |= {f"{prefix}{attribute['name']}.{sub['name']}" for sub in attribute.get("subAttributes", ())}
        for sent in ("members", "displayName") if schema["id"] == GROUP else ():
            assert sent in {attribute["name"] for attribute in schema["attributes"]}
    common = {"externalId", "id", "schemas", "meta"}  # RFC 7643 section 3.1: not in a schema
    for path in MAPPED:
        bare = path if ":" in path else path.partition("[")[0] + ("." + path.rpartition(".")[2] if "[" in path else "")
        assert bare in names | common, path


@pytest.mark.parametrize("flag", [False, True], ids=["default", "aadOptscim062020"])
def test_every_mapped_attribute_is_set_read_back_and_set_to_nothing(entra: ScimClient, flag: bool) -> None:
    """With the flag simple attributes come as keys of one replace without a path, dotted and with URNs (F12)."""
    path = f"/Users/{entra.post('/Users', {'schemas': [USER], 'userName': 'ann', 'active': True})['id']}"

    def write(values: dict[str, Any]) -> Any:
        op = "replace" if flag else "Replace"
        simple = {name: value for name, value in values.items() if flag and "[" not in name}
        operations = [{"op": op, "value": simple}] if simple else []
        operations += [
            {"op": "add" if flag else "Add", "path": name, "value": value}
            for name, value in values.items()
            if name not in simple
        ]
        return entra.patch(path, *operations)

    write(MAPPED)
    assert {name: read(entra.get(path), name) for name in MAPPED} == MAPPED
    changed = {name: f"{value}x" for name, value in MAPPED.items()}
    write(changed)
    assert {name: read(entra.get(path), name) for name in MAPPED} == changed
    for nothing in ("", None):
        write(MAPPED)
        write(dict.fromkeys(MAPPED, nothing))
        after = entra.get(path)
        assert {name: read(after, name) for name in MAPPED} == dict.fromkeys(MAPPED)
        assert after.keys() == {"schemas", "id", "userName", "active", "meta"}


def test_active_comes_and_goes_in_every_spelling(entra: ScimClient) -> None:
    path = f"/Users/{entra.user('ann', active='True')['id']}"
    for value, expected in (("False", False), ("True", True), (False, False), (True, True), ("false", False)):
        after = entra.patch(path, {"op": "Replace", "path": "active", "value": value})
        assert after["active"] is expected
    assert entra.patch(path, {"op": "Replace", "value": {"active": "True"}})["active"] is True


def test_manager_is_removed_in_every_form(entra: ScimClient) -> None:
    boss = entra.user("boss")["id"]
    user, path = f"/Users/{entra.user('ann')['id']}", f"{ENTERPRISE}:manager"
    for removal in (
        {"op": "Remove", "path": path},
        {"op": "Replace", "path": path, "value": ""},
        {"op": "Replace", "path": path, "value": None},
        {"op": "remove", "path": f'{path}[value eq "{boss}"]'},
        {"op": "replace", "value": {path: ""}},
    ):
        set_ = entra.patch(user, {"op": "Add", "path": path, "value": boss})
        assert set_[ENTERPRISE]["manager"]["value"] == boss
        assert ENTERPRISE not in entra.patch(user, removal), removal
    assert entra.patch(user, {"op": "replace", "value": {path: boss}})[ENTERPRISE]["manager"]["value"] == boss


def test_users_made_five_at_a_time_are_all_there_page_by_page(entra: ScimClient, app: Flask) -> None:
    def create(number: int) -> str:
        client = ScimClient(app, entra.secret)
        return str(client.user(f"user{number}", displayName=f"U {number}")["id"])

    with ThreadPoolExecutor(5) as pool:
        made = set(pool.map(create, range(15)))
    seen: list[str] = []
    for start in (1, 6, 11, 16):
        page = entra.get("/Users", startIndex=start, count=5)
        assert (page["startIndex"], page["totalResults"]) == (start, 15)
        seen += [user["id"] for user in page["Resources"]]
    assert (len(seen), set(seen)) == (15, made)


def test_members_in_every_form(entra: ScimClient) -> None:
    ids = [entra.user(name)["id"] for name in ("ann", "bob", "cyd")]
    path = f"/Groups/{entra.group('Team')['id']}"

    def now() -> list[str]:
        return [member["value"] for member in entra.get(path).get("members", [])]

    entra.patch(path, {"op": "add", "path": "members", "value": ids[0]})  # bare text, as in the collection
    entra.patch(path, {"name": "addMember", "op": "Add", "path": "members", "value": [{"value": ids[1]}]})
    entra.patch(path, {"op": "add", "value": {"members": [{"$ref": None, "value": ids[2]}]}})
    assert now() == ids
    entra.patch(path, {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": ids[0]}]})
    entra.patch(path, {"op": "remove", "path": f'members[value eq "{ids[1]}"]'})
    assert now() == ids[2:]
    entra.patch(path, {"op": "Remove", "path": "members", "value": []})  # nobody is named: nobody leaves
    assert now() == ids[2:]
    assert entra.response.status_code == 200


def test_the_reference_collection(entra: ScimClient) -> None:
    user = entra.post(
        "/Users",
        {
            "schemas": [USER, ENTERPRISE],
            "UserName": "UserName222",
            "Active": True,
            "DisplayName": "lennay",
            "externalId": "jyoung",
            "Emails": [{"Primary": True, "type": "work", "value": "testing@bob2.com"}],
            "meta": {"resourceType": "User"},
            "Roles": [],
        },
    )
    for text in (
        'userName eq "UserName222"',
        "userName eq UserName222",
        'displayName eq "lennay"',
        'externalId eq "jyoung" and userName pr',
        "meta.created gt 2019-10-02T19:30:00.1234567Z",
        'emails[type eq "Work" and value co "@bob2"]',
    ):
        assert [each["id"] for each in entra.get("/Users/", filter=text)["Resources"]] == [user["id"]], text
    assert entra.get("/Users", attributes="userName,emails").keys() >= {"Resources"}
    entra.post("/Users", {"schemas": [USER], "displayName": "no name"}, status=400)
    entra.post("/Users", b'{"userName": "x"', status=400)
    assert entra.post("/Users", {"userName": "username222"}, status=409)["detail"]
    body = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "userName", "value": "new.name"}]}
    assert entra.send("PATCH", f"/Users/{user['id']}", body)["userName"] == "new.name"
