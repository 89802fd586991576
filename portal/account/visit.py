"""Who is in the account and what they may do there: every page of the account's console begins with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from flask import render_template, request
from flask_babel import gettext as _
from flask_login import current_user

from portal.core import clock
from portal.core.actor import Actor
from portal.core.cam import queries, sessions
from portal.core.cam.decision import AccessRequest, Decision, decide
from portal.core.cam.models import CamRole, CamSession, CamUser
from portal.core.cam.queries import Grant
from portal.core.errors import Forbidden
from portal.core.organization.models import Account
from portal.web.transactions import db

LISTS = (("users", "cam:ListUsers"), ("roles", "cam:DescribeRoleList"), ("providers", "cam:ListSAMLProviders"))


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

    @property
    def actor(self) -> Actor:
        found: Actor = current_user.actor
        return replace(found, organization_id=queries.organization_of(db(), self.account.uin))

    @property
    def lists(self) -> list[str]:
        """The lists of the account that this visitor's policies open."""
        return [name for name, action in LISTS if self.decide(action).allowed]

    def decide(self, action: str, resource: str = "*") -> Decision:
        """By the policies of this session, here and now. Raises PolicyError."""
        uin = {"uin": str(self.principal.uin)} if isinstance(self.principal, CamUser) else {}
        context = {
            "qcs:ip": request.remote_addr or "",
            "qcs:current_time": clock.now().isoformat(),
            "qcs:owner_uin": str(self.account.uin),
            **{f"qcs:{name}": value for name, value in uin.items()},
        }
        asked = AccessRequest(action, resource, self.account.uin, context, uin)
        return decide(queries.named(self.grants), asked)

    def demand(self, name: str) -> None:
        """Raises Forbidden when the visitor's policies do not open the list of that name."""
        action = dict(LISTS)[name]
        decision = self.decide(action)
        if not decision.allowed:
            raise Forbidden(_("You may not do %(action)s here: %(reason)s.", action=action, reason=decision.reason))

    def render(self, template: str, **values: Any) -> str:
        return render_template(f"account/{template}.html", visit=self, **values)


def visit() -> Visit:
    return Visit(current_user.account, current_user.session)
