"""The key that signs what accounts believe (IC-17): which it is, how long it lasts, and its exchange step by step."""

from __future__ import annotations

from typing import Any

from flask import current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from wtforms import BooleanField, StringField

from portal import addresses, signing
from portal.console import blueprint
from portal.console.scope import actor, space
from portal.core import clock
from portal.core.access import queries, roll_over
from portal.core.errors import Invalid
from portal.core.federation.certificates import EXPIRY_WARNING
from portal.web.forms import Form, many
from portal.web.listing import search_from_url
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


class StepForm(Form):
    """Hidden: how the keys stood when the page was made, so that a step is taken once and in its turn.

    `at_once`: the old key shall go although it signed a moment ago.
    """

    standing = StringField()
    at_once = BooleanField()

    @property
    def seen(self) -> str:
        return self.standing.data or "nothing"


@blueprint.get("/sso/signing-key")
@requires(Permission.GET_SSO)
def signing_key() -> str:
    """`X-Fragment` asks only for the part that changes while tasks run."""
    wanted = roll_over.wanted(db(), space())
    template = "console/sso/_signing_key.html" if "X-Fragment" in request.headers else "console/sso/signing_key.html"
    return render_template(
        template,
        keys=signing.keys(db(), space()),
        standing=roll_over.standing(db(), space()),
        spread=queries.spread(db(), space(), wanted),
        page=queries.provider_rows(db(), space(), wanted, search_from_url("state")),
        metadata_url=addresses.issuer(current_app.extensions["settings"].base_url, space().name),
        now=clock.now(),
        soon=clock.now() + EXPIRY_WARNING,
    )


@blueprint.route("/sso/signing-key/introduce", methods=["GET", "POST"])
@requires(Permission.SET_SSO)
def introduce_key() -> Any:
    form = StepForm()
    secret_key = current_app.extensions["settings"].secret_key
    if form.validate_on_submit():
        signing.introduce(db(), actor(), space=space(), secret_key=secret_key, seen=form.seen)
        flash(_("There is a new key. Its certificate is on its way into the accounts; the old key signs until then."))
        return redirect(url_for("console.signing_key"), 303)
    return _step_page("introduce")


@blueprint.route("/sso/signing-key/switch", methods=["GET", "POST"])
@requires(Permission.SET_SSO)
def switch_key() -> Any:
    form = StepForm()
    if form.validate_on_submit():
        roll_over.switch(db(), actor(), space=space(), without=_left_behind(), seen=form.seen)
        flash(_("The new key signs from now on. The accounts still take the old certificate, too."))
        return redirect(url_for("console.signing_key"), 303)
    return _step_page("switch")


@blueprint.route("/sso/signing-key/retire", methods=["GET", "POST"])
@requires(Permission.SET_SSO)
def retire_key() -> Any:
    form = StepForm()
    if form.validate_on_submit():
        roll_over.retire(db(), actor(), space=space(), at_once=form.at_once.data, seen=form.seen)
        flash(_("The old key is deleted. Tasks take its certificate out of the accounts."))
        return redirect(url_for("console.signing_key"), 303)
    return _step_page("retire")


@blueprint.route("/sso/signing-key/give-up", methods=["GET", "POST"])
@requires(Permission.SET_SSO)
def give_up_key() -> Any:
    form = StepForm()
    if form.validate_on_submit():
        roll_over.give_up(db(), actor(), space=space(), seen=form.seen)
        flash(_("The new key is deleted. Tasks take its certificate out of the accounts again."))
        return redirect(url_for("console.signing_key"), 303)
    return _step_page("give-up")


@blueprint.post("/sso/signing-key/repeat")
@requires(Permission.SET_SSO)
def repeat_key() -> Any:
    """For the one `account`, or for all in which it failed."""
    account = request.form.get("account", "")
    uin = _uins([account])[0] if account else None
    queued = roll_over.repeat(db(), actor(), space=space(), account_uin=uin)
    flash(
        ngettext("%(num)s task runs again.", "%(num)s tasks run again.", queued)
        if queued
        else _("Nothing is to be done again.")
    )
    return redirect(url_for("console.signing_key"), 303)


def _step_page(step: str) -> str:
    """What will happen, before it does."""
    spread = queries.spread(db(), space(), roll_over.wanted(db(), space()))
    return render_template(
        "console/sso/signing_key_step.html",
        form=StepForm(formdata=None, standing=roll_over.standing(db(), space())),
        step=step,
        keys=signing.keys(db(), space()),
        spread=spread,
        failed=roll_over.left_behind(db(), space()) if step == "switch" and spread.failed else [],
        most=roll_over.MOST_LEFT_BEHIND,
        settles_at=roll_over.settles_at(db(), space()) if step == "retire" else None,
    )


def _left_behind() -> list[int]:
    """Only with the yes to what the page said of the accounts that it named."""
    return _uins(many("without")) if request.form.get("agreed") == "yes" else []


def _uins(values: Any) -> list[int]:
    if not all(value.isdecimal() and len(value) < 19 for value in values):
        raise Invalid(_("There is no such account."))
    return [int(value) for value in values]
