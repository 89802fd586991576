"""python3-saml's own validation, without our replacements: the floor of what judges a response."""

from __future__ import annotations

from collections.abc import Callable

from onelogin.saml2 import response as library_response
from onelogin.saml2.response import OneLogin_Saml2_Response
from onelogin.saml2.settings import OneLogin_Saml2_Settings
from onelogin.saml2.utils import OneLogin_Saml2_Utils
from onelogin.saml2.xml_utils import OneLogin_Saml2_XML

from saml.parties import ServiceProvider
from tests.support.saml_idp import TestIdp

SP = ServiceProvider("https://ic.example.com/saml/acme/metadata", "https://ic.example.com/saml/acme/acs")


def library_validation(idp: TestIdp, answer: str = "") -> Callable[[], None]:
    """Validates `answer`, or else a response of `idp` with a signed assertion, to a request `_request` of SP."""
    answer = answer or idp.respond("_request", SP.acs_url, SP.entity_id, "alice")
    trusted = idp.identity_provider()
    settings = OneLogin_Saml2_Settings(
        {
            "strict": True,
            "sp": {"entityId": SP.entity_id, "assertionConsumerService": {"url": SP.acs_url}},
            "idp": {
                "entityId": trusted.entity_id,
                "singleSignOnService": {"url": trusted.sso_url},
                "x509cert": "".join(trusted.certificates[0].splitlines()[1:-1]),
            },
            "security": {"wantAttributeStatement": False},
        }
    )
    request = {"https": "on", "http_host": "ic.example.com", "script_name": "/saml/acme/acs", "get_data": {}}

    def validate() -> None:
        replaced = library_response.OneLogin_Saml2_Utils, library_response.OneLogin_Saml2_XML
        library_response.OneLogin_Saml2_Utils = OneLogin_Saml2_Utils
        library_response.OneLogin_Saml2_XML = OneLogin_Saml2_XML
        try:
            assert OneLogin_Saml2_Response(settings, answer).is_valid(request, request_id="_request")
        finally:
            library_response.OneLogin_Saml2_Utils, library_response.OneLogin_Saml2_XML = replaced

    return validate
