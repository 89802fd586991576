"""What a batch is about: accounts, users, groups and configurations by id, all of one space or organization."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core.access.models import Configuration, PrincipalType
from portal.core.directory.models import Group, User
from portal.core.errors import Invalid, NotFound
from portal.core.organization.models import Member
from portal.core.space.models import Space

T = TypeVar("T")


@dataclass(frozen=True)
class Principal:
    type: PrincipalType
    id: str
    name: str

    @property
    def user_id(self) -> str | None:
        return self.id if self.type == PrincipalType.USER else None

    @property
    def group_id(self) -> str | None:
        return self.id if self.type == PrincipalType.GROUP else None


def pick_accounts(session: Session, space: Space, uins: Sequence[int]) -> dict[int, str]:
    """Names by number, in the order asked for. Raises Invalid (none), NotFound (not a member of the organization).

    They stay members until the transaction ends: `remove_members` waits for it, and then sees what it made.
    """
    if not uins:
        raise Invalid("Choose at least one account.", field="accounts")
    mine = Member.organization_id == space.organization_id
    found: dict[int, str] = {}
    for chunk in chunks(sorted(set(uins))):
        members = select(Member.account_uin, Member.name).where(mine, Member.account_uin.in_(chunk))
        locked = members.order_by(Member.account_uin).with_for_update(read=True, key_share=True)
        found.update((uin, name) for uin, name in session.execute(locked))
    return _complete(found, uins, "account", "accounts")


def pick_configurations(session: Session, space: Space, ids: Sequence[str]) -> dict[str, str]:
    if not ids:
        raise Invalid("Choose at least one permission configuration.", field="configurations")
    mine = Configuration.space_id == space.id
    found = _named(session, Configuration.id, Configuration.name, mine, ids)
    return _complete(found, ids, "permission configuration", "configurations")


def pick_principals(session: Session, space: Space, users: Sequence[str], groups: Sequence[str]) -> list[Principal]:
    if not users and not groups:
        raise Invalid("Choose at least one user or user group.", field="users")
    found_users = _named(session, User.id, User.user_name, User.space_id == space.id, users)
    found_groups = _named(session, Group.id, Group.name, Group.space_id == space.id, groups)
    return [
        *(Principal(PrincipalType.USER, *item) for item in _complete(found_users, users, "user", "users").items()),
        *(
            Principal(PrincipalType.GROUP, *item)
            for item in _complete(found_groups, groups, "user group", "groups").items()
        ),
    ]


def principal_exists(session: Session, space_id: str, *, user_id: str | None, group_id: str | None) -> bool:
    if user_id:
        found = session.scalar(select(User.number).where(User.space_id == space_id, User.id == user_id))
    else:
        found = session.scalar(select(Group.number).where(Group.space_id == space_id, Group.id == group_id))
    return found is not None


def chunks(items: Iterable[T], size: int = 500) -> Iterator[list[T]]:
    """For IN lists, whose length databases limit."""
    rest = list(items)
    for start in range(0, len(rest), size):
        yield rest[start : start + size]


def _named(session: Session, key: Any, name: Any, condition: Any, ids: Sequence[Any]) -> dict[Any, str]:
    return {
        row[0]: row[1]
        for chunk in chunks(dict.fromkeys(ids))
        for row in session.execute(select(key, name).where(condition, key.in_(chunk)))
    }


def _complete(found: dict[Any, str], ids: Sequence[Any], what: str, field: str) -> dict[Any, str]:
    for wanted in ids:
        if wanted not in found:
            raise NotFound(f"There is no {what} {wanted} here.", field=field)
    return {wanted: found[wanted] for wanted in ids}
