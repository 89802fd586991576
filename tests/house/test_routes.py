"""Every route names its permission, is closed without it, and every page has its title and place in the navigation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from werkzeug.routing import IntegerConverter, Rule

from portal.web.permissions import PUBLIC_ENDPOINTS, Permission, permission_of


def rules(app: Flask) -> Iterator[Rule]:
    for rule in app.url_map.iter_rules():
        if rule.endpoint not in PUBLIC_ENDPOINTS:
            yield rule


def values(rule: Rule) -> dict[str, object]:
    numbers = {name for name, converter in rule._converters.items() if isinstance(converter, IntegerConverter)}
    return {name: 1 if name in numbers else "x-000000000000" for name in rule.arguments}


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest, tmp_path, sqlite_template):  # type: ignore[no-untyped-def]
    """The routes are the same on every database."""
    import shutil

    from portal.core.database import Database

    shutil.copy(sqlite_template, tmp_path / "portal.db")
    database = Database(f"sqlite:///{tmp_path / 'portal.db'}")
    yield database
    database.dispose()


def test_every_route_names_its_permission(app: Flask) -> None:
    assert [rule.endpoint for rule in rules(app) if permission_of(app, rule.endpoint) is None] == []


def test_console_permissions_are_actions_of_the_real_product(app: Flask) -> None:
    for rule in rules(app):
        if rule.endpoint.startswith("console."):
            permission = permission_of(app, rule.endpoint)
            assert permission is not None
            allowed = permission in (Permission.PUBLIC, Permission.ADMINISTRATOR) or ":" in permission
            assert allowed, f"{rule.endpoint}: {permission}"


def test_without_signing_in_no_closed_route_answers(app: Flask) -> None:
    client = app.test_client()
    app.config["WTF_CSRF_ENABLED"] = False
    open_routes = []
    for rule in rules(app):
        permission = permission_of(app, rule.endpoint)
        if permission == Permission.PUBLIC:
            continue
        with app.test_request_context():
            url = rule.build(values(rule))
        assert url is not None
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            status = client.open(url[1], method=method).status_code
            if status not in (302, 401, 403):
                open_routes.append((method, url[1], status))
    assert open_routes == []


def test_changing_requests_need_a_csrf_token(app: Flask) -> None:
    """All but the doors that other systems knock at: SCIM (bearer credential) and SAML (signed messages)."""
    exempt = set(app.extensions["csrf"]._exempt_views)
    assert all(name.endswith((".acs", ".slo")) for name in exempt), exempt


def test_unused_permissions_do_not_pile_up(app: Flask) -> None:
    used = {permission_of(app, rule.endpoint) for rule in rules(app)}
    import re
    from pathlib import Path

    templates = "\n".join(path.read_text() for path in Path(app.template_folder or "").rglob("*.html"))
    used |= {Permission[name] for name in re.findall(r"Permission\.([A-Z_]+)", templates)}
    assert set(Permission) - used == set()
