"""The administrator's pages, one module per area. Every view: parse, call one verb, render or redirect.

Only the admin account of an organization manages its Identity Center (IC-18): an administrator is a CAM user of that
account.
"""

from __future__ import annotations

import importlib

from flask import Blueprint

blueprint = Blueprint("console", __name__)

AREAS = (
    "sign_in",
    "overview",
    "organization",
    "closing",
    "department_permissions",
    "scp",
    "scp_edit",
    "scp_bindings",
    "scp_nodes",
    "users",
    "groups",
    "adoption",
    "sso",
    "signing_key",
    "sso_offer",
    "sso_attempts",
    "sso_settings",
    "sso_keys",
    "sso_certificates",
    "sso_metadata_url",
    "scim",
    "guard",
    "scim_log",
    "configurations",
    "deployments",
    "deploying",
    "accounts",
    "removing",
    "grant_roles",
    "grant_departments",
    "grant_users",
    "syncs",
    "tasks",
    "drift",
    "explorer",
    "what_if",
    "audit",
)

for _area in AREAS:
    importlib.import_module(f"portal.console.{_area}")
