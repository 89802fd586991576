"""The administrator's way in and out: the password of a CAM user of the admin account (IC-18)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import current_app, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from portal.console import blueprint
from portal.console.scope import actor
from portal.core import clock
from portal.core.cam import users
from portal.core.cam.models import CamUser
from portal.core.federation import administrators
from portal.core.organization.models import Organization
from portal.core.secrets import password_matches
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.sessions import ADMIN_COOKIE, anonymous_actor, set_cookie
from portal.web.targets import own_path
from portal.web.transactions import database, db, refused

COOKIE_PATH = "/console"


class SignInForm(Form):
    account = StringField(_l("Account"), [InputRequired(), Length(max=64)])
    user_name = StringField(_l("User name"), [InputRequired(), Length(max=128)])
    password = PasswordField(_l("Password"), [InputRequired(), Length(max=1024)])


@blueprint.route("/login", methods=["GET", "POST"])
@requires(Permission.PUBLIC)
def sign_in() -> Any:
    form = SignInForm()
    if form.validate_on_submit():
        organization, cam_user = _prove(form)
        if organization is not None and cam_user is not None:
            return _enter(organization, cam_user)
        form.message = _("The account, the user name or the password is not right, or the user is locked for a while.")
    elif request.method == "GET":
        if current_user.is_authenticated:
            return redirect(_target())
        form.account.data = administrators.usual_account(db())
    return render_template("console/sign_in/sign_in.html", form=form), form.status


@blueprint.post("/logout")
@requires(Permission.ADMINISTRATOR)
def sign_out() -> Any:
    administrators.sign_out_administrator(
        db(),
        actor(),
        sign_in=current_user.sign_in,
        cam_user=current_user.cam_user,
        organization=current_user.organization,
    )
    response = redirect(url_for("console.sign_in"), 303)
    response.delete_cookie(ADMIN_COOKIE, path=COOKIE_PATH)
    return response


def _prove(form: SignInForm) -> tuple[Organization | None, CamUser | None]:
    """Whose password it is: read, compare, count. Comparing takes long, so nobody waits for a transaction of ours."""
    settings, user_name = current_app.extensions["settings"], form.user_name.data.strip()
    with database.transaction(write=False) as session:
        organization = administrators.organization_of(session, form.account.data.strip().lower())
        account_uin = organization.admin_uin if organization else 0
        stored = users.password_hash_of(session, account_uin=account_uin, name=user_name)
    proven = stored if password_matches(stored, form.password.data) else None
    with database.transaction() as session:
        cam_user = users.count_sign_in(
            session,
            account_uin=account_uin,
            name=user_name,
            proven=proven,
            attempts=settings.sign_in_attempts,
            lock_minutes=settings.sign_in_lock_minutes,
        )
        known = users.find_cam_user(session, account_uin, user_name)
    if cam_user is None:
        name = known.name if known else ""  # what nobody is called may be a password in the wrong field
        refused(
            anonymous_actor(name=name),
            "administrator.sign_in",
            "Unknown account or user, wrong password, or locked.",
            target_type="cam_user",
            target_name=name,
            account_uin=organization.admin_uin if organization else None,
            organization_id=organization.id if organization else None,
        )
    return organization, cam_user


def _enter(organization: Organization, cam_user: CamUser) -> Any:
    hours = current_app.extensions["settings"].administrator_session_hours
    record, token = administrators.sign_in_administrator(
        db(),
        anonymous_actor(),
        cam_user=cam_user,
        organization=organization,
        expires_at=clock.now() + timedelta(hours=hours),
        user_agent=request.user_agent.string,
    )
    response = make_response(redirect(_target(), 303))
    set_cookie(response, ADMIN_COOKIE, token, path=COOKIE_PATH, expires=record.expires_at)
    return response


def _target() -> str:
    """Where the administrator wanted to go: a page of the console or nothing."""
    overview = url_for("console.overview")
    target = own_path(request.args.get("next"), otherwise=overview)
    return target if target.startswith(f"{COOKIE_PATH}/") and "/.." not in target else overview
