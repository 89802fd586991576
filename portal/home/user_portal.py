"""The user portal: which accounts are open to me, as what, and what that allows (IC-16)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import render_template, request
from flask_login import current_user

from portal.core.access import authorizations, queries
from portal.core.cam import presets
from portal.core.paging import PAGE_SIZES, Search
from portal.home import UIN, blueprint
from portal.web.listing import search_from_url
from portal.web.permissions import Permission, requires
from portal.web.transactions import db


@dataclass(frozen=True)
class ShownPolicy:
    name: str
    description: str
    document: str


@blueprint.get("/home")
@requires(Permission.EMPLOYEE)
def portal() -> Any:
    tab = "user" if request.args.get("tab") == "user" else "role"
    search = search_from_url(size=PAGE_SIZES[-1])
    rows = queries.user_entries_of_user if tab == "user" else queries.entries_of_user
    return render_template("home/portal.html", tab=tab, page=rows(db(), current_user.user, search))


@blueprint.get(f"/home/accounts/{UIN}/roles/<configuration_id>")
@requires(Permission.EMPLOYEE)
def permissions(uin: int, configuration_id: str) -> Any:
    entry = authorizations.entry(db(), current_user.user, account_uin=uin, configuration_id=configuration_id)
    names = queries.policies_of_configuration(db(), entry.configuration, Search(size=PAGE_SIZES[-1]))
    return render_template(
        "home/permissions.html",
        entry=entry,
        policies=[_shown(row.name) for row in names.rows],
        pending=entry.deployment.deployed_revision < entry.configuration.revision,
    )


def _shown(name: str) -> ShownPolicy:
    preset = presets.find(name)
    return ShownPolicy(name, preset.description if preset else "", preset.document if preset else "")
