"""Closing an organization (ORG-3)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from portal.core.access import removal
from portal.core.access.models import BatchUser, OpenedSession
from portal.core.actor import Actor
from portal.core.audit import AuditEvent
from portal.core.database import Database
from portal.core.errors import Conflict
from portal.core.guardrails import policies
from portal.core.models import Base
from portal.core.organization import members
from portal.core.organization.closing import close_organization
from portal.core.organization.models import Account, Member, Organization
from portal.core.space.models import Space
from portal.settings import Settings
from tests.support import admin
from tests.support.make import Make
from tests.support.meeting import on_postgresql, waiting
from tests.support.provisioning import Provisioning

ADMIN = Actor("administrator", "1", "admin")


def close(make: Make, organization_id: int) -> None:
    with make.transaction() as session:
        close_organization(session, ADMIN, organization=session.get_one(Organization, organization_id))


def contents(database: Database, *, but: tuple[str, ...] = ()) -> dict[str, list[Any]]:
    with database.engine.connect() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(select(table)).all()))
            for table in Base.metadata.sorted_tables
            if table.name not in but
        }


def test_org_3_refused_while_members_or_anything_in_the_admin_account_is_left(make: Make, settings: Settings) -> None:
    house = Provisioning(make, settings)
    number = house.space.organization_id
    shop, alice, reader = house.account("shop"), house.user("alice"), house.configuration("reader")
    with make.transaction() as session:
        root = session.get_one(Account, session.get_one(Organization, number).admin_uin)
    house.grant([root], [alice], [reader])
    house.synchronize([root], [alice])
    with pytest.raises(Conflict, match="1 other member account, 2 open tasks, 1 authorization, 1 user synchronization"):
        close(make, number)
    house.work()
    with make.transaction() as session:
        members.remove_members(session, ADMIN, organization=session.get_one(Organization, number), uins=[shop.uin])
    with pytest.raises(Conflict, match="still has 1 authorization, 1 user synchronization, 1 deployed configuration"):
        close(make, number)
    with make.transaction() as session:
        batch = removal.remove_everything(session, ADMIN, space=house.space, accounts=[root.uin])
    with pytest.raises(Conflict, match="3 open tasks"):
        close(make, number)
    assert set(house.done(batch)) == {"Success"}
    close(make, number)


def test_org_3_nothing_of_it_is_left_and_nothing_of_others_changes(
    make: Make, settings: Settings, database: Database
) -> None:
    other = Provisioning(make, settings, "other")
    other.grant([other.account()], [other.user("zoe")], [other.configuration("reader")])
    other.work()
    kept = ("audit_events", "accounts", "account_claims", "cam_roles", "cam_attachments", "cam_identity_providers")
    before = contents(database, but=kept)
    house = Provisioning(make, settings)
    number = house.space.organization_id
    shop, alice = house.account("shop"), house.user("alice")
    house.grant([shop], [alice, house.group("team", [alice])], [house.configuration("reader")])
    house.synchronize([shop], [alice])
    house.work()
    with make.transaction() as session:
        session.add(OpenedSession(user_id=alice.id, account_uin=shop.uin, ends_at=alice.created_at))
        batch = removal.remove_everything(session, ADMIN, space=house.space, accounts=[shop.uin])
        session.add(BatchUser(batch_id=batch, user_id=alice.id))
    assert set(house.done(batch)) == {"Success"}
    with make.transaction() as session:
        organization = session.get_one(Organization, number)
        policies.enable(session, ADMIN, organization=organization)
        members.remove_members(session, ADMIN, organization=organization, uins=[shop.uin])
    close(make, number)
    assert contents(database, but=kept) == before
    with make.transaction() as session:
        assert session.scalars(select(AuditEvent).where(AuditEvent.organization_id == number)).all() == []
        closed = select(AuditEvent).where(AuditEvent.organization_id == -number, AuditEvent.target_id == str(number))
        assert session.scalars(closed).all()[-1].action == "organization.close"


def test_org_3_an_organization_without_a_space_is_closed_and_made_anew(make: Make) -> None:
    organization = admin.make_organization(make, "Acme")
    close(make, organization.id)
    again = admin.make_organization(make, "Acme")
    admin.activate(make, again, "acme")
    close(make, again.id)
    admin.activate(make, admin.make_organization(make, "Acme"), "acme")
    with make.transaction() as session:
        assert session.query(Organization).count() == 1


def locked_while_it_waits(database: Database, first: Any, then: Any, verb: Callable[[], Any]) -> None:
    """`verb` waits for who has locked `first`, and does not hold what that one locks `then`."""
    with ThreadPoolExecutor(1) as pool:
        session = database.session()
        try:
            session.execute(first).all()
            running = pool.submit(verb)
            while not waiting(database):
                assert not running.done()
            session.execute(then).all()
        finally:
            session.rollback()
            session.close()
        running.result(timeout=10)


@on_postgresql
def test_org_3_closing_waits_for_a_worker_that_then_takes_the_space(make: Make, settings: Settings) -> None:
    house = Provisioning(make, settings)
    number = house.space.organization_id
    member = select(Member.account_uin).where(Member.organization_id == number)
    space = select(Space.id).where(Space.id == house.space.id)
    locked_while_it_waits(
        make.database,
        member.with_for_update(read=True, key_share=True),
        space.with_for_update(read=True, nowait=True),
        lambda: close(make, number),
    )


@on_postgresql
def test_org_3_removing_everything_waits_for_who_closes_the_organization(make: Make, settings: Settings) -> None:
    house = Provisioning(make, settings)
    number, shop = house.space.organization_id, house.account("shop")

    def remove() -> None:
        with make.transaction() as session:
            removal.remove_everything(session, ADMIN, space=house.space, accounts=[shop.uin])

    locked_while_it_waits(
        make.database,
        select(Organization.id).where(Organization.id == number).with_for_update(),
        select(Member.account_uin).where(Member.organization_id == number).with_for_update(nowait=True),
        remove,
    )
