"""A company with accounts, people and configurations, and the two who work on it over HTTP: an administrator at the
console's forms, and an identity provider that pushes by SCIM.

Only what was answered counts as said: a request that nobody answered, or with 5xx, may have happened or not.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from http.cookiejar import CookieJar
from typing import Any

from sqlalchemy import select

from portal.core.access import configurations
from portal.core.access.models import Configuration
from portal.core.actor import SYSTEM
from portal.core.cam.users import create_cam_user
from portal.core.database import Database
from portal.core.directory.models import Group, User
from portal.core.space.models import Space
from tests.chaos.stack import Stack
from tests.support.make import Make

PASSWORD = "correct horse battery staple"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
POLICIES = ("ReadOnlyAccess", "QcloudCamFullAccess", "QcloudCVMFullAccess", "QcloudCOSReadOnlyAccess")
_BATCH = re.compile(r"/console/tasks/batches/(b-[^?/]+)")
_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


class Unanswered(Exception):
    """Nobody can say whether the request was carried out."""


@dataclass
class Ledger:
    """What was answered: batches with the number of their tasks (0: at least one), and the last known state of what
    was switched on and off; what an unanswered request was about is not known any more.
    """

    batches: dict[str, int] = field(default_factory=dict)
    switched: dict[tuple[str, str], bool | None] = field(default_factory=dict)
    answered: int = 0
    unanswered: int = 0
    refused: int = 0


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any) -> None:
        return None


@dataclass(frozen=True)
class Answer:
    status: int
    location: str
    text: str


class Client:
    def __init__(self, base: str) -> None:
        self.base = base
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar()), _Stay()
        )

    def ask(self, method: str, path: str, data: bytes | None = None, **headers: str) -> Answer:
        """Raises Unanswered."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.base + path, data, named, method=method)
        try:
            with self.opener.open(request, timeout=60) as answer:
                return Answer(answer.status, answer.headers.get("Location", ""), answer.read().decode())
        except urllib.error.HTTPError as error:
            if error.code >= 500:
                raise Unanswered(f"{method} {path}: {error.code}") from None
            return Answer(error.code, error.headers.get("Location", ""), "")
        except (OSError, HTTPException) as error:
            raise Unanswered(str(error)) from None


class Company:
    def __init__(self, stack: Stack, *, accounts: int = 6, people: int = 6) -> None:
        self.stack = stack
        given = ("--organization", "Acme", "--space", "acme", "--admin", "admin")
        stack.command("init", *given, given=PASSWORD)
        self.secret = stack.command("scim-credential", "create", "--space", "acme")
        self.database = Database(stack.database_url)
        make = Make(self.database, "")
        with make.transaction() as session:
            self.space = session.scalars(select(Space)).one()
        self.accounts = [make.account(self.space) for _ in range(accounts)]
        with make.transaction() as session:
            for name, policies in (("Reader", POLICIES[:1]), ("Operator", POLICIES[:3]), ("Auditor", POLICIES[3:])):
                configurations.create_configuration(
                    session, SYSTEM, space=self.space, name=name, policies=policies, session_duration=7200
                )
            self.configurations = list(session.scalars(select(Configuration)))
            create_cam_user(session, SYSTEM, account_uin=self.accounts[0].uin, name="user1", policies=())
        self.ledger = Ledger()
        for configuration in self.configurations:
            for name in POLICIES:
                self.ledger.switched[configuration.id, name] = None
        self.console, self.provider = Client(stack.url), Client(stack.url)
        self._people = people
        self.users: list[User] = []
        self.groups: list[Group] = []

    def move_in(self) -> None:
        """With the portal running: the administrator signs in, the identity provider pushes people and teams."""
        page = self.console.ask("GET", "/console/login")
        fields = {"account": "acme", "user_name": "admin", "password": PASSWORD, "csrf_token": _token(page)}
        entered = self.console.ask("POST", "/console/login", _form(fields))
        assert entered.status in (302, 303), entered
        for number in range(self._people):
            body = {"userName": f"user{number}", "displayName": f"User {number}", "active": True}
            assert self.scim("POST", "/Users", body).status == 201
        for number in range(2):
            assert self.scim("POST", "/Groups", {"displayName": f"team{number}"}).status == 201
        with self.database.transaction(write=False) as session:
            self.users, self.groups = list(session.scalars(select(User))), list(session.scalars(select(Group)))
        for group in self.groups:
            for user in self.users:
                self.ledger.switched[group.id, user.id] = False

    def scim(self, method: str, path: str, body: Mapping[str, Any]) -> Answer:
        headers = {"Authorization": f"Bearer {self.secret}", "Content_Type": "application/scim+json"}
        return self.provider.ask(method, f"/scim/v2{path}", json.dumps(body).encode(), **headers)

    def submit(self, page: str, target: str = "", *, tasks: int | None = None, **fields: Any) -> bool:
        """Open a page of the console, post its form (to `target`). Whether it was accepted; raises Unanswered.

        `tasks` is how many an accepted form must have made; 0 for at least one, None for a form that makes none.
        """
        shown = self.console.ask("GET", page)
        if shown.status != 200:
            return self._count(accepted=False)
        fields = {**fields, "csrf_token": _token(shown)}
        answer = self.console.ask("POST", target or page.split("?")[0], _form(fields))
        found = _BATCH.search(answer.location)
        if answer.status != 303 or (tasks is not None and not found):
            return self._count(accepted=False)
        if found and tasks is not None:
            self.ledger.batches[found[1]] = tasks
        return self._count(accepted=True)

    def switch(self, one: str, other: str, on: bool, act: Any) -> None:
        """Remember what is on, whatever comes of the request that switches it."""
        before = self.ledger.switched.get((one, other))
        self.ledger.switched[one, other] = None
        done = act()
        self.ledger.switched[one, other] = on if done else before

    def move(self, group: Group, user: User, joins: bool) -> bool:
        operation: dict[str, Any] = {"op": "remove", "path": f'members[value eq "{user.id}"]'}
        if joins:
            operation = {"op": "add", "path": "members", "value": [{"value": user.id}]}
        answer = self.scim("PATCH", f"/Groups/{group.id}", {"schemas": [PATCH], "Operations": [operation]})
        assert answer.status in (200, 204), answer
        return self._count(accepted=True)

    def _count(self, *, accepted: bool) -> bool:
        self.ledger.answered += 1
        self.ledger.refused += not accepted
        return accepted


def query(**lists: Sequence[object]) -> str:
    return urllib.parse.urlencode([(name, value) for name, values in lists.items() for value in values])


def _form(fields: Mapping[str, Any]) -> bytes:
    return urllib.parse.urlencode(fields, doseq=True).encode()


def _token(page: Answer) -> str:
    found = _TOKEN.search(page.text)
    assert found, f"{page.status}: no form on the page {page.text[:300]}"
    return found[1]
