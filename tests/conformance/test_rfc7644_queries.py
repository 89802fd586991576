"""RFC 7644 section 3.4 and 3.9: reading, filtering, sorting, paging, searching by POST, choosing attributes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.scim import ScimClient
from tests.support.scim_examples import CREATED_BY_CLIENT, ENTERPRISE, ERROR, FULL_ENTERPRISE, LIST, SEARCH, USER

# Who answers to the filters of section 3.4.2.2 and who does not.
PEOPLE: dict[str, dict[str, Any]] = {
    "bjensen": {
        "name": {"familyName": "O'Malley"},
        "title": "Tour Guide",
        "userType": "Employee",
        "emails": [{"value": "bjensen@example.com", "type": "work", "primary": True}],
    },
    "jsmith": {
        "userType": "Intern",
        "emails": [{"value": "j@example.org", "type": "home"}],
        "ims": [{"value": "j@foo.com", "type": "xmpp"}],
        ENTERPRISE: {"department": "Tours"},
    },
    "James": {
        "title": "Boss",
        "userType": "Employee",
        "emails": [{"value": "x@example.com", "type": "home"}, {"value": "y@else.net", "type": "work"}],
    },
    "kim": {"name": {"familyName": "Lee"}},
}
EVERYBODY = set(PEOPLE)
FILTERS = [
    ('userName eq "bjensen"', {"bjensen"}),
    ('name.familyName co "O\'Malley"', {"bjensen"}),
    ('userName sw "J"', {"jsmith", "James"}),
    (f'{USER}:userName sw "J"', {"jsmith", "James"}),
    ("title pr", {"bjensen", "James"}),
    ('meta.lastModified gt "2011-05-13T04:42:34Z"', EVERYBODY),
    ('meta.lastModified ge "2011-05-13T04:42:34Z"', EVERYBODY),
    ('meta.lastModified lt "2011-05-13T04:42:34Z"', set()),
    ('meta.lastModified le "2011-05-13T04:42:34Z"', set()),
    ('title pr and userType eq "Employee"', {"bjensen", "James"}),
    ('title pr or userType eq "Intern"', {"bjensen", "James", "jsmith"}),
    (f'schemas eq "{ENTERPRISE}"', {"jsmith"}),
    (
        'userType eq "Employee" and (emails co "example.com" or emails.value co "example.org")',
        {"bjensen", "James"},
    ),
    (
        'userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")',
        {"kim"},
    ),
    ('userType eq "Employee" and (emails.type eq "work")', {"bjensen", "James"}),
    ('userType eq "Employee" and emails[type eq "work" and value co "@example.com"]', {"bjensen"}),
    (
        'emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp" and value co "@foo.com"]',
        {"bjensen", "jsmith"},
    ),
    # the operators of table 3 that the examples leave out
    ('userName ew "SEN"', {"bjensen"}),
    ('title ne "Boss"', {"bjensen", "jsmith", "kim"}),
    ('userName gt "james" and userName le "KIM"', {"jsmith", "kim"}),
    ('not (userName lt "k")', {"kim"}),
]


@pytest.fixture
def people(scim: ScimClient) -> dict[str, Any]:
    return {name: scim.user(name, **attributes) for name, attributes in PEOPLE.items()}


def names(answer: Any) -> list[str]:
    return [user["userName"] for user in answer["Resources"]]


def test_3_4_1_a_known_resource_is_read(scim: ScimClient) -> None:
    created = scim.post("/Users", CREATED_BY_CLIENT)
    read = scim.get(f"/Users/{created['id']}")
    assert scim.response.headers["ETag"] == read["meta"]["version"]
    assert scim.response.headers["Location"] == read["meta"]["location"]
    assert read == created
    assert scim.get("/Users/2819c223-7f76-453a-919d-413861904646", status=404) == {
        "schemas": [ERROR],
        "status": "404",
        "detail": "There is no User '2819c223-7f76-453a-919d-413861904646' in this space.",
    }


@pytest.mark.usefixtures("people")
def test_3_4_2_a_query_is_answered_with_a_list(scim: ScimClient) -> None:
    answer = scim.get("/Users", attributes="userName")
    assert {key: answer[key] for key in ("schemas", "totalResults", "itemsPerPage", "startIndex")} == {
        "schemas": [LIST],
        "totalResults": 4,
        "itemsPerPage": 4,
        "startIndex": 1,
    }
    assert all(found.keys() == {"schemas", "id", "userName"} for found in answer["Resources"])
    nothing = scim.get("/Users", filter='userName eq "nobody"')
    assert (nothing["totalResults"], nothing["Resources"]) == (0, [])


@pytest.mark.usefixtures("people")
def test_3_4_2_2_every_filter_of_the_rfc_finds_whom_it_means(scim: ScimClient) -> None:
    for text, expected in FILTERS:
        assert set(names(scim.get("/Users", filter=text))) == expected, text
        upper = text.replace(" eq ", " EQ ").replace(" and ", " AND ").replace(" or ", " Or ").replace("not ", "NOT ")
        assert set(names(scim.get("/Users", filter=upper))) == expected, upper


def test_3_4_2_2_and_goes_before_or_and_not_before_both(scim: ScimClient, people: dict[str, Any]) -> None:
    assert people
    for text, expected in (
        ('userName eq "kim" or title pr and userType eq "Intern"', {"kim"}),
        ('(userName eq "kim" or title pr) and userType eq "Employee"', {"bjensen", "James"}),
        ('not (title pr) and userType pr or userName eq "kim"', {"jsmith", "kim"}),
    ):
        assert set(names(scim.get("/Users", filter=text))) == expected, text


def test_3_4_2_2_a_filter_that_is_none_is_invalid_filter(scim: ScimClient) -> None:
    for text in (
        *("userName", "userName eq", 'eq "x"', 'userName xx "x"', '(userName eq "x"', 'userName eq "x" and', "not"),
        *('emails[type eq "work"', 'noSuch eq "x"', "active gt true", 'x509Certificates.value gt "x"', "meta gt 1"),
        *('meta.created gt "yesterday"', 'password eq "x"', 'urn:none:User:userName eq "x"', "userName eq 'x'' y"),
    ):
        refused = scim.get("/Users", filter=text, status=400)
        assert (refused["schemas"], refused["scimType"], refused["status"]) == ([ERROR], "invalidFilter", "400"), text


def test_3_4_2_3_who_has_no_value_comes_last_and_first_when_descending(
    scim: ScimClient, people: dict[str, Any]
) -> None:
    assert people
    assert names(scim.get("/Users", sortBy="userName")) == ["bjensen", "James", "jsmith", "kim"]  # ascending by default
    for attribute, ascending, missing in (
        ("title", ["James", "bjensen"], ["jsmith", "kim"]),
        ("name.familyName", ["kim", "bjensen"], ["jsmith", "James"]),
        ("emails", ["bjensen", "jsmith", "James"], ["kim"]),
        ("emails.value", ["bjensen", "jsmith", "James"], ["kim"]),
        (f"{ENTERPRISE}:department", ["jsmith"], ["bjensen", "James", "kim"]),
        ("displayName", [], ["bjensen", "jsmith", "James", "kim"]),
    ):
        assert names(scim.get("/Users", sortBy=attribute, sortOrder="ascending")) == ascending + missing
        assert names(scim.get("/Users", sortBy=attribute.upper(), sortOrder="DESCENDING")) == missing + ascending[::-1]


@pytest.mark.usefixtures("people")
def test_3_4_2_4_paging(scim: ScimClient) -> None:
    everybody = names(scim.get("/Users"))
    for query, shown, start in (
        ({"startIndex": 1, "count": 10}, everybody, 1),
        ({"startIndex": 2, "count": 2}, everybody[1:3], 2),
        ({"startIndex": 4, "count": 2}, everybody[3:], 4),
        ({"startIndex": 5}, [], 5),
        ({"startIndex": 0}, everybody, 1),
        ({"startIndex": -3, "count": 1}, everybody[:1], 1),
        ({"count": 0}, [], 1),
        ({"count": -1}, [], 1),
    ):
        page = scim.get("/Users", **query)
        assert (names(page), page["startIndex"], page["itemsPerPage"]) == (shown, start, len(shown)), query
        assert page["totalResults"] == 4
    for query in ({"count": "ten"}, {"startIndex": "1.5"}):
        assert scim.get("/Users", **query, status=400)["scimType"] == "invalidValue"


@pytest.mark.usefixtures("people")
def test_3_4_3_search_by_post_takes_the_same_question_in_its_body(scim: ScimClient) -> None:
    question = {
        "schemas": [SEARCH],
        "attributes": ["displayName", "userName"],
        "filter": 'userName sw "j"',
        "sortBy": "userName",
        "sortOrder": "descending",
        "startIndex": 1,
        "count": 1,
    }
    answer = scim.post("/Users/.search", question, status=200)
    assert answer["schemas"] == [LIST]
    assert (answer["totalResults"], answer["itemsPerPage"], names(answer)) == (2, 1, ["jsmith"])
    assert answer["Resources"][0].keys() == {"schemas", "id", "userName"}
    without = scim.post("/Users/.search", {"excludedAttributes": ["emails", "meta"]}, status=200)
    assert not any(found.keys() & {"emails", "meta"} for found in without["Resources"])


def test_3_9_attributes_apply_to_every_answer_with_a_resource(scim: ScimClient) -> None:
    user = scim.post("/Users?attributes=userName", FULL_ENTERPRISE)
    assert user.keys() == {"schemas", "id", "userName"}
    path = f"/Users/{user['id']}"
    change = {"op": "replace", "path": "title", "value": "T"}
    for answer in (
        scim.get(path, attributes="userName"),
        scim.put(f"{path}?attributes=userName", FULL_ENTERPRISE),
        scim.patch(f"{path}?attributes=userName", change),
        scim.get("/Users", attributes="userName")["Resources"][0],
    ):
        assert answer == user
    whole = scim.get(path)
    for excluded in ("emails", "name.formatted,emails", f"emails,{ENTERPRISE}:manager", f"{USER}:emails"):
        shown = scim.get(path, excludedAttributes=excluded)
        assert whole.keys() - shown.keys() == {"emails"}
    assert "formatted" not in scim.get(path, excludedAttributes="name.formatted")["name"]
    for asked, expected in (
        ("name.familyName", {"name": {"familyName": "Jensen"}}),
        (f"{USER}:name.familyName", {"name": {"familyName": "Jensen"}}),
        (f"{ENTERPRISE}:department", {ENTERPRISE: {"department": "Tour Operations"}}),
        ("emails.type, noSuch", {"emails": [{"type": "work"}, {"type": "home"}]}),
        ("password", {}),
    ):
        shown = scim.get(path, attributes=asked)
        assert {key: value for key, value in shown.items() if key not in ("schemas", "id")} == expected, asked
        assert shown["id"] == user["id"]  # returned: always
    assert scim.get(path, excludedAttributes="id,schemas,userName").keys() >= {"id", "schemas"}


def test_4_discovery_is_neither_filtered_nor_cut(scim: ScimClient) -> None:
    for path in ("/ResourceTypes", "/Schemas"):
        scim.get(path, filter='name eq "User"', status=403)
        whole = scim.get(path)
        assert scim.get(path, sortBy="name", count=1, startIndex=2, attributes="id") == whole


@pytest.mark.usefixtures("people")
def test_3_4_2_1_and_3_4_3_users_and_groups_in_one_list_at_the_root(scim: ScimClient) -> None:
    """The example of section 3.4.3, with the people of this file."""
    smith = scim.user("smith", displayName="Smith, James", active=False)
    group = scim.group("Smith Family", smith["id"])
    question: dict[str, Any] = {
        "schemas": [SEARCH],
        "attributes": ["displayName", "userName"],
        "filter": 'displayName sw "smith"',
        "startIndex": 1,
        "count": 10,
    }
    answer = scim.post("/.search", question, status=200)
    assert {key: answer[key] for key in ("schemas", "totalResults", "itemsPerPage", "startIndex")} == {
        "schemas": [LIST],
        "totalResults": 2,
        "itemsPerPage": 2,
        "startIndex": 1,
    }
    assert answer["Resources"] == [
        {"schemas": [USER], "id": smith["id"], "userName": "smith", "displayName": "Smith, James"},
        {"schemas": group["schemas"], "id": group["id"], "displayName": "Smith Family"},
    ]
    assert scim.get("/", filter='displayName sw "smith"')["Resources"] == [scim.get(f"/Users/{smith['id']}"), group]


@pytest.mark.usefixtures("people")
def test_3_4_2_1_what_a_type_does_not_know_has_no_value_there(scim: ScimClient) -> None:
    scim.group("A Team")
    scim.group("Z Team")

    def shown(**query: Any) -> list[str]:
        found = scim.get("/", **query)["Resources"]
        return [each.get("userName", each.get("displayName")) for each in found]

    everything = ["bjensen", "jsmith", "James", "kim", "A Team", "Z Team"]
    for text, expected in (
        ('userName sw "j"', ["jsmith", "James"]),
        ('meta.resourceType eq "Group"', ["A Team", "Z Team"]),
        ('userName eq "kim" or displayName ew "team"', ["kim", "A Team", "Z Team"]),
        ("not (title pr)", ["jsmith", "kim", "A Team", "Z Team"]),
        ('title ne "Boss"', ["bjensen", "jsmith", "kim", "A Team", "Z Team"]),
        ("title eq null", ["jsmith", "kim", "A Team", "Z Team"]),
        ("title ne null", ["bjensen", "James"]),
        ('emails[type eq "home"]', ["jsmith", "James"]),
        ("members pr or groups pr", []),
    ):
        assert shown(filter=text) == expected, text
    assert shown() == everything
    assert shown(sortBy="userName") == ["bjensen", "James", "jsmith", "kim", "A Team", "Z Team"]
    assert shown(sortBy="displayName", sortOrder="descending") == [*everything[:4], "Z Team", "A Team"]
    assert shown(sortBy="meta.created", sortOrder="descending") == everything[::-1]
    assert shown(sortBy="active")[-2:] == ["A Team", "Z Team"]
    assert [shown(startIndex=start, count=4) for start in (1, 5, 9)] == [everything[:4], everything[4:], []]
    assert scim.get("/", count=0)["totalResults"] == 6
    for query in ({"filter": 'noSuch eq "x"'}, {"sortBy": "noSuch"}, {"cursor": ""}):
        assert scim.get("/", **query, status=400)["scimType"] in ("invalidFilter", "invalidValue")
