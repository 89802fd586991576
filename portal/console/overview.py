"""The first page (IC-2), and the activation that comes before it (IC-1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import current_app, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from flask_login import current_user
from wtforms import StringField
from wtforms.validators import InputRequired, Length

from portal import addresses, signing
from portal.activation import activate_space
from portal.console import blueprint, sso_maintenance
from portal.console.scope import actor, organization, space
from portal.core import clock
from portal.core.access import queries as access
from portal.core.access.rows import Counts
from portal.core.directory import queries as directory
from portal.core.drift import queries as drift
from portal.core.federation import certificates, identity_provider, offers
from portal.core.federation.identity_provider import TrustedIdentityProvider
from portal.core.organization import queries as members
from portal.core.organization.names import as_space_name
from portal.core.push import guard
from portal.core.space.models import Space
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.transactions import db

EXPIRY_WARNING = certificates.EXPIRY_WARNING


@dataclass(frozen=True)
class Step:
    """Something that is still to be done, and where."""

    title: str
    text: str
    url: str


class ActivationForm(Form):
    name = StringField(_l("Space name"), [InputRequired(), Length(max=64)])


@blueprint.get("/", endpoint="overview")
@requires(Permission.DESCRIBE_IDENTITY_CENTER)
def overview_page() -> str:
    counts = access.counts(db(), space())
    people = directory.counts(db(), space())
    idp = identity_provider.current(db(), space())
    return render_template(
        "console/overview/overview.html",
        space=space(),
        login_url=addresses.login_url(current_app.extensions["settings"].base_url, space().name),
        pause=guard.pause_of(db(), space()),
        counts=counts,
        people=people,
        organization=members.counts(db(), organization()),
        steps=[*_steps(space(), idp, people, counts), *_drift_steps(), *_signing_steps()],
    )


@blueprint.route("/activate", methods=["GET", "POST"])
@requires(Permission.OPEN_IDENTITY_CENTER)
def activate() -> Any:
    if current_user.space is not None:
        return redirect(url_for("console.overview"))
    settings = current_app.extensions["settings"]
    form = ActivationForm()
    if form.validate_on_submit():
        made = form.attempt(
            lambda: activate_space(
                db(),
                actor(),
                organization=organization(),
                name=form.name.data.strip(),
                secret_key=settings.secret_key,
            )
        )
        if made:
            flash(_("The Identity Center is active. Its space is %(name)s.", name=made.name), "good")
            return redirect(url_for("console.overview"), 303)
    elif not form.is_submitted():
        form.name.data = as_space_name(organization().name)
    login_url = addresses.login_url(settings.base_url, "")
    return render_template("console/overview/activate.html", form=form, login_url=login_url), form.status


def expires_soon(idp: TrustedIdentityProvider | None) -> bool:
    """Whether the certificate that lasts longest has run out or does so within 30 days."""
    return idp is not None and max(one.not_after for one in idp.certificates) <= clock.now() + EXPIRY_WARNING


def _steps(of: Space, idp: TrustedIdentityProvider | None, people: dict[str, int], counts: Counts) -> list[Step]:
    """What to do next, in the order in which it is of use."""
    sso, scim, failed = url_for("console.sso"), url_for("console.scim"), url_for("console.tasks", status="Failed")
    configurations, accounts = url_for("console.configurations"), url_for("console.accounts")
    steps = []
    if offers.waiting(db(), of) is not None:
        text = _("New data waits for its test sign-in, and for somebody who trusts it.")
        steps.append(Step(_("Test the identity provider"), text, url_for("console.sso_offer")))
    elif idp is None:
        text = _("Exchange metadata with it, so that employees can sign in.")
        steps.append(Step(_("Set up the identity provider"), text, sso))
    if idp is not None and not of.sso_enabled:
        steps.append(Step(_("Switch on SSO"), _("Nobody can sign in until then."), sso))
    if expires_soon(idp):
        text = _(
            "It has expired or does so within 30 days. Sign-ins are still accepted; the identity provider may refuse."
        )
        steps.append(Step(_("Renew the certificate of the identity provider"), text, sso))
    steps += [Step(*wanted) for wanted in sso_maintenance.steps(sso_maintenance.maintenance())]
    if not people["users"]:
        text = _("Let the identity provider push them by SCIM, or create them by hand.")
        steps.append(Step(_("Bring in users"), text, scim))
    if not counts.configurations:
        text = _("It says what a role may do in an account.")
        steps.append(Step(_("Create a permission configuration"), text, configurations))
    if not counts.authorizations:
        text = _("Choose accounts, people and permission configurations.")
        steps.append(Step(_("Authorize users and user groups"), text, accounts))
    if counts.outdated:
        text = _("Some accounts do not have the latest change yet.")
        url = url_for("console.redeploy_outdated", back=url_for("console.overview"))
        steps.append(Step(_("Redeploy permission configurations"), text, url))
    if counts.tasks_failed:
        steps.append(Step(_("Look at failed tasks"), _("Retry them or remove their cause."), failed))
    return steps


def _drift_steps() -> list[Step]:
    """Accounts that are not as they were deployed."""
    found = drift.totals(db(), space()).differing if current_user.may(Permission.LIST_DRIFT) else 0
    if not found:
        return []
    text = ngettext(
        "%(num)s account differs from what was deployed.", "%(num)s accounts differ from what was deployed.", found
    )
    return [Step(_("Look at drift"), text, url_for("console.drift"))]


def _signing_steps() -> list[Step]:
    """The key that signs log-ins to accounts: to be exchanged, or in the middle of that."""
    keys, url = signing.keys(db(), space()), url_for("console.signing_key")
    if len(keys) > 1:
        return [Step(_("Go on with the roll-over of the signing key"), _("See which accounts are ready."), url)]
    if any(key.not_after <= clock.now() + EXPIRY_WARNING for key in keys):
        return [
            Step(_("Exchange the signing key"), _("Its certificate runs out soon; clouds may refuse it then."), url)
        ]
    return []
