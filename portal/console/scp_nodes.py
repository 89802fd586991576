"""The service control policies of one department or member account, its own and the inherited ones (SCP-3, SCP-4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import ngettext

from portal.console import blueprint
from portal.console.scope import actor, organization
from portal.core.guardrails import bindings, policies, queries
from portal.core.guardrails.levels import Kind, Node
from portal.core.guardrails.queries import Held
from portal.core.organization import queries as tree
from portal.core.organization.models import Department
from portal.web.forms import Form, many
from portal.web.permissions import Permission, requires
from portal.web.transactions import db

_DEPARTMENT = "/organization/departments/<int(max=2147483647):department_id>/policies"
_MEMBER = "/organization/members/<int(max=999999999999999999):uin>/policies"


@dataclass(frozen=True)
class Place:
    """A node with the way to it from Root: `above` are its departments, the nearest first."""

    kind: Kind
    id: int
    name: str
    above: Sequence[Department]
    is_exempt: bool = False

    @property
    def node(self) -> Node:
        return (self.kind, self.id)

    @property
    def here(self) -> str:
        if self.kind == "account":
            return url_for("console.member_scp", uin=self.id)
        return url_for("console.department_scp", department_id=self.id)

    @property
    def bind_url(self) -> str:
        if self.kind == "account":
            return url_for("console.bind_member_scp", uin=self.id)
        return url_for("console.bind_department_scp", department_id=self.id)


@blueprint.get(_DEPARTMENT)
@requires(Permission.LIST_SCP_OF_TARGET)
def department_scp(department_id: int) -> str:
    return _policies_page(_department(department_id))


@blueprint.get(_MEMBER)
@requires(Permission.LIST_SCP_OF_TARGET)
def member_scp(uin: int) -> str:
    return _policies_page(_member(uin))


@blueprint.route(f"{_DEPARTMENT}/bind", methods=["GET", "POST"])
@requires(Permission.BIND_SCP)
def bind_department_scp(department_id: int) -> Any:
    return _bind_page(_department(department_id))


@blueprint.route(f"{_MEMBER}/bind", methods=["GET", "POST"])
@requires(Permission.BIND_SCP)
def bind_member_scp(uin: int) -> Any:
    return _bind_page(_member(uin))


def _policies_page(place: Place) -> str:
    nodes: list[Node] = [("department", department.id) for department in place.above]
    held = queries.held_by(db(), [place.node, *nodes])
    inherited: list[tuple[Department, list[Held]]] = [
        (department, held["department", department.id]) for department in place.above
    ]
    return render_template(
        "console/scp/node.html",
        place=place,
        own=held[place.node],
        inherited=inherited,
        enabled=organization().scp_enabled,
    )


def _bind_page(place: Place) -> Any:
    form, chosen = Form(), many("policy")
    if form.validate_on_submit() and form.has(chosen) and form.attempt(lambda: _bind(place, chosen)):
        flash(ngettext("%(num)s policy bound.", "%(num)s policies bound.", len(chosen)), "good")
        return redirect(place.here, 303)
    return render_template(
        "console/scp/bind_node.html",
        form=form,
        place=place,
        rows=queries.policies_to_bind(db(), organization(), place.node),
        chosen=chosen,
        enabled=organization().scp_enabled,
    ), form.status


def _bind(place: Place, chosen: Sequence[str]) -> Sequence[str]:
    for policy_id in chosen:
        policy = policies.get_policy(db(), organization(), policy_id)
        targets = {"accounts" if place.kind == "account" else "departments": [place.id]}
        bindings.bind(db(), actor(), organization=organization(), policy=policy, **targets)
    return chosen


def _department(department_id: int) -> Place:
    *above, found = tree.path(db(), organization(), department_id)
    return Place("department", found.id, found.name, above[::-1])


def _member(uin: int) -> Place:
    found = tree.member(db(), organization(), uin)
    above = tree.path(db(), organization(), found.department_id)
    return Place("account", uin, found.name, above[::-1], is_exempt=uin == organization().admin_uin)
