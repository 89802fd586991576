"""Whether accounts of the embedded cloud have room for what a batch makes in them. Other clouds count for themselves.

A verb refuses with the first of these words, and the review page of its wizard says them before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from portal.core import limits
from portal.core.access.models import ConfigurationPolicy, DuplicationStrategy, SyncedUser, role_name
from portal.core.access.queries.shared import sum_if
from portal.core.cam.models import CamRole, CamUser
from portal.core.cam.policies import POLICIES
from portal.core.directory.models import Membership, User
from portal.core.errors import LimitReached
from portal.core.organization.models import Account

EMBEDDED = "local"


@dataclass(frozen=True)
class Crowd:
    """CAM users of one account: all that are there, the people's own ones, and others of the same names."""

    present: int = 0
    standing: int = 0
    namesakes: int = 0


def roles_refused(session: Session, accounts: Mapping[int, str], configuration_names: Sequence[str]) -> list[str]:
    """Accounts where the CAM roles of these configurations do not fit in; one statement."""
    wanted = [role_name(name) for name in configuration_names]
    there = func.count(CamRole.id)
    after = there + len(wanted) - sum_if(CamRole.name.in_(wanted))
    statement = (
        select(Account.uin, after)
        .outerjoin(CamRole, CamRole.account_uin == Account.uin)
        .where(Account.uin.in_(accounts), Account.cloud == EMBEDDED)
        .group_by(Account.uin)
        .having(after > limits.allowed("roles_per_account"), after > there)
        .order_by(Account.uin)
    )
    return [
        f"{accounts[uin]}: {limits.refusal('roles_per_account', number, what='CAM roles in one account')}"
        for uin, number in session.execute(statement)
    ]


def policies_refused(session: Session, configurations: Mapping[str, str]) -> list[str]:
    """Configurations with more policies than a CAM role takes; one statement."""
    number = func.count()
    statement = (
        select(ConfigurationPolicy.configuration_id, number)
        .where(ConfigurationPolicy.configuration_id.in_(configurations))
        .group_by(ConfigurationPolicy.configuration_id)
        .having(number > limits.allowed("policies_per_principal"))
    )
    return sorted(
        f"{configurations[key]}: {limits.refusal('policies_per_principal', count, what=POLICIES)}"
        for key, count in session.execute(statement)
    )


def users_refused(
    accounts: Mapping[int, str], crowds: Mapping[int, Crowd], people: int, duplication_strategy: str
) -> list[str]:
    """Accounts where the CAM users of so many people do not fit in."""
    refused = []
    for uin, crowd in crowds.items():
        replaced = crowd.namesakes if duplication_strategy == DuplicationStrategy.TAKE_OVER else 0
        new = people - crowd.standing - replaced
        words = limits.refusal("cam_users_per_account", crowd.present + new, what="CAM users in one account")
        if words and new > 0:
            refused.append(f"{accounts[uin]}: {words}")
    return refused


def crowds(session: Session, accounts: Sequence[int], people: ColumnElement[bool]) -> dict[int, Crowd]:
    """By embedded account; `people` is a condition on User. Three statements."""
    embedded = select(Account.uin).where(Account.uin.in_(accounts), Account.cloud == EMBEDDED)
    present = (
        select(Account.uin, func.count(CamUser.uin))
        .outerjoin(CamUser, CamUser.account_uin == Account.uin)
        .where(Account.uin.in_(embedded))
        .group_by(Account.uin)
        .order_by(Account.uin)
    )
    standing = (
        select(SyncedUser.account_uin, func.count())
        .join(User, User.id == SyncedUser.user_id)
        .where(SyncedUser.account_uin.in_(embedded), people)
        .group_by(SyncedUser.account_uin)
    )
    namesakes = (
        select(CamUser.account_uin, func.count())
        .join(User, User.user_name_key == CamUser.name_key)
        .where(CamUser.account_uin.in_(embedded), is_namesake(), people)
        .group_by(CamUser.account_uin)
    )
    stand = dict(session.execute(standing).all())
    alike = dict(session.execute(namesakes).all())
    return {uin: Crowd(count, stand.get(uin, 0), alike.get(uin, 0)) for uin, count in session.execute(present)}


def people_of(space_id: str, users: Sequence[str], groups: Sequence[str]) -> ColumnElement[bool]:
    """The users and whoever is in the groups, each once."""
    members = select(Membership.user_id).where(Membership.group_id.in_(groups))
    return (User.space_id == space_id) & or_(User.id.in_(users), User.id.in_(members))


def is_namesake() -> ColumnElement[bool]:
    """Of a CamUser and a User of the same name: the account's own, and the user has none of ours there yet."""
    standing = select(SyncedUser.user_id).where(
        SyncedUser.user_id == User.id, SyncedUser.account_uin == CamUser.account_uin
    )
    return CamUser.managed_by.is_(None) & ~standing.exists()


def count(session: Session, people: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(User).where(people)) or 0


def check_roles(session: Session, accounts: Mapping[int, str], configurations: Mapping[str, str]) -> None:
    """Raises LimitReached."""
    _raise(policies_refused(session, configurations) or roles_refused(session, accounts, list(configurations.values())))


def check_users(
    session: Session, accounts: Mapping[int, str], people: ColumnElement[bool], duplication_strategy: str
) -> None:
    """Raises LimitReached."""
    found = crowds(session, list(accounts), people)
    _raise(users_refused(accounts, found, count(session, people), duplication_strategy))


def _raise(refused: Sequence[str]) -> None:
    if refused:
        more = f" And {len(refused) - 1} more." if len(refused) > 1 else ""
        raise LimitReached(refused[0] + more)
