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
from saml.judging import judge_response
from saml.service_provider import accept_response, response_in_response_to
from tests.benchmarks.saml import SP, library_validation
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
    idp = TestIdp("https://idp.example.com", "https://idp.example.com/sso")
    answer = idp.respond("_request", SP.acs_url, SP.entity_id, "alice", sign=("assertion", "response"))
    trusted = idp.identity_provider()

    def accept() -> None:
        accept_response(SP, trusted, answer, request_id="_request", now=clock.now())

    def judge() -> None:
        assert response_in_response_to(answer) == "_request"
        assert judge_response(SP, trusted, answer, request_id="_request", now=clock.now()).assertion

    floor = library_validation(idp, answer)
    compare("accepting a response, two signatures", accept, floor)
    compare("the same as the ACS does it: request id, every check told, decoded to look at", judge, floor)
