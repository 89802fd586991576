"""The questions that show what a policy changes: one for each kind of action, and the resources that it speaks of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from portal.core.cam import catalogue

_ANY = "Example"  # stands for what a wildcard covers, where no name of it is known
MOST = 5_000


@dataclass(frozen=True, slots=True)
class Question:
    """An action on a resource, whose account segment is empty where each account is asked about its own.

    `shown` is the wildcard that the question stands for.
    """

    action: str
    resource: str = "*"
    shown: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        return self.shown or self.action


def questions_about(document: str) -> list[Question]:
    """At most 5,000: what the catalogue knows, on everything, and what the policy names, on what it names.

    `document` is a policy that was read without a fault.
    """
    found = dict.fromkeys(_of_catalogue())
    statements = json.loads(document)["statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        actions = [action.removeprefix("name/") for action in _listed(statement["action"]) if action != "*"]
        resources = [_one(resource) for resource in _listed(statement["resource"])]
        for action in actions:
            for resource in ("*", *resources):
                found[_question(action, resource)] = None
        if not actions:
            named = [resource for resource in resources if resource != "*"]
            for resource in named:
                found[_question(f"{resource.split(':')[2] or 'cvm'}:*", resource)] = None
    return list(found)[:MOST]


def _of_catalogue() -> Iterator[Question]:
    for service in catalogue.services().values():
        for action in (*service.actions, "*"):
            yield _question(f"{service.name}:{action}", "*")


def _question(action: str, resource: str) -> Question:
    service, _, name = action.partition(":")
    single = f"{'cvm' if service == '*' else service}:{name.replace('*', _ANY) or _ANY}"
    return Question(single, resource, action if single != action else "")


def _one(resource: str) -> str:
    """One resource of those that the pattern covers, in the account that is asked."""
    if resource == "*":
        return resource
    segments = resource.split(":", 5)
    region = "" if segments[3] == "*" else segments[3]
    account = "" if segments[4].endswith("*") else segments[4]
    service = "cvm" if segments[2] == "*" else segments[2]
    name = segments[5].replace("*", _ANY)
    return ":".join(["qcs", "", service, region, account, name])


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]
