from __future__ import annotations

from threading import Barrier, Thread

import pytest
from sqlalchemy import select

from portal.core.actor import SYSTEM, Actor
from portal.core.audit import AuditEvent
from portal.core.database import Database
from portal.core.directory import queries, users
from portal.core.directory.models import Source, User
from portal.core.errors import Conflict, Forbidden, Invalid, LimitReached, NotFound
from portal.core.limits import Limits, set_limits
from portal.core.paging import Search
from tests.support.make import Make

SCIM = Actor("scim", "scimcred-x", "IdP")


@pytest.mark.parametrize("name", ["a", "A1+=,.@-_", "x" * 64, "zhang.wei@example.com"])
def test_ic_3_user_names_of_letters_digits_and_listed_characters_are_taken(make: Make, name: str) -> None:
    assert make.user(make.space(), name).user_name == name


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "a/b", "ä", "a\n", "<b>"])
def test_ic_3_other_user_names_are_refused_by_field_and_rule(make: Make, name: str) -> None:
    space = make.space()
    with make.transaction() as session, pytest.raises(Invalid, match="1 to 64") as refusal:
        users.create_user(session, SYSTEM, space=space, user_name=name)
    assert refusal.value.field == "user_name"


def test_ic_3_a_user_name_is_unique_in_its_space_without_case(make: Make) -> None:
    space, other = make.space(), make.space()
    make.user(space, "Alice")
    make.user(other, "alice")
    with pytest.raises(Conflict, match="exists already") as refusal:
        make.user(space, "ALICE")
    assert refusal.value.field == "user_name"


def test_an_email_is_unique_in_its_space(make: Make) -> None:
    space = make.space()
    make.user(space, "alice", email="a@example.com")
    make.user(space, "bob")
    make.user(space, "carol")
    with pytest.raises(Conflict) as refusal:
        make.user(space, "dave", email="A@Example.com")
    assert refusal.value.field == "email"


@pytest.mark.parametrize("email", ["no-at", "@x", "x@", "a b@c"])
def test_what_is_no_email_address_is_refused(make: Make, email: str) -> None:
    with pytest.raises(Invalid) as refusal:
        make.user(make.space(), "alice", email=email)
    assert refusal.value.field == "email"


def test_the_user_limit_is_named_in_the_refusal(make: Make) -> None:
    space = make.space()
    make.user(space)
    set_limits(Limits(users_per_space=1))
    try:
        with pytest.raises(LimitReached, match="users_per_space"):
            make.user(space)
    finally:
        set_limits(Limits())


def test_ic_3_all_but_the_user_name_can_be_edited_and_is_audited(make: Make) -> None:
    space = make.space()
    user = make.user(space, "alice")
    with make.transaction() as session:
        found = users.get_user(session, space, user.id)
        users.update_user(session, SYSTEM, user=found, display_name="Alice A", email="a@example.com")
        users.update_user(session, SYSTEM, user=found, display_name="Alice A")
        with pytest.raises(Invalid):
            users.update_user(session, SYSTEM, user=found, user_name="bob")
    with make.transaction() as session:
        found = users.get_user(session, space, user.id)
        assert (found.display_name, found.email, found.version) == ("Alice A", "a@example.com", 2)
        events = session.scalars(select(AuditEvent).where(AuditEvent.action == "user.update")).all()
        assert [event.details for event in events] == [{"changed": ["display_name", "email"]}]


def test_ic_5_the_console_may_not_touch_scim_users_and_scim_not_manual_ones(make: Make) -> None:
    space = make.space(scim_enabled=True)
    pushed, manual = make.user(space, "pushed", source=Source.SCIM), make.user(space, "manual")
    for actor, user in ((SYSTEM, pushed), (SCIM, manual)):
        with make.transaction() as session:
            found = users.get_user(session, space, user.id)
            with pytest.raises(Forbidden):
                users.update_user(session, actor, user=found, remarks="x")
            with pytest.raises(Forbidden):
                users.set_enabled(session, actor, user=found, enabled=False)
            with pytest.raises(Forbidden):
                users.delete_user(session, actor, user=found)


def test_ic_3_a_user_in_a_group_is_not_deleted_and_the_refusal_says_so(make: Make) -> None:
    space = make.space()
    user = make.user(space, "alice")
    make.group(space, members=[user])
    with make.transaction() as session, pytest.raises(Conflict, match="1 user group"):
        users.delete_user(session, SYSTEM, user=users.get_user(session, space, user.id))


def test_a_deleted_name_is_free_again(make: Make) -> None:
    space = make.space()
    user = make.user(space, "alice", email="a@example.com")
    with make.transaction() as session:
        users.delete_user(session, SYSTEM, user=users.get_user(session, space, user.id))
    again = make.user(space, "alice", email="a@example.com")
    assert again.id != user.id


def test_a_user_of_another_space_is_not_found(make: Make) -> None:
    space, other = make.space(), make.space()
    user = make.user(space)
    with make.transaction() as session, pytest.raises(NotFound):
        users.get_user(session, other, user.id)


def test_of_two_creations_at_the_same_time_one_wins_and_one_conflicts(make: Make, database: Database) -> None:
    space = make.space()
    barrier, outcomes = Barrier(2), []

    def create() -> None:
        barrier.wait()
        try:
            make.user(space, "alice")
            outcomes.append("created")
        except Conflict:
            outcomes.append("conflict")

    threads = [Thread(target=create) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict", "created"]


def test_the_list_is_searched_filtered_sorted_and_paged(make: Make) -> None:
    space, other = make.space(), make.space()
    for number in range(25):
        make.user(space, f"user{number:02}", display_name="50%" if number == 3 else "", enabled=number != 4)
    make.user(other, "user99")
    with make.transaction() as session:
        names = lambda **search: [row.user_name for row in queries.users_page(session, space, Search(**search)).rows]  # noqa: E731
        assert names(text="USER1") == [f"user{n}" for n in range(10, 20)]
        assert names(text="50%") == ["user03"]
        assert names(text="_") == []
        assert names(filters={"status": "disabled"}) == ["user04"]
        assert names(sort="-name")[:2] == ["user24", "user23"]
        assert names(page=2) == [f"user{n}" for n in range(20, 25)]
        page = queries.users_page(session, space, Search(page=2))
        assert (page.total, page.pages, page.first, page.last) == (25, 2, 21, 25)
        assert session.scalar(select(User.space_id).where(User.user_name == "user99")) == other.id
