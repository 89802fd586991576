"""The explorer: who can do what, and why. Three questions asked by links, so that an answer can be shared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from flask import Response, render_template, request
from flask_babel import lazy_gettext as _l
from wtforms import StringField

from portal.console import blueprint
from portal.console.scope import organization, space
from portal.core.cam.matching import PolicyError
from portal.core.directory import queries as directory
from portal.core.directory.users import get_user
from portal.core.explorer.actions import Answer, who_can
from portal.core.explorer.holdings import Way, all_holdings, holdings
from portal.core.organization import queries as members
from portal.web.csv import as_csv
from portal.web.forms import Form
from portal.web.listing import search_from_url
from portal.web.permissions import Permission, requires
from portal.web.transactions import database, db

_COLUMNS = ("user", "display_name", "account_id", "account", "permission_configuration", "log_in", "by")


class AskForm(Form):
    action = StringField(_l("Action"), filters=[lambda text: (text or "").strip()])
    resource = StringField(_l("Resource"), filters=[lambda text: (text or "").strip() or "*"])
    address = StringField(_l("From the address"), filters=[lambda text: (text or "").strip()])


@blueprint.get("/explorer", endpoint="explorer")
@requires(Permission.EXPLORE)
def people() -> str:
    """Without a user: the users to choose from."""
    search = search_from_url("door")
    user_id = request.args.get("user", "")
    if not user_id:
        found = directory.users_page(db(), space(), search)
        return render_template("console/explorer/people.html", user=None, page=found)
    user = get_user(db(), space(), user_id)
    page = holdings(db(), space(), search, user_id=user.id)
    return render_template("console/explorer/people.html", user=user, page=page)


@blueprint.get("/explorer/accounts")
@requires(Permission.EXPLORE)
def explore_accounts() -> str:
    """Without an account: the accounts to choose from."""
    search = search_from_url("door")
    uin = request.args.get("account", 0, type=int)
    if not uin:
        found = members.members_page(db(), organization(), search)
        return render_template("console/explorer/accounts.html", account=None, page=found)
    account = members.member(db(), organization(), uin)
    page = holdings(db(), space(), search, account_uin=account.uin)
    return render_template("console/explorer/accounts.html", account=account, page=page)


@blueprint.get("/explorer/actions")
@requires(Permission.EXPLORE)
def explore_actions() -> Any:
    """Who can do an action on a resource of an account, who cannot, and what stops them."""
    form = AskForm(formdata=request.args)
    uin = request.args.get("account", 0, type=int)
    account = members.member(db(), organization(), uin) if uin else None
    answer = _ask(form, account.uin) if account and form.action.data else None
    page = None
    if account and answer:
        wanted = answer.allowed if request.args.get("show", "can") == "can" else answer.stopped
        page = holdings(db(), space(), search_from_url(), account_uin=account.uin, configurations=wanted)
    choices = members.members_page(db(), organization(), search_from_url(prefix="account_")) if not account else None
    return render_template(
        "console/explorer/actions.html", form=form, account=account, answer=answer, page=page, choices=choices
    ), form.status


@blueprint.get("/explorer/people.csv")
@requires(Permission.EXPLORE)
def person_csv() -> Response:
    return _csv("access-of-person", user_id=get_user(db(), space(), request.args.get("user", "")).id)


@blueprint.get("/explorer/accounts.csv")
@requires(Permission.EXPLORE)
def account_csv() -> Response:
    uin = members.member(db(), organization(), request.args.get("account", 0, type=int)).uin
    return _csv("access-to-account", account_uin=uin)


@blueprint.get("/explorer/everything.csv")
@requires(Permission.EXPLORE)
def everything_csv() -> Response:
    return _csv("access")


def _csv(name: str, **which: Any) -> Response:
    """All rows of the list, read in a transaction of their own while they are sent."""
    mine, reached = space(), database._get_current_object()  # type: ignore[attr-defined]

    def rows() -> Iterator[Sequence[object]]:
        with reached.transaction(write=False) as session:
            for one in all_holdings(session, mine, **which):
                account = (one.account_uin, one.account_name)
                by = "; ".join(_in_words(way) for way in one.ways)
                yield one.user_name, one.display_name, *account, one.configuration_name, one.door, by

    return as_csv(f"{name}.csv", _COLUMNS, rows())


def _ask(form: AskForm, uin: int) -> Answer | None:
    """None for a question that breaks a rule, which is then at its field."""
    try:
        return who_can(db(), space(), uin, form.action.data, form.resource.data, address=form.address.data)
    except PolicyError as error:
        form[error.element].errors = [f"{error.rule[0].upper()}{error.rule[1:]}."]
        return None


def _in_words(way: Way) -> str:
    words = [f"group {way.group_name}"] if way.group_id else []
    if way.department_id:
        words.append(f"department {way.department_name}")
    return ", ".join(words) or "directly"
