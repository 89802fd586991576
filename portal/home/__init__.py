"""Employees: sign-in by the enterprise IdP, and the user portal (IC-16, IC-17). Nobody has a password here.

/login/<space> -> Redirect -> /saml/<space>/login    sign_in.begin: pending row, binding cookie, off to the IdP
IdP -> POST /saml/<space>/acs                        sign_in.acs: pending row out, response judged, session -> /home
/home                                                user_portal: accounts with their roles, or with a CAM user
POST /home/accounts/<uin>/...                        log_in: entry checked now, signed response to the account
"""

from __future__ import annotations

import importlib

from flask import Blueprint

blueprint = Blueprint("home", __name__)

UIN = "<int(max=999999999999999999):uin>"

for _area in ("entrance", "sign_in", "user_portal", "log_in"):
    importlib.import_module(f"portal.home.{_area}")
