from __future__ import annotations

from datetime import timedelta

import pytest
import xmlsec
from lxml import etree

from portal.clouds.sites import sign_on_as_role
from portal.core import clock
from portal.core.directory.models import User
from portal.core.organization.models import Account
from saml.issuing import issue_response
from saml.parties import ServiceProvider
from saml.service_provider import accept_response
from tests.support.saml_idp import TestIdp, key_pair

pytestmark = pytest.mark.benchmark


def test_issuing_a_role_response(compare) -> None:  # type: ignore[no-untyped-def]
    """Floor: two bare signatures of xmlsec over a document of that size."""
    private, certificate = key_pair("bench")
    account, user = Account(uin=100001, name="shop", cloud="local"), User(id="u-alice", user_name="alice")

    def ours() -> object:
        lasting = timedelta(hours=1)
        sign_on = sign_on_as_role(
            account,
            base_url="https://ic.example.com",
            role="TencentCloudSSO-Reader",
            provider="TencentReservedSSO-z-000000000001",
            user=user,
            duration=lasting,
        )
        return issue_response(
            issuer="https://ic.example.com/saml/acme/idp-metadata",
            recipient=sign_on.acs_url,
            audience=sign_on.audience,
            name_id=sign_on.name_id,
            name_id_format=sign_on.name_id_format,
            attributes=sign_on.attributes,
            in_response_to=None,
            private_key=private,
            certificate=certificate,
            now=clock.now(),
            session_not_on_or_after=clock.now() + lasting,
        )

    key = xmlsec.Key.from_memory(private, xmlsec.KeyFormat.PEM)

    def sign() -> None:
        root = etree.fromstring(f'<a ID="_x"><b>{"x" * 2000}</b></a>')
        signature = xmlsec.template.create(root, xmlsec.Transform.EXCL_C14N, xmlsec.Transform.RSA_SHA256)
        root.append(signature)
        reference = xmlsec.template.add_reference(signature, xmlsec.Transform.SHA256, uri="#_x")
        xmlsec.template.add_transform(reference, xmlsec.Transform.ENVELOPED)
        xmlsec.template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
        context = xmlsec.SignatureContext()
        context.key = key
        context.register_id(root, "ID")
        context.sign(signature)

    compare("issuing a role response", ours, lambda: (sign(), sign()))


def test_accepting_a_response(compare) -> None:  # type: ignore[no-untyped-def]
    """Floor: python3-saml's own validation of the same response, as it is without our replacements."""
    from onelogin.saml2 import response as library_response
    from onelogin.saml2.response import OneLogin_Saml2_Response
    from onelogin.saml2.settings import OneLogin_Saml2_Settings
    from onelogin.saml2.utils import OneLogin_Saml2_Utils
    from onelogin.saml2.xml_utils import OneLogin_Saml2_XML

    sp = ServiceProvider("https://ic.example.com/saml/acme/metadata", "https://ic.example.com/saml/acme/acs")
    idp = TestIdp("https://idp.example.com", "https://idp.example.com/sso")
    answer = idp.respond("_request", sp.acs_url, sp.entity_id, "alice", sign=("assertion", "response"))
    trusted = idp.identity_provider()
    settings = OneLogin_Saml2_Settings(
        {
            "strict": True,
            "sp": {"entityId": sp.entity_id, "assertionConsumerService": {"url": sp.acs_url}},
            "idp": {
                "entityId": trusted.entity_id,
                "singleSignOnService": {"url": trusted.sso_url},
                "x509cert": "".join(trusted.certificates[0].splitlines()[1:-1]),
            },
            "security": {"wantAttributeStatement": False},
        }
    )
    request = {"https": "on", "http_host": "ic.example.com", "script_name": "/saml/acme/acs", "get_data": {}}

    def library() -> None:
        replaced = library_response.OneLogin_Saml2_Utils, library_response.OneLogin_Saml2_XML
        library_response.OneLogin_Saml2_Utils = OneLogin_Saml2_Utils
        library_response.OneLogin_Saml2_XML = OneLogin_Saml2_XML
        assert OneLogin_Saml2_Response(settings, answer).is_valid(request, request_id="_request")
        library_response.OneLogin_Saml2_Utils, library_response.OneLogin_Saml2_XML = replaced

    compare(
        "accepting a response, two signatures",
        lambda: accept_response(sp, trusted, answer, request_id="_request", now=clock.now()),
        library,
    )
