"""Who a request comes from: Flask-Login on top of session records in the database, so that one can be ended at once.

Three doors, three cookies, so that a person can be an employee, an administrator and inside several accounts at once:

    portal_employee  path /               federation.SignIn of a user
    portal_admin     path /console        federation.SignIn of a CAM user of an admin account
    portal_account   path /accounts/<uin> cam.CamSession of a role or CAM user in that account
"""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Any

from flask import Flask, Request, Response, current_app, g, redirect, request, url_for
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_login import LoginManager, UserMixin
from sqlalchemy import select

from portal.core import clock
from portal.core.actor import Actor, Kind
from portal.core.cam import queries as cam_queries
from portal.core.cam.models import CamSession, CamUser
from portal.core.directory.models import User
from portal.core.federation.models import SignIn
from portal.core.guardrails.access import AccessDecision, decide_access
from portal.core.organization.models import Account, Member, Organization
from portal.core.secrets import hash_token
from portal.core.space.models import Space
from portal.web.permissions import Permission
from portal.web.transactions import db

EMPLOYEE_COOKIE = "portal_employee"
ADMIN_COOKIE = "portal_admin"
ACCOUNT_COOKIE = "portal_account"


class FormSessions(SecureCookieSessionInterface):
    """The signed cookie of forms; an IdP brings none and gets none."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if request.path.startswith("/scim/"):
            return self.make_null_session(app)
        return super().open_session(app, request)


class _Principal(UserMixin):
    kind: Kind
    id: str
    name: str
    organization_id: int | None

    @property
    def actor(self) -> Actor:
        return Actor(self.kind, self.id, self.name, self.organization_id, request.remote_addr or "", g.request_id)


class Employee(_Principal):
    kind = "employee"

    def __init__(self, sign_in: SignIn, user: User, space: Space) -> None:
        self.sign_in, self.user, self.space = sign_in, user, space
        self.id, self.name, self.organization_id = user.id, user.user_name, space.organization_id

    def may(self, permission: Permission) -> bool:
        return permission == Permission.EMPLOYEE


class Administrator(_Principal):
    kind = "administrator"

    def __init__(self, sign_in: SignIn, cam_user: CamUser, organization: Organization, space: Space | None) -> None:
        self.sign_in, self.cam_user, self.organization, self.space = sign_in, cam_user, organization, space
        self.id, self.name, self.organization_id = str(cam_user.uin), cam_user.name, organization.id

    @cached_property
    def _policies(self) -> Any:
        return cam_queries.policies_of_user(db(), self.cam_user)

    def may(self, permission: Permission) -> bool:
        if permission == Permission.ADMINISTRATOR:
            return True
        return ":" in permission and self.decide(permission).allowed

    def decide(self, permission: Permission) -> AccessDecision:
        """The admin account has no service control policies above it: its own policies decide."""
        asked = cam_queries.question(
            self.cam_user,
            permission.value,
            account_uin=self.cam_user.account_uin,
            address=request.remote_addr or "",
        )
        return decide_access((), self._policies, asked)


class AccountVisitor(_Principal):
    """Somebody inside one account of the embedded cloud, as a role or as a CAM user."""

    kind = "employee"

    def __init__(self, session: CamSession, account: Account, organization_id: int | None) -> None:
        self.session, self.account = session, account
        self.id, self.name, self.organization_id = session.session_name, session.session_name, organization_id

    def may(self, permission: Permission) -> bool:
        return permission == Permission.ACCOUNT_SESSION


def setup_sessions(app: Flask) -> None:
    app.session_interface = FormSessions()
    manager = LoginManager()
    manager.session_protection = None  # the record in the database is the session
    manager.init_app(app)
    manager.request_loader(_load)
    manager.unauthorized_handler(_to_sign_in)


def _load(incoming: Request) -> _Principal | None:
    if incoming.path.startswith("/console"):
        return _administrator(incoming.cookies.get(ADMIN_COOKIE))
    if incoming.path.startswith("/accounts/"):
        uin = (incoming.view_args or {}).get("uin")
        return _visitor(incoming.cookies.get(ACCOUNT_COOKIE), uin)
    return _employee(incoming.cookies.get(EMPLOYEE_COOKIE))


def _employee(token: str | None) -> Employee | None:
    if not token:
        return None
    row = (
        db()
        .execute(
            select(SignIn, User, Space)
            .join(User, User.id == SignIn.user_id)
            .join(Space, Space.id == User.space_id)
            .where(
                SignIn.token_hash == hash_token(token),
                SignIn.ended_at.is_(None),
                SignIn.expires_at > clock.now(),
                User.enabled,
            )
        )
        .one_or_none()
    )
    return Employee(*row) if row else None


def _administrator(token: str | None) -> Administrator | None:
    if not token:
        return None
    row = (
        db()
        .execute(
            select(SignIn, CamUser, Organization, Space)
            .join(CamUser, CamUser.uin == SignIn.cam_user_uin)
            .join(Organization, Organization.admin_uin == CamUser.account_uin)
            .outerjoin(Space, Space.organization_id == Organization.id)
            .where(SignIn.token_hash == hash_token(token), SignIn.ended_at.is_(None), SignIn.expires_at > clock.now())
        )
        .one_or_none()
    )
    return Administrator(*row) if row else None


def _visitor(token: str | None, uin: int | None) -> AccountVisitor | None:
    if not token or uin is None:
        return None
    row = (
        db()
        .execute(
            select(CamSession, Account, Member.organization_id)
            .join(Account, Account.uin == CamSession.account_uin)
            .outerjoin(Member, Member.account_uin == Account.uin)
            .where(
                CamSession.token_hash == hash_token(token),
                CamSession.account_uin == uin,
                CamSession.ended_at.is_(None),
                CamSession.expires_at > clock.now(),
            )
        )
        .one_or_none()
    )
    return AccountVisitor(*row) if row else None


def _to_sign_in() -> Any:
    if request.path.startswith("/accounts/"):
        return redirect(url_for("account.signed_out", uin=(request.view_args or {})["uin"]))
    target = request.full_path.rstrip("?") if request.method == "GET" else None
    door = "console.sign_in" if request.path.startswith("/console") else "home.choose_space"
    return redirect(url_for(door, next=target))


def set_cookie(response: Response, name: str, token: str, *, path: str, expires: datetime) -> None:
    response.set_cookie(
        name,
        token,
        path=path,
        expires=expires,
        secure=current_app.config["SESSION_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )


def anonymous_actor(organization_id: int | None = None, name: str = "") -> Actor:
    return Actor("anonymous", "", name, organization_id, request.remote_addr or "", g.request_id)
