"""What a batch of user synchronizations would do, said before it is submitted."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from portal.core import limits
from portal.core.access import room
from portal.core.access.models import DuplicationStrategy, SyncedUser, UserSync
from portal.core.access.preview import being_removed, disabled_of, providers_in
from portal.core.access.rows import MOST, First, cut
from portal.core.access.selection import Selection, existing_syncs
from portal.core.access.syncs import why_not_synchronized
from portal.core.cam.models import CamUser
from portal.core.directory.models import User
from portal.core.organization.models import Member
from portal.core.space.models import Space


@dataclass(frozen=True)
class AccountPreview:
    """One account: CAM users that will be made and that stand there; the account's own of the same name, and how many
    of these are taken over (Replace)."""

    name: str
    new_users: int
    standing: int
    namesakes: int
    taken_over: int
    new: int
    existing: int
    has_provider: bool


@dataclass(frozen=True)
class Preview:
    """`people` are the chosen users and the members of the chosen groups; `namesakes` are (CAM user, account),
    which the synchronization takes over when it `replaces`."""

    refusals: First[str]
    people: int = 0
    accounts: First[AccountPreview] = field(default_factory=First)
    new: int = 0
    new_users: int = 0
    taken_over: int = 0
    new_providers: int = 0
    existing: First[str] = field(default_factory=First)
    namesakes: First[tuple[str, str]] = field(default_factory=First)
    replaces: bool = False
    disabled: First[str] = field(default_factory=First)
    removing: First[str] = field(default_factory=First)


def synchronizations(session: Session, space: Space, picked: Selection, duplication_strategy: str) -> Preview:
    """Of `syncs.synchronize`."""
    if words := limits.refusal("triples_per_batch", picked.pairs, what="user synchronizations in one batch"):
        return Preview(First([words], 1))
    people = room.people_of(space.id, picked.user_ids, picked.group_ids)
    number = room.count(session, people)
    crowds = room.crowds(session, picked.uins, people)
    standing = _standing(session, space, picked, people)
    provided = providers_in(session, space, picked)
    total, existing = existing_syncs(session, space, picked, most=MOST)
    there = _existing_per_account(session, space, picked)
    names = {int(one.id): one.name for one in picked.accounts}
    replaces = duplication_strategy == DuplicationStrategy.TAKE_OVER
    rows = []
    for uin, name in names.items():
        stand, alike, before = standing.get(uin, 0), crowds.get(uin, room.Crowd()).namesakes, there.get(uin, 0)
        taken = alike if replaces else 0
        new = picked.principals - before
        rows.append(
            AccountPreview(name, number - stand - taken, stand, alike, taken, new, before, uin in provided),
        )
    return Preview(
        refusals=cut(room.users_refused(names, crowds, number, duplication_strategy)),
        people=number,
        accounts=cut(rows),
        new=sum(row.new for row in rows),
        new_users=sum(row.new_users for row in rows),
        taken_over=sum(row.taken_over for row in rows),
        new_providers=sum(not row.has_provider for row in rows if row.new),
        existing=First([why_not_synchronized(one.principal, one.account) for one in existing], total),
        namesakes=First(_namesakes(session, picked, people), sum(row.namesakes for row in rows)),
        replaces=replaces,
        disabled=disabled_of(session, picked),
        removing=being_removed(session, space, picked),
    )


def _standing(session: Session, space: Space, picked: Selection, people: ColumnElement[bool]) -> dict[int, int]:
    statement = (
        select(SyncedUser.account_uin, func.count())
        .join(User, User.id == SyncedUser.user_id)
        .where(SyncedUser.space_id == space.id, SyncedUser.account_uin.in_(picked.uins), people)
        .group_by(SyncedUser.account_uin)
    )
    return dict(session.execute(statement).all())


def _existing_per_account(session: Session, space: Space, picked: Selection) -> dict[int, int]:
    statement = (
        select(UserSync.account_uin, func.count())
        .where(
            UserSync.space_id == space.id,
            UserSync.account_uin.in_(picked.uins),
            UserSync.user_id.in_(picked.user_ids) | UserSync.group_id.in_(picked.group_ids),
        )
        .group_by(UserSync.account_uin)
    )
    return dict(session.execute(statement).all())


def _namesakes(session: Session, picked: Selection, people: ColumnElement[bool]) -> list[tuple[str, str]]:
    statement = (
        select(CamUser.name, Member.name)
        .join(User, User.user_name_key == CamUser.name_key)
        .join(Member, Member.account_uin == CamUser.account_uin)
        .where(CamUser.account_uin.in_(picked.uins), room.is_namesake(), people)
        .order_by(Member.name_key, CamUser.name_key)
        .limit(MOST)
    )
    return [(name, account) for name, account in session.execute(statement)]
