"""Who is in the account and what they may do there: every page of the account's console begins with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from flask import render_template, request
from flask_babel import gettext as _
from flask_login import current_user

from portal.core.actor import Actor
from portal.core.cam import queries, sessions, users
from portal.core.cam.models import CamRole, CamSession, CamUser
from portal.core.cam.queries import Grant
from portal.core.cam.roles import SERVICE_LINKED
from portal.core.errors import Forbidden
from portal.core.guardrails.access import AccessDecision, decide_access
from portal.core.guardrails.levels import Level, levels_of
from portal.core.organization.models import Account
from portal.web.transactions import db

LISTS = {"users": "cam:ListUsers", "roles": "cam:DescribeRoleList", "providers": "cam:ListSAMLProviders"}
GET_USER, GRANT, WITHDRAW = "cam:GetUser", "cam:AttachUserPolicies", "cam:DetachUserPolicies"
CREATE_KEY, DELETE_KEY = "cam:CreateAccessKey", "cam:DeleteAccessKey"


@dataclass(frozen=True)
class Visit:
    account: Account
    session: CamSession

    @cached_property
    def principal(self) -> CamRole | CamUser:
        return sessions.principal_of(db(), self.session)

    @property
    def is_role(self) -> bool:
        return self.session.role_id is not None

    @cached_property
    def grants(self) -> tuple[Grant, ...]:
        if isinstance(self.principal, CamRole):
            return queries.grants_of_role(db(), self.principal)
        return queries.grants_of_user(db(), self.principal)

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """The service control policies that bound this session; service-linked roles are exempt (SCP-4)."""
        if isinstance(self.principal, CamRole) and self.principal.type == SERVICE_LINKED:
            return ()
        return levels_of(db(), self.account.uin)

    @property
    def actor(self) -> Actor:
        found: Actor = current_user.actor
        return replace(found, organization_id=queries.organization_of(db(), self.account.uin))

    @property
    def lists(self) -> list[str]:
        """The lists of the account that this visitor's policies open."""
        return [name for name, action in LISTS.items() if self.may(action)]

    def decide(self, action: str, resource: str = "*") -> AccessDecision:
        """By the service control policies of the account and the policies of this session. Raises PolicyError."""
        asked = queries.question(
            self.principal,
            action,
            resource=resource,
            account_uin=self.account.uin,
            address=request.remote_addr or "",
        )
        return decide_access(self.levels, queries.named(self.grants), asked)

    def may(self, action: str, user: CamUser | None = None) -> bool:
        """For what a page offers: an action on one CAM user, or one that is bound to nothing."""
        return self.decide(action, users.user_arn(user.account_uin, user.uin) if user else "*").allowed

    def demand(self, action: str, resource: str = "*") -> None:
        """Raises Forbidden with the reason when the visitor's policies do not allow that."""
        decision = self.decide(action, resource)
        if not decision.allowed:
            message = _("You may not do %(action)s here: %(reason)s.", action=action, reason=decision.reason)
            raise Forbidden(message, decision=decision)

    def render(self, template: str, **values: Any) -> str:
        return render_template(f"account/{template}.html", visit=self, **values)


def visit() -> Visit:
    return Visit(current_user.account, current_user.session)
