"""Before the two processes begin: schema, sample data, and what hangs on the addresses of this start."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import migrations
from portal.addresses import issuer
from portal.core.access import deployments
from portal.core.access.models import Deployment
from portal.core.cam.models import CamIdentityProvider
from portal.core.database import Database
from portal.core.federation import identity_provider
from portal.core.limits import set_limits
from portal.core.organization.models import Organization
from portal.core.space import spaces
from portal.core.space.models import Space
from portal.demo import data, keys
from portal.demo.idp import sample_idp
from portal.settings import Settings
from portal.trust import from_metadata
from portal.worker.engine import run_until_idle


@dataclass(frozen=True)
class Prepared:
    """`scim_secret` is known only when the sample data was made just now."""

    admin_uin: int
    scim_secret: str | None


def prepare(settings: Settings, *, idp_port: int) -> Prepared:
    """Safe to call at every start: what is there stays. Raises Conflict when the database is somebody else's."""
    set_limits(settings.limits)
    database = Database(settings.database_url)
    try:
        migrations.upgrade(database)
        with database.transaction() as session:
            space, secret = _sample_space(session, settings)
            _trust_sample_idp(session, space, settings, idp_port)
            _follow_base_url(session, space, settings)
            organization = session.get_one(Organization, space.organization_id)
        run_until_idle(database, settings)
    finally:
        database.dispose()
    return Prepared(organization.admin_uin, secret)


def _sample_space(session: Session, settings: Settings) -> tuple[Space, str | None]:
    found = data.find_space(session)
    if found is not None:
        return found, None
    return data.load(session, secret_key=settings.secret_key)


def _trust_sample_idp(session: Session, space: Space, settings: Settings, port: int) -> None:
    """Set it in a space without an IdP, renew it when its port or key changed, leave another IdP alone."""
    offered = from_metadata(sample_idp(settings, port=port).metadata)
    current = identity_provider.current(session, space)
    if current is None:
        identity_provider.set_identity_provider(session, data.ACTOR, space=space, idp=offered)
        spaces.set_sso_enabled(session, data.ACTOR, space=space, enabled=True)
    elif any(certificate.subject == f"CN={keys.SUBJECT}" for certificate in current.certificates) and (
        (current.entity_id, current.slo_url) != (offered.entity_id, offered.slo_url)
        or {each.fingerprint for each in current.certificates} != {each.fingerprint for each in offered.certificates}
    ):
        identity_provider.set_identity_provider(session, data.ACTOR, space=space, idp=offered)


def _follow_base_url(session: Session, space: Space, settings: Settings) -> None:
    """The accounts know the portal by its address: at another port everything is deployed anew."""
    outdated = select(CamIdentityProvider.id).where(
        CamIdentityProvider.managed_by == space.id,
        CamIdentityProvider.entity_id != issuer(settings.base_url, space.name),
    )
    if session.scalar(outdated.limit(1)) is None:
        return
    wanted = session.scalars(select(Deployment.id).where(Deployment.space_id == space.id)).all()
    deployments.redeploy(session, data.ACTOR, space=space, deployments=wanted)
