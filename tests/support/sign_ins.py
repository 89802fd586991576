"""What a sign-in leaves behind, for tests to look at."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import func, select

from portal.core.audit import AuditEvent
from portal.core.federation import attempts
from portal.core.federation.models import SignIn, SignInAttempt
from tests.support.browser import Browser
from tests.support.make import Make
from tests.support.sso import Sso


def last_event(make: Make, action: str = "user.sign_in") -> AuditEvent:
    with make.transaction() as session:
        found = session.scalars(
            select(AuditEvent).where(AuditEvent.action == action).order_by(AuditEvent.id.desc()).limit(1)
        ).one()
        session.expunge(found)
    return found


def last_attempt(make: Make) -> SignInAttempt:
    with make.transaction() as session:
        found = session.scalars(select(SignInAttempt).order_by(SignInAttempt.id.desc()).limit(1)).one()
        session.expunge(found)
    return found


def failed_checks(attempt: SignInAttempt) -> list[str]:
    return [check.code for check in attempts.checks_of(attempt) if check.verdict == "failed"]


def count(make: Make, model: Any) -> int:
    with make.transaction() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def is_signed_in(browser: Browser) -> bool:
    return browser.client.get("/home").status_code == 200


def refusals_counted(browser: Browser, reason: str, door: str = "employee") -> float:
    """From the metrics."""
    text = browser.client.get("/metrics").get_data(as_text=True)
    sample = re.search(rf'portal_sign_ins_refused_total{{door="{door}",reason="{reason}"}} (\S+)', text)
    return float(sample[1]) if sample else 0


def assert_untold(response: Any, make: Make) -> None:
    """The log and a counter tell of it; neither the audit trail nor the recent sign-ins grow."""
    assert response.status_code == 403
    assert response.headers["X-Request-Id"] in response.get_data(as_text=True)
    with make.transaction() as session:
        refusals = select(func.count()).select_from(AuditEvent).where(AuditEvent.result == "refused")
        assert session.scalar(refusals) == 0
        accepted = select(func.count()).select_from(SignInAttempt).where(SignInAttempt.accepted.is_(False))
        assert session.scalar(accepted) == 0


def assert_refused(response: Any, make: Make, sso: Sso, reason: str) -> SignInAttempt:
    """A neutral page, whose reference finds the audit event and the attempt that hold the reason."""
    page = response.get_data(as_text=True)
    assert response.status_code == 403, page
    assert "portal_employee" not in str(response.headers)
    event, attempt = last_event(make), last_attempt(make)
    assert (event.result, event.organization_id) == ("refused", sso.space.organization_id)
    assert event.reason.split(":")[0] == reason, event.reason
    assert (attempt.accepted, attempt.reason, attempt.space_id) == (False, reason, sso.space.id), attempt.detail
    assert f">{event.request_id}<" in page
    assert attempt.reference == event.request_id
    assert "alice" not in page
    assert event.reason not in page
    return attempt


def sessions_of(make: Make) -> list[SignIn]:
    """Those that are open, oldest first."""
    with make.transaction() as session:
        rows = list(session.scalars(select(SignIn).where(SignIn.ended_at.is_(None)).order_by(SignIn.id)))
        session.expunge_all()
    return rows
