"""What a service control policy would change, before it is bound: whose access, over the whole organization."""

from __future__ import annotations

from typing import Any

from flask import render_template, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import RadioField, SelectChoice, SelectField, StringField, TextAreaField

from portal.console import blueprint
from portal.console.scope import organization, space
from portal.core.cam.matching import PolicyError, Target
from portal.core.errors import Invalid
from portal.core.explorer.questions import Question, questions_about
from portal.core.explorer.what_if import Change, Report, compare
from portal.core.guardrails import policies
from portal.core.guardrails.levels import Node, nodes_of
from portal.core.guardrails.models import ServiceControlPolicy
from portal.core.organization import queries as members
from portal.web.csv import as_csv
from portal.web.forms import Form
from portal.web.permissions import Permission, requires
from portal.web.transactions import db

BIND, CHANGE, UNBIND = "bind", "change", "unbind"
_COLUMNS = ("user", "permission_configuration", "account_id", "account", "change", "action", "resource")


def _stripped(text: str | None) -> str:
    return (text or "").strip()


class WhatIfForm(Form):
    policy = SelectField(_l("Service control policy"))
    how = RadioField(
        _l("What if it"),
        choices=[
            SelectChoice(BIND, _l("were bound there")),
            SelectChoice(CHANGE, _l("said what stands below, wherever it is bound")),
            SelectChoice(UNBIND, _l("were taken away there")),
        ],
        default=BIND,
    )
    department = SelectField(_l("Department"))
    account = StringField(_l("Account ID"), filters=[_stripped])
    document = TextAreaField(_l("Content"), filters=[_stripped])
    action = StringField(_l("Action"), filters=[_stripped])
    resource = StringField(_l("Resource"), filters=[lambda text: _stripped(text) or "*"])
    address = StringField(_l("From the address"), filters=[_stripped])


@blueprint.route("/explorer/what-if", methods=["GET", "POST"])
@requires(Permission.EXPLORE)
def what_if() -> Any:
    """Changes nothing, whatever is asked. The answer as a page, or as CSV with the button for that."""
    form = WhatIfForm(policy=request.args.get("policy"), department=request.args.get("department"))
    tree = members.flat(members.tree(db(), organization()))
    departments = (SelectChoice(str(one.id), f"{'– ' * one.depth}{one.name}") for one in tree)
    form.department.choices = [SelectChoice("", _("None")), *departments]
    known = policies.policies_of(db(), organization())
    new = SelectChoice("", _("A new one, with the content below"))
    form.policy.choices = [new, *(SelectChoice(one.id, one.name) for one in known)]
    report = form.attempt(lambda: _answer(form)) if form.validate_on_submit() else None
    if report and "csv" in request.form:
        return as_csv("what-if.csv", _COLUMNS, _lines(report))
    return render_template("console/explorer/what_if.html", form=form, report=report), form.status


def _answer(form: WhatIfForm) -> Report:
    chosen = policies.get_policy(db(), organization(), form.policy.data) if form.policy.data else None
    change = _change(form, chosen)
    context = {"qcs:ip": form.address.data} if form.address.data else {}
    return compare(db(), space(), change, _questions(form, change, chosen), context=context)


def _change(form: WhatIfForm, chosen: ServiceControlPolicy | None) -> Change:
    """Raises Invalid at the field that is missing."""
    name = chosen.name if chosen else _("the new policy")
    if form.how.data == CHANGE:
        if chosen is None:
            raise Invalid(_("Choose the policy that would say this."), field="policy")
        return Change(name, _needed(form), nodes_of(db(), chosen))
    nodes = _nodes(form)
    if form.how.data == UNBIND:
        if chosen is None:
            raise Invalid(_("Choose the policy that would be taken away."), field="policy")
        return Change(name, None, nodes & nodes_of(db(), chosen))
    return Change(name, chosen.document if chosen else _needed(form), nodes)


def _needed(form: WhatIfForm) -> str:
    if not form.document.data:
        raise Invalid(_("Write what the policy would say."), field="document")
    policies.check_document(form.document.data)
    return str(form.document.data)


def _nodes(form: WhatIfForm) -> frozenset[Node]:
    found: set[Node] = set()
    if form.department.data:
        found.add(("department", int(form.department.data)))
    if form.account.data:
        if not form.account.data.isdecimal() or len(form.account.data) > 18:
            raise Invalid(_("An account ID is a number."), field="account")
        found.add(("account", members.member(db(), organization(), int(form.account.data)).uin))
    if not found:
        raise Invalid(_("Choose a department or an account."), field="department")
    return frozenset(found)


def _questions(form: WhatIfForm, change: Change, chosen: ServiceControlPolicy | None) -> list[Question]:
    """The one that was asked, or all that the policy (as it is and as it would be) speaks of."""
    if form.action.data:
        try:
            Target.read(action=form.action.data, resource=form.resource.data, account=1, context={}, variables={})
        except PolicyError as error:
            raise Invalid(f"{error.rule[0].upper()}{error.rule[1:]}.", field=error.element) from error
        return [Question(form.action.data, form.resource.data)]
    documents = [text for text in (change.document, chosen.document if chosen else None) if text]
    return list(dict.fromkeys(question for text in documents for question in questions_about(text)))


def _lines(report: Report) -> Any:
    for one in report.changed:
        for word, questions in (("lost", one.lost), ("gained", one.gained)):
            for question in questions:
                for user_name in one.people.values() or ("",):
                    for uin, account in one.accounts:
                        yield user_name, one.configuration_name, uin, account, word, question.text, question.resource
