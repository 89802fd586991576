"""Activation of the Identity Center and its SSO switch (IC-1, IC-6)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core import audit
from portal.core.actor import Actor
from portal.core.cam.models import CamRole
from portal.core.database import flush_or
from portal.core.errors import Conflict, Invalid
from portal.core.federation import saml_keys
from portal.core.federation.models import IdentityProvider
from portal.core.organization.models import Organization
from portal.core.space.models import SPACE_NAME, Space
from portal.core.space.queries import of_organization

LINKED_ROLE = "Orgnization_QCSLinkedRoleInCIC"  # spelled as in the real product
_LINKED_TRUST: dict[str, Any] = {
    "version": "2.0",
    "statement": [
        {
            "effect": "allow",
            "action": "name/sts:AssumeRole",
            "principal": {"service": "cic.cloud.tencent.com"},
        }
    ],
}


def activate(
    session: Session,
    actor: Actor,
    *,
    organization: Organization,
    name: str,
    private_key: str,
    certificate: str,
    secret_key: str,
) -> Space:
    """Activate the Identity Center of an organization, once (IC-1).

    Makes the space, its signing key (PEM, from the caller: the heart knows no SAML) and the service-linked role in
    the admin account. Invalid for a name that breaks the rule, Conflict for a taken name or a second activation.
    """
    if not SPACE_NAME.fullmatch(name or ""):
        raise Invalid(
            "A space name has 1 to 64 lower-case letters, digits and hyphens, no hyphen at either end.",
            field="name",
        )
    if of_organization(session, organization) is not None:
        raise Conflict("This organization has activated its Identity Center already.")
    if session.scalar(select(Space.id).where(Space.name == name)) is not None:
        raise Conflict(f"The space name {name} is taken.", field="name")
    space = Space(organization_id=organization.id, name=name)
    session.add(space)
    flush_or(session, Conflict("The name is taken, or this organization has a space already.", field="name"))
    saml_keys.create_key(session, space=space, private_key=private_key, certificate=certificate, secret_key=secret_key)
    _ensure_linked_role(session, organization)
    audit.record(session, actor, "space.activate", target_type="space", target_id=space.id, target_name=space.name)
    return space


def _ensure_linked_role(session: Session, organization: Organization) -> None:
    existing = session.scalars(
        select(CamRole).where(CamRole.account_uin == organization.admin_uin, CamRole.name == LINKED_ROLE)
    ).one_or_none()
    if existing is None:
        session.add(
            CamRole(
                account_uin=organization.admin_uin,
                name=LINKED_ROLE,
                description="Lets the Identity Center access resources in other services.",
                type="service_linked",
                trust=_LINKED_TRUST,
                managed_by="service",
            )
        )
        session.flush()


def set_sso_enabled(session: Session, actor: Actor, *, space: Space, enabled: bool, untested: bool = True) -> Space:
    """Switch sign-in by the enterprise IdP on or off. Conflict when it is to be on and no IdP is set.

    `untested`: on even if no test sign-in has passed with the IdP that is set; otherwise that is a Conflict, too.
    Switched off, nobody new signs in; who is signed in stays so until the session ends.
    """
    idp = session.get(IdentityProvider, space.id)
    if enabled and idp is None:
        raise Conflict("Set the identity provider first: without one nobody could sign in.")
    if enabled and not untested and idp is not None and idp.tested_at is None:
        raise Conflict(
            "No test sign-in has passed since the identity provider, its certificates or the sign-in settings changed. "
            "Test it, or say that SSO shall go on untested.",
            field="untested",
        )
    if space.sso_enabled != enabled:
        space.sso_enabled = enabled
        audit.record(
            session,
            actor,
            "sso.enable" if enabled else "sso.disable",
            target_type="space",
            target_id=space.id,
            target_name=space.name,
            details={"tested": idp is not None and idp.tested_at is not None} if enabled else None,
        )
    return space
