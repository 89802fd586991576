"""PATCH on a plain resource: the examples of RFC 7644 section 3.5.2, and the forms that Okta and Entra send."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from scim.attributes import ENTERPRISE, GROUPS, USERS
from scim.errors import ScimError
from scim.patch import MemberChange, apply
from scim.shaping import shape

BABS = shape(
    USERS,
    {
        "userName": "bjensen",
        "externalId": "bj",
        "name": {"familyName": "Jensen", "givenName": "Barbara"},
        "active": True,
        "emails": [
            {"value": "bjensen@example.com", "type": "work", "primary": True},
            {"value": "babs@jensen.org", "type": "home"},
        ],
        "addresses": [{"type": "work", "streetAddress": "911 Universal City Plaza", "locality": "Hollywood"}],
        ENTERPRISE: {"department": "Tours", "manager": {"value": "u-1", "$ref": "https://x/Users/u-1"}},
    },
)


def op(name: str, path: str | None = None, value: Any = ...) -> dict[str, Any]:
    operation: dict[str, Any] = {"op": name}
    if path is not None:
        operation["path"] = path
    if value is not ...:
        operation["value"] = value
    return operation


def patched(*operations: dict[str, Any], before: dict[str, Any] = BABS) -> dict[str, Any]:
    untouched = copy.deepcopy(before)
    after, members = apply(USERS, before, {"Operations": list(operations)})
    assert before == untouched
    assert members is None
    return after


def members(*operations: dict[str, Any]) -> MemberChange | None:
    return apply(GROUPS, {"displayName": "Team"}, {"Operations": list(operations)})[1]


def refused(*operations: Any, kind: Any = USERS) -> tuple[int, str]:
    with pytest.raises(ScimError) as error:
        apply(kind, BABS if kind is USERS else {"displayName": "Team"}, {"Operations": list(operations)})
    assert error.value.detail
    return error.value.status, error.value.scim_type


# add


def test_rfc_add_without_path_adds_entries_and_sets_the_rest() -> None:
    after = patched(op("add", value={"emails": [{"value": "babs@else.org", "type": "other"}], "nickName": "Babs"}))
    assert [entry["value"] for entry in after["emails"]] == ["bjensen@example.com", "babs@jensen.org", "babs@else.org"]
    assert after["nickName"] == "Babs"


def test_rfc_add_of_what_is_there_changes_nothing() -> None:
    assert patched(op("add", "emails", [{"value": "babs@jensen.org", "type": "home"}])) == BABS


def test_rfc_add_of_a_new_primary_takes_the_mark_from_the_old_one() -> None:
    after = patched(op("add", "emails", [{"value": "new@x.org", "type": "other", "primary": True}]))
    assert [entry.get("primary") for entry in after["emails"]] == [False, None, True]
    after = patched(op("replace", 'emails[type eq "home"].primary', True))
    assert [entry.get("primary") for entry in after["emails"]] == [False, True]


def test_add_to_a_complex_attribute_merges() -> None:
    after = patched(op("add", "name", {"formatted": "Ms. Jensen"}))
    assert after["name"] == {"familyName": "Jensen", "givenName": "Barbara", "formatted": "Ms. Jensen"}


# replace


def test_rfc_replace_of_all_entries_by_path() -> None:
    after = patched(op("replace", "emails", [{"value": "one@x.org", "type": "work"}]))
    assert after["emails"] == [{"value": "one@x.org", "type": "work"}]


def test_rfc_replace_of_one_entry_chosen_by_a_filter() -> None:
    after = patched(
        op("replace", 'addresses[type eq "work"]', {"type": "work", "locality": "Hollywood", "region": "CA"})
    )
    assert after["addresses"] == [{"type": "work", "locality": "Hollywood", "region": "CA"}]


def test_rfc_replace_of_one_part_of_an_entry() -> None:
    after = patched(op("replace", 'addresses[type eq "work"].streetAddress', "1010 Broadway Ave"))
    assert after["addresses"] == [{"type": "work", "streetAddress": "1010 Broadway Ave", "locality": "Hollywood"}]


def test_rfc_replace_without_path_takes_the_named_attributes_only() -> None:
    after = patched(op("replace", value={"active": False, "name": {"givenName": "Babs"}}))
    assert after["active"] is False
    assert after["name"] == {"familyName": "Jensen", "givenName": "Babs"}
    assert after["emails"] == BABS["emails"]


# remove


def test_rfc_remove_of_an_attribute_a_part_and_chosen_entries() -> None:
    assert "emails" not in patched(op("remove", "emails"))
    assert "givenName" not in patched(op("remove", "name.givenName"))["name"]
    assert patched(op("remove", 'emails[type eq "work" and value ew "example.com"]'))["emails"] == BABS["emails"][1:]
    assert "streetAddress" not in patched(op("remove", 'addresses[type eq "work"].streetAddress'))["addresses"][0]
    assert "name" not in patched(op("remove", "name"))


def test_an_entry_without_content_goes_away() -> None:
    after = patched(op("remove", 'emails[type eq "home"].value'))
    assert after["emails"] == BABS["emails"][:1]


def test_remove_with_a_value_takes_only_what_it_names() -> None:
    assert patched(op("remove", "emails", [{"value": "BABS@jensen.org"}]))["emails"] == BABS["emails"][:1]
    assert patched(op("remove", "emails", [{"value": "nobody@x.org"}])) == BABS


def test_removing_what_is_not_there_changes_nothing() -> None:
    assert patched(op("remove", "title"), op("remove", 'emails[type eq "none"]'), op("remove", "ims.value")) == BABS


def test_active_can_be_taken_away() -> None:
    assert "active" not in patched(op("remove", "active"))


# Entra and Okta


@pytest.mark.parametrize("word", ["Add", "REPLACE", "add", "Replace"])
def test_the_operation_has_no_case_and_texts_stand_for_booleans(word: str) -> None:
    assert patched(op(word, "active", "False"))["active"] is False
    assert patched(op(word, "ACTIVE", "false"))["active"] is False


def test_entra_dotted_keys_and_urns_without_path() -> None:
    value = {
        "name.givenName": "Babs",
        f"{ENTERPRISE}:department": "Sales",
        f"{ENTERPRISE}:manager": "u-2",
        'emails[type eq "work"].value': "new@x.org",
    }
    after = patched(op("replace", value=value))
    assert after["name"]["givenName"] == "Babs"
    assert after[ENTERPRISE] == {"department": "Sales", "manager": {"value": "u-2"}}
    assert after["emails"][0] == {"value": "new@x.org", "type": "work", "primary": True}


@pytest.mark.parametrize("word", ["Add", "Replace"])
def test_entra_sets_a_part_of_an_entry_that_is_not_there_yet(word: str) -> None:
    path = 'phoneNumbers[type eq "mobile"].value'
    after = patched(op(word, path, "+1 555"), op(word, path, "+1 556"))
    assert after["phoneNumbers"] == [{"type": "mobile", "value": "+1 556"}]
    after = patched(
        op(word, 'addresses[type eq "home"].locality', "Bonn"), op(word, 'addresses[type eq "home"].country', "DE")
    )
    assert after["addresses"][1] == {"type": "home", "locality": "Bonn", "country": "DE"}


def test_entra_role_chosen_by_a_boolean_as_text() -> None:
    after = patched(
        op("Add", 'roles[primary eq "True"].value', "admin"), op("Replace", 'roles[primary eq "True"].value', "x")
    )
    assert after["roles"] == [{"primary": True, "value": "x"}]


def test_entra_manager_as_bare_text_changed_and_removed() -> None:
    path = f"{ENTERPRISE}:manager"
    assert patched(op("Add", path, "u-9"))[ENTERPRISE]["manager"] == {"value": "u-9"}
    for operation in (op("Replace", path, ""), op("Remove", path), op("remove", f'{path}[value eq "u-1"]')):
        assert patched(operation)[ENTERPRISE] == {"department": "Tours"}
    assert patched(op("remove", f'{path}[value eq "u-2"]')) == BABS


def test_entra_null_update_unassigns() -> None:
    for nothing in ("", None):
        after = patched(op("Replace", "name.givenName", nothing), op("Replace", "emails", nothing))
        assert "givenName" not in after["name"]
        assert "emails" not in after
        after = patched(op("Replace", value={"externalId": nothing, f"{ENTERPRISE}:department": nothing}))
        assert "externalId" not in after
        assert "department" not in after[ENTERPRISE]
        assert (
            "streetAddress"
            not in patched(op("Add", 'addresses[type eq "work"].streetAddress', nothing))["addresses"][0]
        )


def test_an_extension_is_replaced_and_removed_as_a_whole() -> None:
    assert ENTERPRISE not in patched(op("remove", ENTERPRISE))
    assert patched(op("replace", value={ENTERPRISE: {"division": "X"}}))[ENTERPRISE]["division"] == "X"
    assert patched(op("add", ENTERPRISE, {"division": "X"}))[ENTERPRISE]["department"] == "Tours"


def test_read_only_and_unknown_names_without_path_are_passed_over() -> None:
    value = {
        "id": "u-other",
        "groups": [{"value": "g"}],
        "meta": {},
        "schemas": [],
        "favouriteColour": "red",
        "title": "T",
    }
    assert patched(op("replace", value=value)) == {**BABS, "title": "T"}


def test_the_password_is_taken_and_dropped() -> None:
    assert patched(op("replace", "password", "secret"), op("replace", value={"password": "secret"})) == BABS


def test_an_extra_key_in_an_operation_does_no_harm() -> None:
    assert patched(op("replace", "title", "T") | {"name": "title"})["title"] == "T"


# members


def test_members_join_and_leave_as_a_difference() -> None:
    assert members(op("add", "members", [{"value": "a"}, {"value": "b"}])) == MemberChange(False, ("a", "b"), ())
    assert members(op("Add", "members", "a")) == MemberChange(False, ("a",), ())
    assert members(op("Remove", "members", [{"$ref": None, "value": "a"}])) == MemberChange(False, (), ("a",))
    assert members(op("remove", 'members[value eq "a"]')) == MemberChange(False, (), ("a",))
    assert members(op("remove", 'members[value eq "a" or value eq "b"]')) == MemberChange(False, (), ("a", "b"))
    assert members(op("add", "members", ["a"]), op("remove", "members", ["a"])) == MemberChange(False, (), ("a",))
    assert members(op("replace", "displayName", "New")) is None


def test_an_empty_list_of_members_to_remove_removes_nobody() -> None:
    assert members(op("Remove", "members", [])) == MemberChange()


def test_members_are_replaced_as_a_whole() -> None:
    assert members(op("replace", "members", [{"value": "a"}])) == MemberChange(True, ("a",), ())
    assert members(op("replace", value={"members": [{"value": "a"}]})) == MemberChange(True, ("a",), ())
    assert members(op("replace", "members", [])) == MemberChange(True, (), ())
    assert members(op("remove", "members")) == MemberChange(True, (), ())
    change = members(op("replace", "members", ["a"]), op("add", "members", ["b"]), op("remove", "members", ["a"]))
    assert change is not None
    assert (change.replaced, change.added) == (True, ("b",))


def test_okta_renames_a_group_with_its_id_in_the_value() -> None:
    after, change = apply(
        GROUPS, {"displayName": "Old"}, {"Operations": [op("replace", value={"id": "g-1", "displayName": "New"})]}
    )
    assert after == {"displayName": "New"}
    assert change is None


# faults


@pytest.mark.parametrize(
    ("operation", "scim_type"),
    [
        (op("remove"), "noTarget"),
        (op("remove", "urn:ietf:params:scim:schemas:core:2.0:User"), "noTarget"),
        (op("move", "title", "x"), "invalidSyntax"),
        ({"path": "title", "value": "x"}, "invalidSyntax"),
        ("title", "invalidSyntax"),
        (op("replace", "title"), "invalidValue"),
        (op("replace", value="x"), "invalidValue"),
        (op("replace", "active", "perhaps"), "invalidValue"),
        (op("replace", "title", {"a": 1}), "invalidValue"),
        (op("replace", "title", ["a", "b"]), "invalidValue"),
        (op("replace", "name", "Barbara"), "invalidValue"),
        (op("replace", "userName", ""), "invalidValue"),
        (op("replace", "title", "a\x00b"), "invalidValue"),
        (op("replace", "title", "\ud800"), "invalidValue"),
        (op("add", "emails", [{"value": "a", "primary": True}, {"value": "b", "primary": True}]), "invalidValue"),
        (op("replace", "emails.primary", True), "invalidValue"),
        (op("add", "emails", [{"value": f"{number}"} for number in range(199)]), "invalidValue"),
        (op("replace", "emails", [{"value": f"{number}"} for number in range(201)]), "invalidValue"),
        (op("replace", ENTERPRISE, "x"), "invalidValue"),
        (op("replace", "noSuch", "x"), "invalidPath"),
        (op("replace", "name.noSuch", "x"), "invalidPath"),
        (op("replace", "urn:else:User:title", "x"), "invalidPath"),
        (op("replace", "title[value eq 1]", "x"), "invalidPath"),
        (op("replace", "a b", "x"), "invalidPath"),
        (op("replace", 'emails[type eq "work"', "x"), "invalidPath"),
        ({"op": "replace", "path": 5, "value": 1}, "invalidPath"),
        (op("replace", 'emails[noSuch eq "work"]', {"value": "x"}), "invalidFilter"),
        (op("replace", "emails[type]", {"value": "x"}), "invalidFilter"),
        (op("replace", 'emails[type co "x"].value', "x"), "noTarget"),
        (op("replace", "id", "u-2"), "mutability"),
        (op("replace", "meta.created", "x"), "mutability"),
        (op("add", "groups", [{"value": "g"}]), "mutability"),
        (op("remove", "userName"), "mutability"),
    ],
)
def test_a_fault_is_named_by_its_scim_type(operation: Any, scim_type: str) -> None:
    assert refused(op("replace", "title", "first"), operation) == (400, scim_type)


@pytest.mark.parametrize("body", [{}, {"Operations": []}, {"Operations": {}}, {"Operations": None}])
def test_a_patch_without_operations_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ScimError) as error:
        apply(USERS, BABS, body)
    assert error.value.scim_type == "invalidSyntax"


@pytest.mark.parametrize(
    ("operation", "scim_type"),
    [
        (op("add", "members", [{"display": "no id"}]), "invalidValue"),
        (op("add", "members", [True]), "invalidValue"),
        (op("remove", 'members[display eq "x"]'), "invalidFilter"),
        (op("remove", "members.value"), "invalidPath"),
        (op("remove", "displayName"), "mutability"),
    ],
)
def test_faults_about_members(operation: dict[str, Any], scim_type: str) -> None:
    assert refused(operation, kind=GROUPS) == (400, scim_type)


MANY = {"userName": "ann", "ims": [{"value": f"v{number}", "type": "work"} for number in range(200)]}


@pytest.mark.parametrize(
    "operation",
    [
        op("remove", "ims", [{"value": f"x{number}"} for number in range(100)]),
        op("add", "ims", MANY["ims"][:100]),
        op("remove", "ims[" + " or ".join(['value eq "x"'] * 60) + "]"),
    ],
)
def test_one_request_compares_entries_only_so_often(operation: dict[str, Any]) -> None:
    assert len(patched(operation, before=MANY)["ims"]) == 200
    with pytest.raises(ScimError, match="comparisons") as error:
        patched(*[operation] * 100, before=MANY)
    assert (error.value.status, error.value.scim_type) == (400, "invalidValue")


def test_a_thousand_plain_operations_on_two_hundred_entries_are_done() -> None:
    operation = op("replace", 'ims[value eq "v7"].display', "seven")
    assert patched(*[operation] * 1000, before=MANY)["ims"][7]["display"] == "seven"


def test_an_entry_without_a_mark_is_not_primary() -> None:
    assert patched(op("remove", "emails[primary eq false]"))["emails"] == BABS["emails"][:1]
