"""Employees: sign-in by the enterprise IdP, and the user portal (IC-16, IC-17). Nobody has a password here.

/login/<space> -> Redirect -> /saml/<space>/login    sign_in.begin: pending row, binding cookie, off to the IdP
IdP -> POST /saml/<space>/acs                        acs: pending row out, response judged (answers), session -> /home
IdP, unasked -> acs -> /saml/<space>/arrive          arriving: does it displace another person's session? -> /home
/home                                                user_portal: accounts with their roles, or with a CAM user
POST /home/accounts/<uin>/...                        log_in: entry checked now, signed response to the account
POST /logout, /saml/<space>/slo                      logout: here, and by single logout at the IdP; or asked by the IdP
"""

from __future__ import annotations

import importlib

from flask import Blueprint

blueprint = Blueprint("home", __name__)

UIN = "<int(max=999999999999999999):uin>"

for _area in ("entrance", "publishing", "sign_in", "arriving", "acs", "logout", "slo", "user_portal", "log_in"):
    importlib.import_module(f"portal.home.{_area}")
