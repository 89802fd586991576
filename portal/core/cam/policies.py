"""Granting policies to users, groups and roles (CAM-2), and who may change what (CAM-4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.core import limits
from portal.core.cam import presets
from portal.core.cam.models import CamAttachment, CamPolicy, HolderType
from portal.core.errors import Forbidden, Invalid

POLICIES = "policies of one user, group or role"


def attach_exactly(
    session: Session, *, account_uin: int, holder_type: HolderType, holder_id: int, names: Iterable[str]
) -> bool:
    """Let the holder have these policies and no other; True when that changed something.

    A name is a preset policy, otherwise a custom one of the account: none of these can stand in for a preset.
    Raises Invalid for a name that is neither, LimitReached.
    """
    wanted = _types(session, account_uin, set(names))
    limits.check("policies_per_principal", len(wanted), what=POLICIES)
    mine = (CamAttachment.holder_type == holder_type, CamAttachment.holder_id == holder_id)
    present = {(row.policy_type, row.policy_name): row for row in session.scalars(select(CamAttachment).where(*mine))}
    for key, row in present.items():
        if key not in wanted:
            session.delete(row)
    for policy_type, name in sorted(wanted - present.keys()):
        session.add(
            CamAttachment(
                holder_type=holder_type,
                holder_id=holder_id,
                policy_type=policy_type,
                policy_name=name,
                account_uin=account_uin,
            )
        )
    session.flush()
    return present.keys() != wanted


def attach(
    session: Session, *, account_uin: int, holder_type: HolderType, holder_id: int, names: Sequence[str]
) -> list[str]:
    """Let the holder have these preset policies as well; the names of those that it did not have.

    Raises Invalid for a name that is no preset policy, LimitReached.
    """
    for name in names:
        if presets.find(name) is None:
            raise Invalid(f"There is no preset policy named {name[:128]}.", field="policies")
    held = select(CamAttachment.policy_type, CamAttachment.policy_name).where(
        CamAttachment.holder_type == holder_type, CamAttachment.holder_id == holder_id
    )
    present = {(policy_type, name) for policy_type, name in session.execute(held)}
    new = [name for name in dict.fromkeys(names) if ("System", name) not in present]
    limits.check("policies_per_principal", len(present) + len(new), what=POLICIES)
    for name in new:
        session.add(
            CamAttachment(
                holder_type=holder_type,
                holder_id=holder_id,
                policy_type="System",
                policy_name=name,
                account_uin=account_uin,
            )
        )
    session.flush()
    return new


def detach(session: Session, *, holder_type: HolderType, holder_id: int, name: str) -> bool:
    """Take the policy of that name, preset or custom, from the holder; False when it does not have it itself."""
    mine = (CamAttachment.holder_type == holder_type, CamAttachment.holder_id == holder_id)
    found = session.scalars(select(CamAttachment).where(*mine, CamAttachment.policy_name == name)).all()
    for row in found:
        session.delete(row)
    session.flush()
    return bool(found)


def detach_all(session: Session, *, holder_type: HolderType, holder_id: int) -> None:
    session.execute(
        delete(CamAttachment).where(CamAttachment.holder_type == holder_type, CamAttachment.holder_id == holder_id)
    )


def check_manager(what: str, managed_by: str | None, manager: str | None) -> None:
    """What a space made, only that space changes; what the account made, only the account (CAM-4).

    `manager` is the space on whose behalf a verb is called, None for the account's people. Raises Forbidden.
    """
    if managed_by == manager:
        return
    if managed_by is None:
        raise Forbidden(f"{what} belongs to the account itself; the Identity Center does not change it.")
    if manager is None:
        raise Forbidden(f"{what} is managed by the Identity Center and cannot be changed in the account.")
    raise Forbidden(f"{what} is managed by another Identity Center.")


def _types(session: Session, account_uin: int, names: set[str]) -> set[tuple[str, str]]:
    others = {name for name in names if presets.find(name) is None}
    own = select(CamPolicy.name).where(CamPolicy.account_uin == account_uin, CamPolicy.name.in_(others))
    custom = set(session.scalars(own)) if others else set()
    for name in sorted(others - custom):
        raise Invalid(f"There is no policy named {name} in this account.", field="policies")
    return {("Custom" if name in others else "System", name) for name in names}
