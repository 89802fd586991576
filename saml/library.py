"""python3-saml in strict mode: the signature itself, the schemas, its own checks as a second pair of eyes.

Three things are ours. The tree that is verified is the tree that was checked and will be read: the library does
not parse the message a second time, nor decrypt it. The time is the caller's: the library asks its own clock, deep
inside a method, so in its response module the helper class is replaced once, at import, by one whose `now` gives the
time of the validation that is running in this thread (a context variable) and the real time outside of one. And its
schemas are read once for each thread, in the same way, not anew for each response, which took half of its time.
"""

from __future__ import annotations

import calendar
import threading
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import as_file, files
from urllib.parse import urlsplit

from lxml import etree
from onelogin.saml2 import response as library_response
from onelogin.saml2.errors import OneLogin_Saml2_ValidationError as ValidationError
from onelogin.saml2.settings import OneLogin_Saml2_Settings
from onelogin.saml2.utils import OneLogin_Saml2_Utils
from onelogin.saml2.xml_utils import OneLogin_Saml2_XML

from saml import xml
from saml.encryption import Opened
from saml.errors import SamlError
from saml.parties import IdentityProvider
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


class _Xml(OneLogin_Saml2_XML):  # type: ignore[misc]
    @staticmethod
    def validate_xml(document: etree._Element, schema: str, debug: bool = False) -> etree._Element | str:
        """The element, or a word, as the library's own gives back.

        Of an encrypted response only the form in clear, which the library asks for next: its schemas are older than
        the mask functions of xmlenc 1.1. The shape of the encrypted form is checked by ours.
        """
        if xml.find(document, "saml:EncryptedAssertion"):
            return document
        return document if _schema(schema).validate(document) else "invalid_xml"


_schemas = threading.local()


def _schema(name: str) -> etree.XMLSchema:
    """One for each thread: a schema keeps the errors of its last validation."""
    if name not in _schemas.__dict__:
        with as_file(files("onelogin.saml2").joinpath("schemas")) as folder:
            _schemas.__dict__[name] = etree.XMLSchema(etree.parse(str(folder / name)))
    found: etree.XMLSchema = _schemas.__dict__[name]
    return found


library_response.OneLogin_Saml2_Utils = _Utils
library_response.OneLogin_Saml2_XML = _Xml


class _Response(library_response.OneLogin_Saml2_Response):  # type: ignore[misc]
    """A response of trees that are parsed, and decrypted, already."""

    def __init__(self, settings: OneLogin_Saml2_Settings, opened: Opened) -> None:
        self._settings = settings
        self._error = None
        self.document = opened.received
        self.encrypted = opened.response is not opened.received
        self.decrypted_document = opened.response if self.encrypted else None
        self.valid_scd_not_on_or_after = None


def verify(opened: Opened, expected: Expected) -> None:
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
        settings = _settings(expected.sp.entity_id, expected.idp)
        _Response(settings, opened).is_valid(request, expected.request_id, raise_exceptions=True)
    except Exception as error:  # its own two kinds, lxml's, xmlsec's, ValueError, plain ones
        code = error.code if isinstance(error, ValidationError) else None
        raise SamlError(_REASONS.get(code, "library"), str(error)[:500]) from error
    finally:
        _time.reset(token)


@lru_cache(maxsize=64)
def _settings(sp_entity_id: str, idp: IdentityProvider) -> OneLogin_Saml2_Settings:
    """Kept: a validation only reads them."""
    settings = {
        "strict": True,
        "debug": False,
        # only its presence is checked: where we are comes from `request`
        "sp": {
            "entityId": sp_entity_id,
            "assertionConsumerService": {"url": "https://acs.invalid/"},
        },
        "idp": {
            "entityId": idp.entity_id,
            "x509certMulti": {"signing": list(idp.certificates)},
        },
        "security": {
            "rejectDeprecatedAlgorithm": True,
            "requestedAuthnContext": False,
            "wantAttributeStatement": False,
            "allowRepeatAttributeName": True,
        },
    }
    return OneLogin_Saml2_Settings(settings, sp_validation_only=True)
