"""The operations that are measured, as requests in each server's own dialect.

`SCIM` speaks to ours and to the peers; `Bare` asks the floor for the same rows to be read and written.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.benchmarks.scim.servers import Server

USERS, GROUPS, MEMBERS, AT_ONCE, BIG = 2_000, 100, 50, 10, 2_000
OPERATIONS = (
    "create user", "get user", "find by userName", "find by externalId", "complex filter", "page of 100",
    "replace user", "patch active", "create group", "find group", "add 10 members", "remove 10 members",
    "one out of 2,000", "one into 2,000",
)  # fmt: skip
_PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
_GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


def user(number: int | str, **changed: Any) -> dict[str, Any]:
    """What an IdP sends of a person."""
    return {
        "schemas": [_USER],
        "userName": f"user{number}@example.com",
        "externalId": f"external-{number}",
        "name": {"givenName": f"Given{number}", "familyName": f"Family{number}"},
        "displayName": f"Given{number} Family{number}",
        "emails": [{"value": f"user{number}@example.com", "type": "work", "primary": True}],
        "title": "Engineer",
        "active": True,
    } | changed


def ids(answers: list[Any]) -> list[str]:
    return [answer["id"] for answer in answers]


@dataclass
class Scim:
    """`removes_by_value`: django-scim2 knows no path with a filter for members."""

    server: Server
    removes_by_value: bool = False
    users: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    big: str = ""
    fresh: Any = field(default_factory=lambda: itertools.count(USERS))

    def load(self) -> None:
        client = self.server.client
        made = client.run([client.request("POST", "/Users", user(n)) for n in range(USERS)])
        assert made.errors == 0, (self.server.name, made.statuses, made.bodies[:2])
        self.users = ids(made.json())
        made = client.run([client.request("POST", "/Groups", self._group(f"Group {n}")) for n in range(GROUPS)])
        assert made.errors == 0, (self.server.name, made.statuses, made.bodies[:2])
        self.groups = ids(made.json())
        self.big = ids(client.run([client.request("POST", "/Groups", self._group("Everybody"))]).json())[0]
        filled = client.run(
            [self._add(group, self._some(n * MEMBERS, MEMBERS)) for n, group in enumerate(self.groups)]
            + [self._add(self.big, self._some(n * 100, 100)) for n in range(BIG // 100)]
        )
        assert filled.errors == 0, (self.server.name, filled.statuses, filled.bodies[:2])

    def requests(self, operation: str, turn: int, count: int) -> list[bytes]:
        """`turn` counts the rounds: what one round put in, the same round takes out."""
        make = getattr(self, "_" + operation.replace(" ", "_").replace(",", ""))
        return [make(turn, number) for number in range(count)]

    def _create_user(self, _turn: int, _number: int) -> bytes:
        return self._send("POST", "/Users", user(next(self.fresh)))

    def _get_user(self, _turn: int, number: int) -> bytes:
        return self._send("GET", f"/Users/{self._one(number)}")

    def _find_by_userName(self, _turn: int, number: int) -> bytes:
        return self._find("/Users", f'userName eq "user{number % USERS}@example.com"')

    def _find_by_externalId(self, _turn: int, number: int) -> bytes:
        return self._find("/Users", f'externalId eq "external-{number % USERS}"')

    def _complex_filter(self, _turn: int, number: int) -> bytes:
        wanted = f"user{100 + number % 100}"
        mail = f'emails[type eq "work" and value eq "{wanted}@example.com"]'
        return self._find("/Users", f'(userName sw "{wanted}" and active eq true) or {mail}', "&count=20")

    def _page_of_100(self, _turn: int, number: int) -> bytes:
        return self._send("GET", f"/Users?startIndex={1 + 100 * (number % (USERS // 100))}&count=100")

    def _replace_user(self, turn: int, number: int) -> bytes:
        changed = user(number % USERS, title=f"Title {turn}", displayName=f"Name {turn} {number}")
        return self._send("PUT", f"/Users/{self._one(number)}", changed)

    def _patch_active(self, turn: int, number: int) -> bytes:
        operation = {"op": "replace", "path": "active", "value": bool((turn + number // USERS) % 2)}
        return self._patch(f"/Users/{self._one(number)}", operation)

    def _create_group(self, _turn: int, _number: int) -> bytes:
        return self._send("POST", "/Groups", self._group(f"New group {next(self.fresh)}"))

    def _find_group(self, _turn: int, number: int) -> bytes:
        return self._find("/Groups", f'displayName eq "Group {number % GROUPS}"', "&excludedAttributes=members")

    def _add_10_members(self, turn: int, number: int) -> bytes:
        return self._add(self.groups[number % GROUPS], self._joining(number))

    def _remove_10_members(self, turn: int, number: int) -> bytes:
        return self._remove(self.groups[number % GROUPS], self._joining(number))

    def _one_into_2000(self, turn: int, number: int) -> bytes:
        return self._add(self.big, self._some(number, 1))

    def _one_out_of_2000(self, turn: int, number: int) -> bytes:
        return self._remove(self.big, self._some(number, 1))

    def _joining(self, number: int) -> list[str]:
        """Ten users who are not in the group, others each time that the group comes by."""
        group, again = number % GROUPS, number // GROUPS
        return self._some(group * MEMBERS + MEMBERS + again * AT_ONCE, AT_ONCE)

    def _one(self, number: int) -> str:
        return self.users[number % USERS]

    def _some(self, start: int, count: int) -> list[str]:
        return [self._one(start + number) for number in range(count)]

    def _group(self, name: str) -> dict[str, Any]:
        return {"schemas": [_GROUP], "displayName": name}

    def _add(self, group: str, members: list[str]) -> bytes:
        value = [{"value": member} for member in members]
        return self._patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": value})

    def _remove(self, group: str, members: list[str]) -> bytes:
        if self.removes_by_value:
            value = [{"value": member} for member in members]
            return self._patch(f"/Groups/{group}", {"op": "remove", "path": "members", "value": value})
        paths = [f'members[value eq "{member}"]' for member in members]
        return self._patch(f"/Groups/{group}", *({"op": "remove", "path": path} for path in paths))

    def _patch(self, path: str, *operations: dict[str, Any]) -> bytes:
        return self._send("PATCH", path, {"schemas": [_PATCH], "Operations": list(operations)})

    def _find(self, path: str, filter: str, more: str = "") -> bytes:
        return self._send("GET", f"{path}?filter={quote(filter)}{more}")

    def _send(self, method: str, path: str, body: Any = None) -> bytes:
        return self.server.client.request(method, path, body)


class Bare(Scim):
    """The same of the floor, which has no filters: it is told the column."""

    def _find_by_userName(self, _turn: int, number: int) -> bytes:
        return self._send("GET", f"/Users?userName=user{number % USERS}@example.com")

    def _find_by_externalId(self, _turn: int, number: int) -> bytes:
        return self._send("GET", f"/Users?externalId=external-{number % USERS}")

    def _complex_filter(self, _turn: int, number: int) -> bytes:
        return self._send("GET", f"/Users?like=user{100 + number % 100}%25&count=20")

    def _patch_active(self, turn: int, number: int) -> bytes:
        active = bool((turn + number // USERS) % 2)
        return self._send("PATCH", f"/Users/{self._one(number)}", {"active": active})

    def _find_group(self, _turn: int, number: int) -> bytes:
        return self._send("GET", f"/Groups?name={quote(f'Group {number % GROUPS}')}")

    def _add(self, group: str, members: list[str]) -> bytes:
        return self._send("PATCH", f"/Groups/{group}", {"add": members})

    def _remove(self, group: str, members: list[str]) -> bytes:
        return self._send("PATCH", f"/Groups/{group}", {"remove": members})
