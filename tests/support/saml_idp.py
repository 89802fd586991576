"""Identity providers for tests: a small one that can also lie, and pysaml2, which is not our code."""

from __future__ import annotations

import base64
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape, quoteattr

import pytest
import xmlsec
from lxml import etree

from saml.keys import make_key_pair
from saml.metadata import identity_provider_metadata, parse_identity_provider
from saml.parties import IdentityProvider

SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
SAMLP = "{urn:oasis:names:tc:SAML:2.0:protocol}"
DS = "{http://www.w3.org/2000/09/xmldsig#}"
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
UNSPECIFIED = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"

PYSAML2_WARNINGS = [
    pytest.mark.filterwarnings("ignore:CFB has been moved to cryptography.hazmat.decrepit"),
]
"""Marks for every test that uses Pysaml2Idp (pysaml2 7.5 on a current cryptography)."""

Edit = Callable[[etree._Element], None]


@cache
def key_pair(name: str) -> tuple[str, str]:
    """A private key and its certificate (PEM), the same for the same name during one run."""
    return make_key_pair(name, now=datetime.now(UTC) - timedelta(days=1))


def request_id_of(redirect_url: str) -> str:
    """The id of the AuthnRequest in a redirect URL."""
    query = parse_qs(urlsplit(redirect_url).query)
    message = zlib.decompress(base64.b64decode(query["SAMLRequest"][0]), -15)
    return etree.fromstring(message).get("ID", "")


def encoded(response: etree._Element) -> str:
    return base64.b64encode(etree.tostring(response)).decode()


def decoded(saml_response: str) -> etree._Element:
    return etree.fromstring(base64.b64decode(saml_response))


class TestIdp:
    """Writes its messages by a template of its own, so that our issuing code does not vouch for itself."""

    __test__ = False

    def __init__(
        self,
        entity_id: str = "https://idp.example.test/metadata",
        sso_url: str = "https://idp.example.test/sso",
    ) -> None:
        self.entity_id = entity_id
        self.sso_url = sso_url
        self.private_key, self.certificate = key_pair(entity_id)

    def metadata(self) -> str:
        return identity_provider_metadata(
            entity_id=self.entity_id, sso_url=self.sso_url, certificates=[self.certificate]
        )

    def identity_provider(self) -> IdentityProvider:
        return parse_identity_provider(self.metadata())

    def respond(
        self,
        request: str | None,
        acs_url: str,
        audience: str,
        name_id: str,
        *,
        now: datetime | None = None,
        sign: Sequence[str] = ("assertion",),
        edit: Edit | None = None,
        edit_signed: Edit | None = None,
        key: tuple[str, str] | None = None,
        **tweaks: Any,
    ) -> str:
        """The form field SAMLResponse that answers `request`: a redirect URL, the id in it, or None.

        `sign`: which of "assertion" and "response"; `edit` changes the tree before it is signed,
        `edit_signed` after. `key`: sign with another pair. `tweaks`: see `_message`, and `algorithms` of
        `sign_element`.
        """
        request_id = request_id_of(request) if request and "SAMLRequest=" in request else request
        algorithms = tweaks.pop("algorithms", ())
        message = _message(
            issuer=tweaks.pop("issuer", self.entity_id),
            acs_url=acs_url,
            audience=audience,
            name_id=name_id,
            in_response_to=tweaks.pop("in_response_to", request_id),
            now=now or datetime.now(UTC),
            **tweaks,
        )
        response = etree.fromstring(message)
        if edit:
            edit(response)
        for element in (response.find(f"{SAML}Assertion"), response):
            if element is not None and etree.QName(element).localname.lower() in sign:
                sign_element(element, *(key or (self.private_key, self.certificate)), *algorithms)
        if not edit_signed:
            return encoded(response)
        response = decoded(encoded(response))  # lxml cannot search for the nodes that xmlsec made
        edit_signed(response)
        return encoded(response)


def _message(
    *,
    issuer: str,
    acs_url: str,
    audience: str,
    name_id: str,
    in_response_to: str | None,
    now: datetime,
    attributes: Mapping[str, Sequence[str]] | None = None,
    destination: str | None = None,
    recipient: str | None = None,
    status: str = SUCCESS,
    not_before: timedelta = timedelta(minutes=-1),
    lifetime: timedelta = timedelta(minutes=5),
    name_id_format: str = UNSPECIFIED,
    assertion_id: str | None = None,
) -> bytes:
    stamp = f"{now:%Y%m%d%H%M%S%f}"
    issued, start, end = (_time(now + delta) for delta in (timedelta(0), not_before, lifetime))
    answer = f" InResponseTo={quoteattr(in_response_to)}" if in_response_to else ""
    values = "".join(
        f"<saml:Attribute Name={quoteattr(name)}>"
        + "".join(f"<saml:AttributeValue>{escape(value)}</saml:AttributeValue>" for value in found)
        + "</saml:Attribute>"
        for name, found in (attributes or {}).items()
    )
    statement = f"<saml:AttributeStatement>{values}</saml:AttributeStatement>" if values else ""
    namespaces = f'xmlns:samlp="{SAMLP[1:-1]}" xmlns:saml="{SAML[1:-1]}"'
    received = quoteattr(recipient or acs_url)
    return f"""<samlp:Response {namespaces} ID="_r{stamp}" Version="2.0"
  IssueInstant="{issued}" Destination={quoteattr(destination or acs_url)}{answer}>
  <saml:Issuer>{escape(issuer)}</saml:Issuer>
  <samlp:Status><samlp:StatusCode Value={quoteattr(status)}/></samlp:Status>
  <saml:Assertion ID={quoteattr(assertion_id or f"_a{stamp}")} Version="2.0" IssueInstant="{issued}">
    <saml:Issuer>{escape(issuer)}</saml:Issuer>
    <saml:Subject>
      <saml:NameID Format={quoteattr(name_id_format)}>{escape(name_id)}</saml:NameID>
      <saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">
        <saml:SubjectConfirmationData NotOnOrAfter="{end}" Recipient={received}{answer}/>
      </saml:SubjectConfirmation>
    </saml:Subject>
    <saml:Conditions NotBefore="{start}" NotOnOrAfter="{end}">
      <saml:AudienceRestriction><saml:Audience>{escape(audience)}</saml:Audience></saml:AudienceRestriction>
    </saml:Conditions>
    <saml:AuthnStatement AuthnInstant="{issued}" SessionIndex="_s{stamp}">
      <saml:AuthnContext>
        <saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef>
      </saml:AuthnContext>
    </saml:AuthnStatement>{statement}
  </saml:Assertion>
</samlp:Response>""".encode()


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def sign_element(
    element: etree._Element,
    private_key: str,
    certificate: str,
    signature: Any = xmlsec.constants.TransformRsaSha256,
    digest: Any = xmlsec.constants.TransformSha256,
    inclusive_namespaces: Sequence[str] = (),
) -> None:
    """An enveloped signature right after the Issuer."""
    node = xmlsec.template.create(element, xmlsec.constants.TransformExclC14N, signature, ns="ds")
    element[0].addnext(node)
    reference = xmlsec.template.add_reference(node, digest, uri=f"#{element.get('ID')}")
    xmlsec.template.add_transform(reference, xmlsec.constants.TransformEnveloped)
    transform = xmlsec.template.add_transform(reference, xmlsec.constants.TransformExclC14N)
    if inclusive_namespaces:
        xmlsec.template.transform_add_c14n_inclusive_namespaces(transform, list(inclusive_namespaces))
    xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(node))
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(private_key, xmlsec.constants.KeyDataFormatPem, None)
    context.key.load_cert_from_memory(certificate, xmlsec.constants.KeyDataFormatPem)
    context.register_id(element, "ID")
    context.sign(node)


def sign_root(
    document: str,
    private_key: str,
    certificate: str,
    *,
    prefix: str | None = "ds",
    signature: Any = xmlsec.constants.TransformRsaSha256,
    digest: Any = xmlsec.constants.TransformSha256,
) -> str:
    """A metadata document with an enveloped signature as the first child of its root, which has an ID."""
    root = etree.fromstring(document)
    node = xmlsec.template.create(root, xmlsec.constants.TransformExclC14N, signature, ns=prefix)
    root.insert(0, node)
    reference = xmlsec.template.add_reference(node, digest, uri=f"#{root.get('ID')}")
    xmlsec.template.add_transform(reference, xmlsec.constants.TransformEnveloped)
    xmlsec.template.add_transform(reference, xmlsec.constants.TransformExclC14N)
    xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(node))
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(private_key, xmlsec.constants.KeyDataFormatPem, None)
    context.key.load_cert_from_memory(certificate, xmlsec.constants.KeyDataFormatPem)
    context.register_id(root, "ID")
    context.sign(node)
    return etree.tostring(root, encoding="unicode")


class Pysaml2Idp:
    """An identity provider of pysaml2, its configuration in `folder`. Needs the program xmlsec1."""

    def __init__(
        self,
        folder: Path,
        sp_metadata: str,
        *,
        entity_id: str = "https://pysaml2.example.test/idp",
        sso_url: str = "https://pysaml2.example.test/sso",
        slo_url: str = "https://pysaml2.example.test/slo",
        want_signed_requests: bool = False,
    ) -> None:
        from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT
        from saml2.config import IdPConfig
        from saml2.server import Server

        private_key, certificate = key_pair(entity_id)
        files = {"key.pem": private_key, "certificate.pem": certificate, "sp.xml": sp_metadata}
        for name, content in files.items():
            (folder / name).write_text(content)
        config = {
            "entityid": entity_id,
            "xmlsec_binary": self.program(),
            "key_file": str(folder / "key.pem"),
            "cert_file": str(folder / "certificate.pem"),
            "metadata": {"local": [str(folder / "sp.xml")]},
            "service": {
                "idp": {
                    "endpoints": {
                        "single_sign_on_service": [
                            (sso_url, BINDING_HTTP_REDIRECT),
                            (sso_url, BINDING_HTTP_POST),
                        ],
                        "single_logout_service": [(slo_url, BINDING_HTTP_REDIRECT), (slo_url, BINDING_HTTP_POST)],
                    },
                    "want_authn_requests_signed": want_signed_requests,
                    "policy": {"default": {"lifetime": {"minutes": 5}}},
                }
            },
        }
        self.entity_id = entity_id
        self.server = Server(config=IdPConfig().load(config))

    @staticmethod
    def program() -> str | None:
        """Where xmlsec1 is, None if it is not installed."""
        return shutil.which("xmlsec1")

    def metadata(self) -> str:
        from saml2.metadata import entity_descriptor

        return str(entity_descriptor(self.server.config))

    def answer(
        self,
        redirect_url: str,
        user: str,
        *,
        identity: Mapping[str, Sequence[str]] | None = None,
        sign_assertion: bool = True,
        sign_response: bool = False,
        encrypt: bool = False,
    ) -> tuple[str, str, str]:
        """Parse the AuthnRequest of `redirect_url`, answer: (SAMLResponse, RelayState, ACS URL)."""
        from saml2 import BINDING_HTTP_REDIRECT

        query = {name: values[0] for name, values in parse_qs(urlsplit(redirect_url).query).items()}
        request = self.server.parse_authn_request(
            query["SAMLRequest"],
            BINDING_HTTP_REDIRECT,
            relay_state=query.get("RelayState"),
            sigalg=query.get("SigAlg"),
            signature=query.get("Signature"),
        )
        found = self._answer(request.message, user, identity or {}, sign_assertion, sign_response, encrypt)
        return found[0], query.get("RelayState", ""), found[1]

    def answer_form(self, form: Mapping[str, str], user: str) -> tuple[str, str, str]:
        """The same for a request that came by HTTP-POST."""
        from saml2 import BINDING_HTTP_POST

        request = self.server.parse_authn_request(form["SAMLRequest"], BINDING_HTTP_POST)
        found = self._answer(request.message, user, {}, sign_assertion=True, sign_response=False)
        return found[0], form["RelayState"], found[1]

    def _answer(
        self,
        message: Any,
        user: str,
        identity: Mapping[str, Sequence[str]],
        sign_assertion: bool,
        sign_response: bool,
        encrypt: bool = False,
    ) -> tuple[str, str]:
        from saml2 import saml
        from saml2.authn_context import PASSWORD
        from saml2.xmldsig import DIGEST_SHA256, SIG_RSA_SHA256

        arguments = self.server.response_args(message)
        acs_url = arguments["destination"]
        response = self.server.create_authn_response(
            {name: list(values) for name, values in identity.items()},
            in_response_to=arguments["in_response_to"],
            destination=acs_url,
            sp_entity_id=arguments["sp_entity_id"],
            name_id=saml.NameID(format=saml.NAMEID_FORMAT_UNSPECIFIED, text=user),
            authn={"class_ref": PASSWORD, "authn_auth": self.entity_id},
            sign_assertion=sign_assertion,
            sign_response=sign_response,
            sign_alg=SIG_RSA_SHA256,
            digest_alg=DIGEST_SHA256,
            encrypt_assertion=encrypt,
        )
        return base64.b64encode(str(response).encode()).decode(), acs_url
