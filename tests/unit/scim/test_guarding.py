"""Which requests wait for the guard: those that take a user away, and as few others as can be told by looking."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy.orm import Session

from portal.core.actor import SYSTEM
from portal.core.database import Database
from portal.core.space.models import SpaceKey
from scim import guarding
from scim.resources import Door
from tests.support.make import Make
from tests.support.statements import statements

ENTRA = {"Operations": [{"op": "Replace", "path": "active", "value": "False"}]}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "method", "body", "waits"),
    [
        ("Users", "DELETE", None, True),
        ("Users", "PATCH", ENTRA, True),
        ("Users", "PATCH", {"Operations": [{"op": "replace", "value": {"active": False}}]}, True),
        ("Users", "PUT", {"userName": "ann", "ACTIVE": False}, True),
        ("Users", "PUT", {"active": True, "emails": [{"value": "a@b.example", "primary": False}]}, False),
        ("Users", "PATCH", {"Operations": [{"op": "replace", "value": {"active": True, "title": "false"}}]}, False),
        ("Groups", "PUT", {"displayName": "active false"}, False),
        ("Bulk", "POST", {"Operations": [{"method": "delete", "path": "/Users/u-1"}]}, True),
        ("Bulk", "POST", {"Operations": [{"method": "PATCH", "path": "/Users/u-1", "data": ENTRA}]}, True),
    ],
)
def test_who_waits_for_the_guard(
    session: Session, make: Make, database: Database, kind: str, method: str, body: Any, waits: bool
) -> None:
    space = make.space("acme", scim_enabled=True)
    door = Door(session, SYSTEM, SpaceKey(space.id, space.organization_id), "http://localhost/scim/v2")
    with statements(database) as seen:
        guarding.lock_first(door, kind, method, json.dumps(body).encode() if body else b"")
    assert any("scim_guards" in statement for statement in seen) is waits
