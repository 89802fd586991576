"""The pages of an account: who am I, what may I, what is here. All of them only show."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response
from wtforms import StringField

from portal.account import UIN, blueprint
from portal.account.visit import LISTS, Visit, visit
from portal.core.cam import queries, sessions
from portal.core.cam.matching import PolicyError, split_resource
from portal.core.guardrails.access import AccessDecision
from portal.web.forms import Form
from portal.web.listing import search_from_url
from portal.web.permissions import Permission, requires
from portal.web.sessions import ACCOUNT_COOKIE
from portal.web.transactions import db


class AskForm(Form):
    """A question changes nothing: it is a GET, can be shared as a link and needs no form token."""

    class Meta:
        csrf = False

    action = StringField(_l("Action"), filters=[lambda text: (text or "").strip()])
    resource = StringField(_l("Resource"), filters=[lambda text: (text or "").strip() or "*"])


@blueprint.get(UIN)
@requires(Permission.ACCOUNT_SESSION)
def home(uin: int) -> Any:
    here = visit()
    form = AskForm(formdata=request.args)
    decision = _ask(here, form) if "action" in request.args else None
    return here.render("home", form=form, decision=decision), form.status


def _ask(here: Visit, form: AskForm) -> AccessDecision | None:
    """None for a question that breaks a rule, which is then at its field."""
    try:
        decision = here.decide(form.action.data, form.resource.data)
        _check_own(here, form.resource.data)
        return decision
    except PolicyError as error:
        form[error.element].errors = [f"{error.rule[0].upper()}{error.rule[1:]}."]
        return None


def _check_own(here: Visit, resource: str) -> None:
    """An account speaks for what it owns: its own policies are not what decides elsewhere."""
    owner = "" if resource == "*" else split_resource(resource)[4]
    if owner.startswith("uin/") and owner != f"uin/{here.account.uin}":
        rule = f"this account decides over its own resources only, those of uin/{here.account.uin}"
        raise PolicyError(None, "resource", rule, "ResourceUinError")


@blueprint.get(f"{UIN}/users")
@requires(Permission.ACCOUNT_SESSION)
def users(uin: int) -> str:
    here = visit()
    here.demand(LISTS["users"])
    return here.render("users", page=queries.users_page(db(), uin, search_from_url()))


@blueprint.get(f"{UIN}/roles")
@requires(Permission.ACCOUNT_SESSION)
def roles(uin: int) -> str:
    here = visit()
    here.demand(LISTS["roles"])
    page = queries.roles_page(db(), uin, search_from_url())
    return here.render(
        "roles", page=page, policies=queries.policies_of_roles(db(), uin, [role.name for role in page.rows])
    )


@blueprint.get(f"{UIN}/providers")
@requires(Permission.ACCOUNT_SESSION)
def providers(uin: int) -> str:
    here = visit()
    here.demand(LISTS["providers"])
    return here.render("providers", page=queries.providers_page(db(), uin, search_from_url()))


@blueprint.post(f"{UIN}/sign-out")
@requires(Permission.ACCOUNT_SESSION)
def sign_out(uin: int) -> Response:
    here = visit()
    sessions.end_session(db(), here.actor, opened=here.session)
    response = redirect(url_for("account.signed_out", uin=uin), 303)
    response.delete_cookie(ACCOUNT_COOKIE, path=f"/accounts/{uin}")
    return response


@blueprint.get(f"{UIN}/signed-out")
@requires(Permission.PUBLIC)
def signed_out(uin: int) -> str:
    """Also where somebody without a session, or with one that has ended, is sent."""
    return render_template("account/signed_out.html", uin=uin)
