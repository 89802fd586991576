"""RFC 7643: the representations of section 8, and what sections 2 to 7 demand of attributes and schemas."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any

import pytest

from tests.support.scim import ScimClient
from tests.support.scim_examples import (
    BARBARA_ID,
    ENTERPRISE,
    ENTERPRISE_PART,
    FULL,
    FULL_ENTERPRISE,
    GROUP,
    MINIMAL,
    USER,
)

# What the server decides (readOnly) and what it never shows (section 2.2): not kept from the example.
SERVERS_OWN = ("id", "meta", "groups", "password")


def kept(example: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in copy.deepcopy(example).items() if key not in SERVERS_OWN}


# Section 8: representations


def test_8_1_minimal_user(scim: ScimClient) -> None:
    user = scim.post("/Users", MINIMAL)
    assert user.keys() == {"schemas", "id", "userName", "active", "meta"}
    assert (user["schemas"], user["userName"]) == ([USER], "bjensen@example.com")


def test_8_2_full_user_is_kept_and_given_back_whole(scim: ScimClient) -> None:
    user = scim.post("/Users", FULL)
    assert {key: value for key, value in user.items() if key not in SERVERS_OWN} == kept(FULL)
    assert scim.get(f"/Users/{user['id']}") == user
    assert user.keys() & {"password", "groups"} == set()


def test_8_3_enterprise_user_lists_both_schemas_and_shows_no_name_that_the_client_gave_the_manager(
    scim: ScimClient,
) -> None:
    user = scim.post("/Users", FULL_ENTERPRISE)
    expected = copy.deepcopy(ENTERPRISE_PART)
    del expected["manager"]["displayName"]  # readOnly (section 4.3)
    assert user["schemas"] == [USER, ENTERPRISE]
    assert user[ENTERPRISE] == expected
    assert {key: value for key, value in user.items() if key not in SERVERS_OWN} == kept(
        {**FULL_ENTERPRISE, ENTERPRISE: expected}
    )


def test_8_4_group_and_the_groups_of_its_members(scim: ScimClient) -> None:
    barbara, mandy = scim.user("babs", displayName="Babs Jensen"), scim.user("mandy", displayName="Mandy Pepperidge")
    group = scim.group("Tour Guides", barbara["id"], mandy["id"])
    assert group["schemas"] == [GROUP]
    assert group["members"] == [
        {"value": each["id"], "$ref": each["meta"]["location"], "type": "User", "display": each["displayName"]}
        for each in (barbara, mandy)
    ]
    assert scim.get(f"/Users/{barbara['id']}")["groups"] == [
        {"value": group["id"], "$ref": group["meta"]["location"], "display": "Tour Guides", "type": "direct"}
    ]


# Sections 5, 6: discovery


def test_5_the_service_provider_config_has_every_required_part(scim: ScimClient) -> None:
    config = scim.get("/ServiceProviderConfig")
    assert config["schemas"] == ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"]
    for feature in ("patch", "changePassword", "sort", "etag"):
        assert isinstance(config[feature]["supported"], bool)
    assert {name: type(value) for name, value in config["bulk"].items()} == {
        "supported": bool,
        "maxOperations": int,
        "maxPayloadSize": int,
    }
    assert {name: type(value) for name, value in config["filter"].items()} == {"supported": bool, "maxResults": int}
    for scheme in config["authenticationSchemes"]:
        assert scheme["type"] in ("oauth", "oauth2", "oauthbearertoken", "httpbasic", "httpdigest")
        assert scheme["name"]
        assert scheme["description"]
    assert config["meta"] == {
        "resourceType": "ServiceProviderConfig",
        "location": "http://localhost/scim/v2/ServiceProviderConfig",
    }


def test_6_each_resource_type_names_its_endpoint_and_schemas(scim: ScimClient) -> None:
    for found in scim.get("/ResourceTypes")["Resources"]:
        assert found["schemas"] == ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"]
        assert scim.get(found["endpoint"])["totalResults"] == 0
        for uri in (found["schema"], *(each["schema"] for each in found.get("schemaExtensions", ()))):
            assert scim.get(f"/Schemas/{uri}")["id"] == uri
        assert scim.get(found["meta"]["location"].removeprefix("http://localhost/scim/v2")) == found


# Section 7 and 8.7: schemas


def described(attributes: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in attributes}


def test_7_every_attribute_is_described_by_every_characteristic(scim: ScimClient) -> None:
    def check(attribute: dict[str, Any]) -> None:
        assert attribute["type"] in (
            *("string", "boolean", "decimal", "integer", "dateTime", "binary", "reference", "complex"),
        )
        assert isinstance(attribute["multiValued"], bool)
        assert isinstance(attribute["required"], bool)
        assert attribute["mutability"] in ("readOnly", "readWrite", "immutable", "writeOnly")
        assert attribute["returned"] in ("always", "never", "default", "request")
        assert attribute["description"]
        if attribute["type"] == "complex":
            for sub in attribute["subAttributes"]:
                assert sub["type"] != "complex"  # section 2.3.8
                check(sub)
        else:
            assert isinstance(attribute["caseExact"], bool)
            assert attribute["uniqueness"] in ("none", "server", "global")
        if attribute["type"] == "reference":
            assert attribute["referenceTypes"]
            assert attribute["caseExact"]  # section 2.3.7

    for schema in scim.get("/Schemas")["Resources"]:
        assert schema["name"]
        assert schema["meta"]["resourceType"] == "Schema"
        for attribute in schema["attributes"]:
            check(attribute)


TEXTS = ("displayName", "nickName", "title", "userType", "preferredLanguage", "locale", "timezone")
PLURALS = ("emails", "phoneNumbers", "ims", "photos", "entitlements", "roles", "x509Certificates")


def test_8_7_1_the_user_schema_has_the_attributes_and_characteristics_of_the_rfc(scim: ScimClient) -> None:
    user = described(scim.get(f"/Schemas/{USER}")["attributes"])
    assert user.keys() == {
        *("userName", "name", "profileUrl", "active", "password", "addresses", "groups"),
        *TEXTS,
        *PLURALS,
    }
    name = user["userName"]
    assert (name["required"], name["caseExact"], name["uniqueness"]) == (True, False, "server")
    assert (user["password"]["mutability"], user["password"]["returned"]) == ("writeOnly", "never")
    assert (user["groups"]["mutability"], user["groups"]["multiValued"]) == ("readOnly", True)
    assert user["active"]["type"] == "boolean"
    assert user["profileUrl"]["type"] == "reference"
    for each in TEXTS:
        assert (user[each]["type"], user[each]["caseExact"], user[each]["multiValued"]) == ("string", False, False)
    for each in PLURALS:
        assert user[each]["multiValued"]
        assert described(user[each]["subAttributes"]).keys() == {"value", "display", "type", "primary"}
    assert described(user["name"]["subAttributes"]).keys() == {
        *("formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix"),
    }
    assert described(user["photos"]["subAttributes"])["value"]["type"] == "reference"
    assert described(user["x509Certificates"]["subAttributes"])["value"]["type"] == "binary"
    assert described(user["emails"]["subAttributes"])["type"]["canonicalValues"] == ["work", "home", "other"]


def test_8_7_1_the_group_and_enterprise_schemas_have_the_attributes_of_the_rfc(scim: ScimClient) -> None:
    group = described(scim.get(f"/Schemas/{GROUP}")["attributes"])
    assert group.keys() == {"displayName", "members"}
    members = described(group["members"]["subAttributes"])
    assert {name: members[name]["mutability"] for name in ("value", "$ref", "type")} == dict.fromkeys(
        ("value", "$ref", "type"), "immutable"
    )
    enterprise = described(scim.get(f"/Schemas/{ENTERPRISE}")["attributes"])
    assert enterprise.keys() == ENTERPRISE_PART.keys()
    assert described(enterprise["manager"]["subAttributes"])["displayName"]["mutability"] == "readOnly"


# Section 2: attributes


def test_2_1_names_of_attributes_have_no_case(scim: ScimClient) -> None:
    user = scim.post("/Users", {"SCHEMAS": [USER], "USERNAME": "bjensen", "NAME": {"FAMILYNAME": "Jensen"}})
    assert (user["userName"], user["name"]) == ("bjensen", {"familyName": "Jensen"})
    path = f"/Users/{user['id']}"
    assert scim.patch(path, {"op": "add", "path": "NICKNAME", "value": "Babs"})["nickName"] == "Babs"
    assert scim.get(path, attributes="nIcKnAmE")["nickName"] == "Babs"
    assert scim.found("/Users", 'NAME.familyname EQ "jensen"') == [scim.get(path)]
    upper = ENTERPRISE.upper()
    assert scim.patch(path, {"op": "add", "path": f"{upper}:DEPARTMENT", "value": "x"})[ENTERPRISE]["department"] == "x"


@pytest.mark.parametrize(
    ("attribute", "sent", "shown"),
    [
        ("title", 7, "7"),
        ("active", False, False),
        ("active", "TRUE", True),
        ("timezone", "America/Los_Angeles", "America/Los_Angeles"),
        ("x509Certificates", [{"value": "TUlJRA=="}], [{"value": "TUlJRA=="}]),
        ("profileUrl", "../x", "../x"),
        ("name", {"givenName": "Babs"}, {"givenName": "Babs"}),
    ],
)
def test_2_3_data_types(scim: ScimClient, attribute: str, sent: Any, shown: Any) -> None:
    assert scim.user("bjensen", **{attribute: sent})[attribute] == shown


@pytest.mark.parametrize(
    ("attribute", "sent"),
    [("active", 1), ("active", {}), ("title", {"x": 1}), ("title", True), ("name", [1]), ("name", True)],
)
def test_2_3_a_value_of_another_type_is_refused(scim: ScimClient, attribute: str, sent: Any) -> None:
    if sent == {}:  # nothing at all is "unassigned"
        assert "active" in scim.user("bjensen", **{attribute: sent})
        return
    refused = scim.post("/Users", {"userName": "bjensen", attribute: sent}, status=400)
    assert refused["scimType"] == "invalidValue"
    assert attribute in refused["detail"]


def test_2_4_one_entry_at_most_is_primary_and_none_comes_twice(scim: ScimClient) -> None:
    entry = {"value": "bjensen@example.com", "type": "work"}
    two = [entry | {"primary": True}, {"value": "b@example.com", "primary": True}]
    assert scim.post("/Users", {"userName": "bjensen", "emails": two}, status=400)["scimType"] == "invalidValue"
    assert scim.user("bjensen", emails=[entry, dict(entry)])["emails"] == [entry]


@pytest.mark.parametrize("nothing", [None, [], ""])
def test_2_5_null_an_empty_list_and_unassigned_are_the_same(scim: ScimClient, nothing: Any) -> None:
    user = scim.user("bjensen", emails=nothing, title=nothing, externalId=nothing, name=nothing)
    assert user.keys() & {"emails", "title", "externalId", "name"} == set()
    assert scim.found("/Users", "not (emails pr) and not (title pr)") == [user]
    assert scim.found("/Users", "title eq null") == [user]


# Section 3: resources


def test_3_1_id_and_meta_are_the_servers_and_never_change(scim: ScimClient) -> None:
    sent = {"userName": "bjensen", "id": BARBARA_ID, "meta": {"resourceType": "Group", "location": "https://x/"}}
    user = scim.post("/Users", sent)
    assert user["id"] != BARBARA_ID
    meta = user["meta"]
    assert meta.keys() == {"resourceType", "created", "lastModified", "location", "version"}
    assert meta["resourceType"] == "User"
    assert meta["location"] == f"http://localhost/scim/v2/Users/{user['id']}"
    assert scim.response.headers["ETag"] == meta["version"]
    for moment in (meta["created"], meta["lastModified"]):
        assert datetime.fromisoformat(moment).tzinfo is not None
    after = scim.put(f"/Users/{user['id']}", {**sent, "title": "T"})
    assert (after["id"], after["meta"]["created"]) == (user["id"], meta["created"])
    assert after["meta"]["version"] != meta["version"]
    assert after["meta"]["lastModified"] > meta["lastModified"]


def test_3_1_the_id_is_not_given_again_and_external_ids_are_the_clients(scim: ScimClient) -> None:
    first = scim.user("bjensen", externalId="701984")
    scim.delete(f"/Users/{first['id']}")
    second, other = scim.user("bjensen", externalId="701984"), scim.user("other", externalId="701984")
    assert len({first["id"], second["id"], other["id"]}) == 3
    assert [user["id"] for user in scim.found("/Users", 'externalId eq "701984"')] == [second["id"], other["id"]]


def test_3_3_the_extension_is_listed_as_long_as_it_has_values(scim: ScimClient) -> None:
    user = scim.user("bjensen", **{ENTERPRISE: {"department": "Tours"}})
    assert user["schemas"] == [USER, ENTERPRISE]
    after = scim.patch(f"/Users/{user['id']}", {"op": "remove", "path": f"{ENTERPRISE}:department"})
    assert after["schemas"] == [USER]
    assert ENTERPRISE not in after


def test_4_1_1_user_names_are_unique_without_case(scim: ScimClient) -> None:
    scim.user("bjensen")
    refused = scim.post("/Users", {"userName": "BJensen"}, status=409)
    assert (refused["scimType"], refused["status"]) == ("uniqueness", "409")
