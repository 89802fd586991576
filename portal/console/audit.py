"""What happened in the organization, accepted or refused (AUD-1)."""

from __future__ import annotations

import json
from typing import Any

from flask import render_template
from flask_babel import lazy_gettext as _l

from portal.console import blueprint
from portal.console.scope import organization
from portal.core import audit
from portal.web.listing import search_from_url
from portal.web.permissions import Permission, requires
from portal.web.transactions import db

SUBJECTS = (
    ("administrator", _l("Administrators")),
    ("user", _l("Users")),
    ("group", _l("User groups")),
    ("space", _l("Space")),
    ("sso", _l("SSO")),
    ("scim", _l("SCIM")),
    ("scim_credential", _l("SCIM credentials")),
    ("configuration", _l("Permission configurations")),
    ("authorization", _l("Authorizations")),
    ("deployment", _l("Deployments")),
    ("user_sync", _l("User synchronizations")),
    ("task", _l("Tasks")),
    ("organization", _l("Organization")),
    ("department", _l("Departments")),
    ("member", _l("Member accounts")),
    ("scp", _l("Service control policies")),
    ("account", _l("Sign-ons to accounts")),
    ("cam_user", _l("CAM users")),
    ("cam_role", _l("CAM roles")),
    ("cam_identity_provider", _l("CAM identity providers")),
)


@blueprint.get("/audit", endpoint="audit")
@requires(Permission.LOOK_UP_EVENTS)
def audit_page() -> str:
    page = audit.events(db(), organization().id, search_from_url("result", "action", "request"))
    return render_template("console/audit/audit.html", page=page, subjects=SUBJECTS, as_json=_as_json)


def _as_json(details: dict[str, Any]) -> str:
    return json.dumps(details, indent=2, ensure_ascii=False)
