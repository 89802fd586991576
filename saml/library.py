"""python3-saml in strict mode: the signature itself, the schemas, its own checks as a second pair of eyes.

Two things are ours. The tree that is verified is the tree that was checked and will be read: the library does
not parse the message a second time. And the time is the caller's: the library asks its own clock, deep inside
a method, so in its response module the helper class is replaced once, at import, by one whose `now` gives the
time of the validation that is running in this thread (a context variable) and the real time outside of one.
"""

from __future__ import annotations

import calendar
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from lxml import etree
from onelogin.saml2 import response as library_response
from onelogin.saml2.errors import OneLogin_Saml2_ValidationError as ValidationError
from onelogin.saml2.settings import OneLogin_Saml2_Settings
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from saml.errors import SamlError
from saml.rules import Expected

_time: ContextVar[datetime | None] = ContextVar("saml_time", default=None)

_REASONS = {
    ValidationError.INVALID_SIGNATURE: "signature",
    ValidationError.INVALID_XML_FORMAT: "shape",
}


class _Utils(OneLogin_Saml2_Utils):  # type: ignore[misc]
    @staticmethod
    def now() -> int:
        return calendar.timegm((_time.get() or datetime.now(UTC)).utctimetuple())


library_response.OneLogin_Saml2_Utils = _Utils


class _Response(library_response.OneLogin_Saml2_Response):  # type: ignore[misc]
    """A response of a tree that is parsed already; encrypted ones do not come this far."""

    def __init__(self, settings: OneLogin_Saml2_Settings, document: etree._Element) -> None:
        self._settings = settings
        self._error = None
        self.document = document
        self.decrypted_document = None
        self.encrypted = None
        self.valid_scd_not_on_or_after = None


def verify(response: etree._Element, expected: Expected) -> None:
    """Raises SamlError: signature, shape or library."""
    acs = urlsplit(expected.sp.acs_url)
    request = {
        "https": "on" if acs.scheme == "https" else "off",
        "http_host": acs.netloc,
        "script_name": acs.path,
    }
    # The library forgives no skew at the confirmation's end, 300 s elsewhere; our rules are the exact ones.
    token = _time.set(expected.now - expected.skew)
    try:
        settings = OneLogin_Saml2_Settings(_settings(expected), sp_validation_only=True)
        _Response(settings, response).is_valid(request, expected.request_id, raise_exceptions=True)
    except Exception as error:  # its own two kinds, lxml's, xmlsec's, ValueError, plain ones
        code = error.code if isinstance(error, ValidationError) else None
        raise SamlError(_REASONS.get(code, "library"), str(error)[:500]) from error
    finally:
        _time.reset(token)


def _settings(expected: Expected) -> dict[str, Any]:
    return {
        "strict": True,
        "debug": False,
        # only its presence is checked: where we are comes from `request`
        "sp": {
            "entityId": expected.sp.entity_id,
            "assertionConsumerService": {"url": "https://acs.invalid/"},
        },
        "idp": {
            "entityId": expected.idp.entity_id,
            "x509certMulti": {"signing": list(expected.idp.certificates)},
        },
        "security": {
            "rejectDeprecatedAlgorithm": True,
            "requestedAuthnContext": False,
            "wantAttributeStatement": False,
            "allowRepeatAttributeName": True,
        },
    }
