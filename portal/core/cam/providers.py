"""Verbs on the SAML identity providers that one account trusts (CAM-1, CAM-4, IC-9)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal.core import audit, clock
from portal.core.actor import Actor
from portal.core.cam.models import CamIdentityProvider, CamSession
from portal.core.cam.policies import check_manager


def find_provider(session: Session, account_uin: int, name: str) -> CamIdentityProvider | None:
    return session.scalar(
        select(CamIdentityProvider).where(
            CamIdentityProvider.account_uin == account_uin, CamIdentityProvider.name == name
        )
    )


def providers_of(session: Session, account_uin: int) -> Sequence[CamIdentityProvider]:
    return session.scalars(
        select(CamIdentityProvider)
        .where(CamIdentityProvider.account_uin == account_uin)
        .order_by(CamIdentityProvider.name)
    ).all()


def ensure_provider(
    session: Session,
    actor: Actor,
    *,
    account_uin: int,
    name: str,
    entity_id: str,
    metadata_xml: str,
    description: str,
    manager: str,
) -> CamIdentityProvider:
    """The account trusts what the metadata (checked by the caller) describes. Audited where something changed.

    Raises Forbidden for a provider that is not `manager`'s.
    """
    provider = find_provider(session, account_uin, name)
    action = "cam_identity_provider.update" if provider else "cam_identity_provider.create"
    if provider is None:
        provider = CamIdentityProvider(account_uin=account_uin, name=name, managed_by=manager)
    check_manager(f"The identity provider {name}", provider.managed_by, manager)
    wanted = {"entity_id": entity_id, "metadata_xml": metadata_xml, "description": description}
    changed = [field for field, value in wanted.items() if getattr(provider, field) != value]
    if changed:
        for field in changed:
            setattr(provider, field, wanted[field])
        provider.updated_at = clock.now()
        session.add(provider)
        session.flush()
        _record(session, actor, action, provider, changed=changed, managed_by=manager)
    return provider


def delete_provider(session: Session, actor: Actor, *, provider: CamIdentityProvider, manager: str | None) -> None:
    """Whom it let in is out at once. Raises Forbidden for a provider that is not `manager`'s."""
    check_manager(f"The identity provider {provider.name}", provider.managed_by, manager)
    session.execute(
        update(CamSession)
        .where(
            CamSession.account_uin == provider.account_uin,
            CamSession.provider_name == provider.name,
            CamSession.ended_at.is_(None),
        )
        .values(ended_at=clock.now())
    )
    session.delete(provider)
    session.flush()
    _record(session, actor, "cam_identity_provider.delete", provider)


def _record(session: Session, actor: Actor, action: str, provider: CamIdentityProvider, **details: object) -> None:
    audit.record(
        session,
        actor,
        action,
        target_type="cam_identity_provider",
        target_id=provider.id,
        target_name=provider.name,
        account_uin=provider.account_uin,
        details=details,
    )
