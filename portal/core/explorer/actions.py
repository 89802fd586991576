"""An action on a resource of one account: who can, who cannot, and what stops them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select, true
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.access.models import Configuration, Deployment, SyncedUser
from portal.core.cam import queries as cam
from portal.core.cam.decision import AccessRequest
from portal.core.cam.models import CamUser
from portal.core.directory.models import User
from portal.core.guardrails.access import AccessDecision, decide_access
from portal.core.guardrails.levels import levels_of
from portal.core.space.models import Space


@dataclass(frozen=True, slots=True)
class RoleVerdict:
    """What the role of a deployed permission configuration may do: the same for all who hold it."""

    configuration_id: str
    configuration_name: str
    role_name: str
    decision: AccessDecision


@dataclass(frozen=True, slots=True)
class UserVerdict:
    """What a CAM user of the account may do; `user_name` is whom it stands for, "" for one of the account's own."""

    cam_user_name: str
    user_id: str | None
    user_name: str
    decision: AccessDecision


@dataclass(frozen=True, slots=True)
class Answer:
    roles: tuple[RoleVerdict, ...]
    users: tuple[UserVerdict, ...]
    users_total: int

    @property
    def allowed(self) -> list[str]:
        """Ids of the configurations whose roles can."""
        return [role.configuration_id for role in self.roles if role.decision.allowed]

    @property
    def stopped(self) -> list[str]:
        return [role.configuration_id for role in self.roles if not role.decision.allowed]


def who_can(
    session: Session, space: Space, account_uin: int, action: str, resource: str, *, address: str, most: int = 100
) -> Answer:
    """Decided as in the account: by what its roles and users hold there now. At most `most` CAM users.

    `address` is where the request would come from, "" for nobody knows. Seven statements at most.

    Raises PolicyError (action or resource) for a bad question.
    """
    levels = levels_of(session, account_uin)
    request = _question(account_uin, action, resource, address)
    decide_access((), (), request)  # a bad question is refused where nobody could ask it, too
    deployed = session.execute(
        select(Configuration.id, Configuration.name, Deployment.role_name)
        .join(Configuration, Configuration.id == Deployment.configuration_id)
        .where(Deployment.space_id == space.id, Deployment.account_uin == account_uin)
        .order_by(Configuration.name_key)
    ).all()
    held = cam.grants_of_roles(session, account_uin, [row.role_name for row in deployed])
    roles = tuple(
        RoleVerdict(*row, decision=decide_access(levels, cam.named(held.get(row.role_name, ())), request))
        for row in deployed
    )
    total = session.scalar(select(func.count()).where(CamUser.account_uin == account_uin)) or 0
    people = session.execute(
        select(CamUser.uin, CamUser.name, User.id, User.user_name)
        .outerjoin(
            SyncedUser, (SyncedUser.account_uin == CamUser.account_uin) & (SyncedUser.cam_user_name == CamUser.name)
        )
        .outerjoin(User, User.id == SyncedUser.user_id)
        .where(CamUser.account_uin == account_uin)
        .order_by(CamUser.name_key)
        .limit(most)
    ).all()
    shown = [row.uin for row in people]
    granted = cam.grants_of_users(session, account_uin, CamUser.uin.in_(shown) if shown else ~true())
    users = tuple(
        UserVerdict(
            row.name,
            row.id,
            row.user_name or "",
            decide_access(
                levels,
                cam.named(granted.get(row.uin, ())),
                _question(account_uin, action, resource, address, {"uin": str(row.uin)}),
            ),
        )
        for row in people
    )
    return Answer(roles, users, total)


def _question(
    account_uin: int, action: str, resource: str, address: str, variables: Mapping[str, str] | None = None
) -> AccessRequest:
    context = {
        **({"qcs:ip": address} if address else {}),
        "qcs:current_time": clock.now().isoformat(),
        "qcs:owner_uin": str(account_uin),
        **{f"qcs:{name}": value for name, value in (variables or {}).items()},
    }
    return AccessRequest(action, resource, account_uin, context, variables or {})
