"""Identity provider data that waits (IC-6): nothing that people use changes until it is tested and trusted.

offer -> a test sign-in passes (mark_tested) -> accept
                                             \\-> withdraw
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from portal.core import audit, clock, limits
from portal.core.actor import Actor
from portal.core.database import flush_or
from portal.core.errors import Conflict, Invalid, NotFound, Stale
from portal.core.federation.identity_provider import PARTY, TrustedIdentityProvider, set_identity_provider
from portal.core.federation.models import IdentityProvider, IdentityProviderOffer
from portal.core.space.models import Space

_DATA = tuple(name for name in PARTY if name != "tested_at")


def digest(idp: TrustedIdentityProvider) -> str:
    """The same for two that are equal in all that is believed, whenever they came and whether tested or not."""
    pems = sorted(certificate.pem for certificate in idp.certificates)
    return hashlib.sha256(json.dumps([_data_of(idp), pems]).encode()).hexdigest()


def offer(session: Session, actor: Actor, *, space: Space, idp: TrustedIdentityProvider) -> IdentityProviderOffer:
    """Keep `idp` until it is trusted or withdrawn, instead of what waited before.

    The very data that waits already keeps its passed test. Invalid without a certificate, LimitReached with too many,
    Stale when somebody else offers the first data in the same moment.
    """
    if not idp.certificates:
        raise Invalid("The identity provider needs at least one certificate for signing.", field="certificate")
    limits.check("idp_certificates_per_space", len(idp.certificates), what="IdP certificates per space")
    row = waiting(session, space, lock=True)
    before = row.entity_id if row else ""
    if row is None:
        row = IdentityProviderOffer(space_id=space.id)
        session.add(row)
    elif not _is(row, idp):
        row.tested_at = None
    for name in _DATA:
        setattr(row, name, getattr(idp, name))
    row.certificates = _pems(idp)
    row.offered_at, row.offered_by = clock.now(), actor.name[:128]
    flush_or(session, Stale("Other data was kept in the same moment. Look at it before you bring yours."))
    _record(session, actor, "sso.offer_identity_provider", space, row, before=before)
    return row


def waiting(session: Session, space: Space, *, lock: bool = False) -> IdentityProviderOffer | None:
    return session.get(IdentityProviderOffer, space.id, with_for_update=True if lock else None, populate_existing=lock)


def waits(session: Session, space: Space, idp: TrustedIdentityProvider) -> bool:
    """Whether exactly this waits."""
    row = waiting(session, space)
    return row is not None and _is(row, idp)


def withdraw(session: Session, actor: Actor, *, space: Space) -> None:
    """Forget what waits. NotFound when nothing does."""
    row = _locked(session, space)
    session.execute(delete(IdentityProviderOffer).where(IdentityProviderOffer.space_id == space.id))
    _record(session, actor, "sso.withdraw_identity_provider", space, row)


def accept(
    session: Session,
    actor: Actor,
    *,
    space: Space,
    idp: TrustedIdentityProvider,
    seen: str,
    untested: bool = False,
) -> IdentityProvider:
    """Trust what waits, `idp`, from now on; its passed test goes with it.

    `seen`: the digest of what the administrator saw. Stale when other data waits by now, NotFound when none does,
    Conflict when no test has passed and `untested` does not say yes to that.
    """
    row = _locked(session, space)
    if not _is(row, idp) or digest(idp) != seen:
        raise Stale("The waiting data was changed in the meantime. Look at it again before you trust it.")
    if row.tested_at is None and not untested:
        raise Conflict("No test sign-in with this data has passed. Test it, or say that you trust it untested.",
                       field="untested")  # fmt: skip
    _record(session, actor, "sso.accept_identity_provider", space, row, tested=row.tested_at is not None)
    tested_at = row.tested_at
    session.execute(delete(IdentityProviderOffer).where(IdentityProviderOffer.space_id == space.id))
    trusted = set_identity_provider(session, actor, space=space, idp=idp)
    trusted.tested_at = tested_at
    session.flush()
    return trusted


def mark_tested(session: Session, *, space: Space, idp: TrustedIdentityProvider) -> bool:
    """A test sign-in with exactly `idp` passed. False when other data waits by now, or none."""
    row = waiting(session, space, lock=True)
    if row is None or not _is(row, idp):
        return False
    row.tested_at = clock.now()
    session.flush()
    return True


def _locked(session: Session, space: Space) -> IdentityProviderOffer:
    row = waiting(session, space, lock=True)
    if row is None:
        raise NotFound("No identity provider data waits: it was trusted or discarded.")
    return row


def _is(row: IdentityProviderOffer, idp: TrustedIdentityProvider) -> bool:
    return row.certificates == _pems(idp) and _data_of(row) == _data_of(idp)


def _data_of(party: IdentityProviderOffer | TrustedIdentityProvider) -> dict[str, Any]:
    return {name: getattr(party, name) for name in _DATA}


def _pems(idp: TrustedIdentityProvider) -> str:
    return "".join(certificate.pem for certificate in idp.certificates)


def _record(
    session: Session, actor: Actor, action: str, space: Space, row: IdentityProviderOffer, **details: Any
) -> None:
    audit.record(
        session,
        actor,
        action,
        target_type="space",
        target_id=space.id,
        target_name=space.name,
        details={"entity_id": row.entity_id, "sso_url": row.sso_url, "source": row.source, **details},
    )
