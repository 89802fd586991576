from __future__ import annotations

import pytest

from portal.core.actor import SYSTEM, Actor
from portal.core.directory import groups, queries
from portal.core.directory.models import Source
from portal.core.errors import Conflict, Forbidden, Invalid, NotFound
from portal.core.paging import Search
from tests.support.make import Make

SCIM = Actor("scim", "scimcred-x", "IdP")


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "a/b", "组"])
def test_ic_4_a_group_made_by_hand_has_a_name_of_letters_digits_and_hyphens(make: Make, name: str) -> None:
    space = make.space()
    with make.transaction() as session, pytest.raises(Invalid) as refusal:
        groups.create_group(session, SYSTEM, space=space, name=name)
    assert refusal.value.field == "name"


def test_a_pushed_group_keeps_the_name_that_the_idp_gave_it(make: Make) -> None:
    assert make.group(make.space(), "Platform Team (EU)", source=Source.SCIM).name == "Platform Team (EU)"


def test_ic_4_a_group_name_is_unique_in_its_space_without_case(make: Make) -> None:
    space = make.space()
    make.group(space, "Ops")
    make.group(make.space(), "Ops")
    with pytest.raises(Conflict, match="exists already"):
        make.group(space, "ops")


def test_ic_4_users_join_and_leave_once(make: Make) -> None:
    space = make.space()
    alice, bob = make.user(space, "alice"), make.user(space, "bob")
    group = make.group(space, members=[alice])
    with make.transaction() as session:
        found = groups.get_group(session, space, group.id)
        assert groups.add_members(session, SYSTEM, group=found, user_ids=[alice.id, bob.id, bob.id]) == [bob.id]
        assert [row.user.user_name for row in queries.users_of_group(session, found, Search()).rows] == ["alice", "bob"]
        assert groups.remove_members(session, SYSTEM, group=found, user_ids=[alice.id, "u-nobody"]) == [alice.id]
        assert [row.user.user_name for row in queries.users_of_group(session, found, Search()).rows] == ["bob"]
        assert [row.group.id for row in queries.groups_of_user(session, bob, Search()).rows] == [group.id]


def test_a_user_of_another_space_does_not_join(make: Make) -> None:
    space, stranger = make.space(), make.user(make.space())
    group = make.group(space)
    with make.transaction() as session, pytest.raises(NotFound):
        groups.add_members(session, SYSTEM, group=groups.get_group(session, space, group.id), user_ids=[stranger.id])


def test_group_source_and_user_source_agree(make: Make) -> None:
    space = make.space()
    pushed, manual = make.user(space, source=Source.SCIM), make.group(space)
    with make.transaction() as session, pytest.raises(Invalid, match="Manual"):
        groups.add_members(session, SYSTEM, group=groups.get_group(session, space, manual.id), user_ids=[pushed.id])


def test_ic_5_the_console_changes_no_pushed_group_nor_its_members(make: Make) -> None:
    space = make.space(scim_enabled=True)
    group = make.group(space, source=Source.SCIM)
    with make.transaction() as session:
        found = groups.get_group(session, space, group.id)
        for verb in (
            lambda: groups.update_group(session, SYSTEM, group=found, name="x"),
            lambda: groups.add_members(session, SYSTEM, group=found, user_ids=[]),
            lambda: groups.remove_members(session, SYSTEM, group=found, user_ids=[]),
            lambda: groups.delete_group(session, SYSTEM, group=found),
        ):
            with pytest.raises(Forbidden):
                verb()
        groups.update_group(session, SCIM, group=found, name="New name")
        assert found.name == "New name"


def test_ic_4_a_group_with_users_is_not_deleted(make: Make) -> None:
    space = make.space()
    group = make.group(space, members=[make.user(space)])
    with make.transaction() as session, pytest.raises(Conflict, match="1 user"):
        groups.delete_group(session, SYSTEM, group=groups.get_group(session, space, group.id))


def test_the_list_counts_users_in_one_statement(make: Make) -> None:
    space = make.space()
    make.group(space, "a", members=[make.user(space), make.user(space)])
    make.group(space, "b")
    with make.transaction() as session:
        rows = queries.groups_page(session, space, Search(sort="name")).rows
        assert [(row.group.name, row.users) for row in rows] == [("a", 2), ("b", 0)]
