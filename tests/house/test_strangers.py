"""Many organizations, one installation: on every route, in path and body, another organization's ids find nothing."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.datastructures import MultiDict
from werkzeug.routing import Rule

from portal.core import clock
from portal.core.access.models import Deployment, Task, UserSync
from portal.core.actor import SYSTEM
from portal.core.cam.models import CamUser
from portal.core.database import Database
from portal.core.federation import attempts, certificates, sp_keys
from portal.core.federation.models import IdentityProviderOffer, KeyUse, SamlKey
from portal.core.guardrails import policies
from portal.core.models import Base
from portal.core.organization.models import Department, Organization
from portal.core.push import credentials, requests
from portal.core.push.models import ScimRequest
from portal.settings import Settings
from tests.support import admin
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.provisioning import Provisioning
from tests.support.saml_idp import key_pair
from tests.support.trust import certificate, trust

# What people write in passing; every other table must stand as it was.
OWN_TABLES = {"audit_events", "sign_ins"}


# They take no ids, and change what is the administrator's own.
OF_ONES_OWN = {"console.sign_out", "console.sign_in", "console.enable_scp", "console.disable_scp"}

Ids = dict[str, Any]


@pytest.fixture
def stranger(make: Make, settings: Settings) -> Ids:
    """Ids of another organization by the names that routes give them."""
    other = Provisioning(make, settings, "other")
    alice, bob = make.user(other.space, "alice"), make.user(other.space, "bob")
    group = make.group(other.space, "team", members=[alice])
    shop, reader = other.account("shop"), other.configuration("reader")
    other.grant([shop], [alice, group], [reader])
    other.synchronize([shop], [bob])
    other.work()
    trust(make, other.space, certificate("first"), certificate("second"))
    private_key, pem = key_pair("service provider")
    with make.transaction() as session:
        sp_keys.make(
            session, SYSTEM, space=other.space, private_key=private_key, certificate=pem, secret_key=make.secret_key
        )
        certificate_id = certificates.of_space(session, other.space)[0].id
    with make.transaction() as session:
        credential, _secret = credentials.create_credential(
            session, SYSTEM, space=other.space, lifetime=timedelta(days=1)
        )
        line = requests.Line(
            at=clock.now(), space_id=other.space.id, method="POST", path="/scim/v2/Users", status=409, milliseconds=1.0,
            failed=True, target_id=alice.id, target_name="alice",
        )  # fmt: skip
        requests.record(session, [line])
        attempt = attempts.record(session, space=other.space, accepted=True, user_name="alice", response="<alice/>")
        session.add(IdentityProviderOffer(space_id=other.space.id, entity_id="alice", sso_url="", certificates=""))
        other_organization = session.get_one(Organization, other.space.organization_id)
        policies.enable(session, SYSTEM, organization=other_organization)
        task = session.scalars(select(Task).where(Task.space_id == other.space.id)).first()
        assert task is not None
        return {
            "user_id": alice.id,
            "group_id": group.id,
            "principal_id": alice.id,
            "configuration_id": reader.id,
            "deployment_id": session.scalars(select(Deployment.id).where(Deployment.space_id == other.space.id)).one(),
            "sync_id": session.scalars(select(UserSync.id).where(UserSync.space_id == other.space.id)).one(),
            "task_id": task.id,
            "batch_id": task.batch_id,
            "credential_id": credential.id,
            "attempt_id": attempt.id,
            "certificate_id": certificate_id,
            "key_id": session.scalars(select(SamlKey.id).where(SamlKey.use == KeyUse.SERVICE_PROVIDER)).one(),
            "scim_request_id": session.scalars(select(ScimRequest.id)).one(),
            "department_id": session.scalars(
                select(Department.id).where(Department.organization_id == other.space.organization_id)
            ).one(),
            "uin": shop.uin,
            "user_uin": session.scalars(select(CamUser.uin).where(CamUser.account_uin == shop.uin)).one(),
            "name": "ReadOnlyAccess",
            "space": "other",
            "row_id": alice.id,
            "policy_id": policies.create_policy(
                session, SYSTEM, organization=other_organization, name="alice", document=policies.FULL_ACCESS_DOCUMENT
            ).id,
        }


def contents(database: Database) -> dict[str, list[Any]]:
    with database.engine.connect() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(select(table)).all()))
            for table in Base.metadata.sorted_tables
            if table.name not in OWN_TABLES
        }


def forged(stranger: Ids) -> MultiDict[str, str]:
    """A form that fits every page a little: each field that a page of ours knows, filled with the stranger's ids."""
    ids = stranger
    return MultiDict(
        [
            ("user", ids["user_id"]),
            ("group", ids["group_id"]),
            ("account", str(ids["uin"])),
            ("member", str(ids["uin"])),
            ("configuration", ids["configuration_id"]),
            ("deployment", str(ids["deployment_id"])),
            ("authorization", "1"),
            ("department", str(ids["department_id"])),
            ("parent", str(ids["department_id"])),
            ("sync", ids["sync_id"]),
            ("policy", "ReadOnlyAccess"),
            ("which", "offer"),
            ("step", "2"),
            ("enabled", "no"),
            ("duplication_strategy", "KeepBoth"),
            ("deletion_strategy", "Delete"),
            ("session_duration", "3600"),
            ("undeploy_last", "y"),
        ]
    )


def routes(app: Flask, start: str) -> list[Rule]:
    return [rule for rule in app.url_map.iter_rules() if rule.rule.startswith(start)]


def test_no_page_of_the_console_shows_or_changes_what_is_another_organizations(
    app: Flask, browser: Browser, make: Make, database: Database, stranger: Ids
) -> None:
    admin.sign_in(browser, make, policies=["AdministratorAccess"])
    token = browser.page.find(attrs={"name": "csrf_token"})["value"]
    before = contents(database)
    for rule in routes(app, "/console/"):
        with app.test_request_context():
            _host, url = rule.build({name: stranger[name] for name in rule.arguments}) or ("", "")
        for method in sorted((rule.methods or set()) & {"GET", "POST"}):
            if method == "POST" and rule.endpoint in OF_ONES_OWN:
                continue
            form = forged(stranger)
            form.add("csrf_token", token)
            sent = {"data": form} if method == "POST" else {"query_string": form}
            response = browser.client.open(url, method=method, **sent)
            assert response.status_code < 500, f"{method} {url}: {response.status_code}"
            if rule.arguments and response.status_code not in (302, 303, 400, 403, 404):
                pytest.fail(f"{method} {url} answers {response.status_code}")
            page = re.sub(r"<(input|option)[^>]*>", "", response.get_data(as_text=True))
            assert "alice" not in page, f"{method} {url} shows a stranger"
    after = contents(database)
    assert {name for name in before if before[name] != after[name]} == set()


def test_a_scim_credential_opens_its_own_space_only(app: Flask, make: Make, database: Database, stranger: Ids) -> None:
    space = make.space("mine", scim_enabled=True)
    with make.transaction() as session:
        _credential, secret = credentials.create_credential(session, SYSTEM, space=space, lifetime=timedelta(days=1))
    client, headers = app.test_client(), {"Authorization": f"Bearer {secret}"}
    before = contents(database)["users"]
    for kind, row_id in (("Users", stranger["user_id"]), ("Groups", stranger["group_id"])):
        assert client.get(f"/scim/v2/{kind}", headers=headers).get_json()["totalResults"] == 0
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            body = {"userName": "x", "displayName": "x", "Operations": [{"op": "replace", "value": {"active": False}}]}
            response = client.open(f"/scim/v2/{kind}/{row_id}", method=method, json=body, headers=headers)
            assert response.status_code == 404, f"{method} {kind}"
    members = {"displayName": "mine", "members": [{"value": stranger["user_id"]}]}
    assert client.post("/scim/v2/Groups", json=members, headers=headers).status_code in (400, 404)
    assert contents(database)["users"] == before
