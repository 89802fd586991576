"""Verbs on the roles of one account, and who may assume them (CAM-1, CAM-4, IC-9)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.actor import Actor
from portal.core.cam.models import CamRole, HolderType
from portal.core.cam.policies import attach_exactly, check_manager, detach_all
from portal.core.cam.policy import ASSUME_ROLE_WITH_SAML, parse_trust
from portal.core.errors import Invalid

IDENTITY_CENTER = "identity_center"
SERVICE_LINKED = "service_linked"

_NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,128}")
_LONGEST_SESSION = 43_200  # 12 hours, as in the real product


def find_role(session: Session, account_uin: int, name: str) -> CamRole | None:
    return session.scalar(select(CamRole).where(CamRole.account_uin == account_uin, CamRole.name == name))


def ensure_role(
    session: Session,
    actor: Actor,
    *,
    account_uin: int,
    name: str,
    description: str,
    role_type: str,
    trust: dict[str, Any],
    session_duration: int,
    policies: Sequence[str],
    manager: str,
) -> CamRole:
    """The role exactly so, with these policies and no other. Audited only where something changed.

    Raises Invalid (name, duration in seconds, unknown policy), LimitReached, Forbidden for a role that is not
    `manager`'s.
    """
    if not _NAME.fullmatch(name):
        raise Invalid("A role name has 1 to 128 letters, digits and the characters + = , . @ - _", field="name")
    if not 0 < session_duration <= _LONGEST_SESSION:
        raise Invalid(f"A session lasts 1 to {_LONGEST_SESSION} seconds.", field="session_duration")
    role = find_role(session, account_uin, name)
    action = "cam_role.update" if role else "cam_role.create"
    if role is None:
        count = session.scalar(select(func.count()).where(CamRole.account_uin == account_uin)) or 0
        limits.check("roles_per_account", count + 1, what="CAM roles in one account")
        role = CamRole(account_uin=account_uin, name=name, managed_by=manager)
    check_manager(f"The role {name}", role.managed_by, manager)
    wanted = {
        "type": role_type,
        "description": description,
        "trust": trust,
        "session_duration": session_duration,
    }
    changed = [field for field, value in wanted.items() if getattr(role, field) != value]
    for field in changed:
        setattr(role, field, wanted[field])
    session.add(role)
    session.flush()
    if attach_exactly(session, account_uin=account_uin, holder_type=HolderType.ROLE, holder_id=role.id, names=policies):
        changed.append("policies")
    if changed:
        role.updated_at = clock.now()
        session.flush()
        details = {"changed": changed, "policies": sorted(policies), "managed_by": manager}
        _record(session, actor, action, role, **details)
    return role


def delete_role(session: Session, actor: Actor, *, role: CamRole, manager: str | None) -> None:
    """Detaches its policies and ends its sessions. Raises Forbidden for a role that is not `manager`'s."""
    check_manager(f"The role {role.name}", role.managed_by, manager)
    detach_all(session, holder_type=HolderType.ROLE, holder_id=role.id)
    session.delete(role)
    session.flush()
    _record(session, actor, "cam_role.delete", role)


def provider_arn(account_uin: int, provider_name: str) -> str:
    return f"qcs::cam::uin/{account_uin}:saml-provider/{provider_name}"


def saml_trust(account_uin: int, provider_name: str, audience: str) -> dict[str, Any]:
    """The trust document of a role for one SAML identity provider, as the real product writes it."""
    return {
        "version": "2.0",
        "statement": [
            {
                "effect": "allow",
                "action": f"name/{ASSUME_ROLE_WITH_SAML}",
                "principal": {"federated": [provider_arn(account_uin, provider_name)]},
                "condition": {"string_equal": {"saml:aud": audience}},
            }
        ],
    }


def trusted_provider(role: CamRole) -> str:
    """The name of the identity provider that a role of the Identity Center is for, "" for any other role."""
    match role.trust:
        case {"statement": [{"principal": {"federated": [str(arn), *_]}}, *_]}:
            return arn.rpartition("saml-provider/")[2]
    return ""


def admits_saml(role: CamRole, *, provider_name: str, audience: str) -> bool:
    """Whether the trust document lets that identity provider of the same account hand out this role."""
    return parse_trust(role.trust).admits(
        action=ASSUME_ROLE_WITH_SAML,
        kind="federated",
        principal=provider_arn(role.account_uin, provider_name),
        context={"saml:aud": audience},
    )


def _record(session: Session, actor: Actor, action: str, role: CamRole, **details: object) -> None:
    audit.record(
        session,
        actor,
        action,
        target_type="cam_role",
        target_id=role.id,
        target_name=role.name,
        account_uin=role.account_uin,
        details=details,
    )
