"""Activation as the console, the command line and the sample data call it: with a new signing key."""

from __future__ import annotations

from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.actor import Actor
from portal.core.organization.models import Organization
from portal.core.space import spaces
from portal.core.space.models import Space
from saml.keys import make_key_pair


def activate_space(session: Session, actor: Actor, *, organization: Organization, name: str, secret_key: str) -> Space:
    """Make the space `name` of an organization and its SAML key pair. Raises what `spaces.activate` raises."""
    private_key, certificate = make_key_pair(f"Identity Center {name}", now=clock.now())
    return spaces.activate(
        session,
        actor,
        organization=organization,
        name=name,
        private_key=private_key,
        certificate=certificate,
        secret_key=secret_key,
    )
