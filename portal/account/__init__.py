"""The console of one account of the embedded cloud: where a login to an account lands (IC-17, CAM-1..CAM-4).

    portal -> POST /accounts/<uin>/saml/acs -> speaker: which of the account's identity providers vouches, for which
           role or CAM user -> session of that account -> /accounts/<uin>: who am I, what may I, what is here

A session of one account is none in another: its cookie has the account's path, its record the account's number.
"""

from __future__ import annotations

import importlib

from flask import Blueprint

blueprint = Blueprint("account", __name__)

UIN = "/<int(min=1, max=999999999999):uin>"

for _area in ("acs", "pages", "users"):
    importlib.import_module(f"portal.account.{_area}")
