"""One CAM user of the account and what it may: policies are granted and withdrawn here (CAM-2, IC-14).

Who it is stays as its space made it, when one did (CAM-4); what it may is decided by the account alone.
"""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from portal.account import UIN, blueprint
from portal.account.visit import CREATE_KEY, DELETE_KEY, GET_USER, GRANT, WITHDRAW, Visit, visit
from portal.core.cam import access_keys, presets, queries, users
from portal.core.cam.models import CamUser
from portal.web.forms import Form, many
from portal.web.permissions import Permission, requires
from portal.web.transactions import db

USER = f"{UIN}/users/<int(min=1, max=999999999999):user_uin>"


@blueprint.get(USER)
@requires(Permission.ACCOUNT_SESSION)
def user(uin: int, user_uin: int) -> str:
    here = visit()
    found = _find(here, user_uin, GET_USER)
    return here.render(
        "user", user=found, grants=queries.grants_of_user(db(), found), keys=access_keys.keys_of(db(), found)
    )


@blueprint.post(f"{USER}/access-keys/create")
@requires(Permission.ACCOUNT_SESSION)
def create_access_key(uin: int, user_uin: int) -> Any:
    """The secret is on this one answer and nowhere else."""
    here = visit()
    found = _find(here, user_uin, GET_USER, CREATE_KEY)
    key, secret = access_keys.create_access_key(db(), here.actor, cam_user=found)
    return here.render("access_key", user=found, key=key, secret=secret)


@blueprint.route(f"{USER}/access-keys/<key_id>/delete", methods=["GET", "POST"])
@requires(Permission.ACCOUNT_SESSION)
def delete_access_key(uin: int, user_uin: int, key_id: str) -> Any:
    here = visit()
    found = _find(here, user_uin, GET_USER, DELETE_KEY)
    if key_id not in {key.id for key in access_keys.keys_of(db(), found)}:
        abort(404)
    if Form().validate_on_submit():
        access_keys.delete_access_key(db(), here.actor, cam_user=found, key_id=key_id)
        flash(_("Access key deleted."), "good")
        return _to(found)
    return here.render("delete_access_key", user=found, key_id=key_id)


@blueprint.route(f"{USER}/policies/grant", methods=["GET", "POST"])
@requires(Permission.ACCOUNT_SESSION)
def grant_policies(uin: int, user_uin: int) -> Any:
    """A POST without `grant` searches, and keeps what is ticked."""
    here = visit()
    found = _find(here, user_uin, GET_USER, GRANT)
    form, chosen, text = Form(), many("policy"), request.values.get("policy_q", "").strip()
    if "grant" in request.form and form.validate_on_submit():
        if not chosen:
            form.message = _("Select at least one preset policy.")
        else:
            new = form.attempt(lambda: users.grant_policies(db(), here.actor, cam_user=found, names=chosen))
            if new is not None:
                flash(ngettext("%(num)s policy granted.", "%(num)s policies granted.", len(new)), "good")
                return _to(found)
    own = _own(found)
    offered = [preset for preset in presets.search(text) if preset.name not in own]
    return here.render("grant_policies", user=found, form=form, chosen=chosen, text=text, found=offered), form.status


@blueprint.route(f"{USER}/policies/<name>/withdraw", methods=["GET", "POST"])
@requires(Permission.ACCOUNT_SESSION)
def withdraw_policy(uin: int, user_uin: int, name: str) -> Any:
    here = visit()
    found = _find(here, user_uin, GET_USER, WITHDRAW)
    if name not in _own(found):
        abort(404)
    form = Form()
    if form.validate_on_submit() and form.attempt(
        lambda: users.withdraw_policy(db(), here.actor, cam_user=found, name=name)
    ):
        flash(_("Policy %(name)s withdrawn.", name=name), "good")
        return _to(found)
    return here.render("withdraw_policy", user=found, form=form, name=name), form.status


def _find(here: Visit, user_uin: int, *actions: str) -> CamUser:
    """First whether the visitor may ask, so that a refusal tells nothing about who is there."""
    for action in actions:
        here.demand(action, users.user_arn(here.account.uin, user_uin))
    return users.get_cam_user(db(), here.account.uin, user_uin)


def _own(found: CamUser) -> set[str]:
    """The names of the policies that the user holds itself, not through a group alone."""
    return {grant.name for grant in queries.grants_of_user(db(), found) if not grant.groups}


def _to(found: CamUser) -> Response:
    return redirect(url_for("account.user", uin=found.account_uin, user_uin=found.uin), 303)
