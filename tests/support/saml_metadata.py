"""Metadata in the shape that known identity providers write it: our own names and keys, their elements and order."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from lxml import etree

from tests.support.saml_idp import key_pair, sign_root

REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
SOAP = "urn:oasis:names:tc:SAML:2.0:bindings:SOAP"
ARTIFACT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact"
SIMPLE_SIGN = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST-SimpleSign"
SAML2 = "urn:oasis:names:tc:SAML:2.0:protocol"
SAML1 = "urn:oasis:names:tc:SAML:1.1:protocol"
FIRST, SECOND, THIRD = (key_pair(name)[1] for name in ("first", "second", "third"))
_MD = "urn:oasis:names:tc:SAML:2.0:metadata"
_DS = "http://www.w3.org/2000/09/xmldsig#"
_FORMATS = ("SAML:1.1:nameid-format:emailAddress", "SAML:2.0:nameid-format:persistent")


@dataclass(frozen=True)
class Sample:
    """A document and what is to be read from it."""

    document: str
    entity_id: str
    sso_url: str
    sso_binding: str = "HTTP-Redirect"
    certificates: tuple[str, ...] = (FIRST,)
    slo_url: str | None = None
    slo_binding: str | None = None
    slo_response_url: str | None = None


def bare(certificate: str) -> str:
    return "".join(certificate.strip().splitlines()[1:-1])


def _key(certificate: str, use: str | None = "signing", *, p: str = "md:", folded: bool = False) -> str:
    body = base64.encodebytes(base64.b64decode(bare(certificate))).decode() if folded else bare(certificate)
    uses = f' use="{use}"' if use else ""
    return (
        f'<{p}KeyDescriptor{uses}><ds:KeyInfo xmlns:ds="{_DS}"><ds:X509Data><ds:X509Certificate>{body}'
        f"</ds:X509Certificate></ds:X509Data></ds:KeyInfo></{p}KeyDescriptor>"
    )


def _service(name: str, binding: str, location: str, *, p: str = "md:", more: str = "") -> str:
    return f'<{p}{name} Binding="{binding}" Location="{location}"{more}/>'


def _sso(binding: str, location: str, *, p: str = "md:") -> str:
    return _service("SingleSignOnService", binding, location, p=p)


def _slo(binding: str, location: str, *, p: str = "md:", more: str = "") -> str:
    return _service("SingleLogoutService", binding, location, p=p, more=more)


def _formats(p: str = "md:") -> str:
    return "".join(f"<{p}NameIDFormat>urn:oasis:names:tc:{name}</{p}NameIDFormat>" for name in _FORMATS)


def okta() -> Sample:
    """With single logout switched on, which it offers by both bindings."""
    base = "https://acme.okta.test/app/acme_portal_1/exk1"
    url, slo = f"{base}/sso/saml", f"{base}/slo/saml"
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<md:EntityDescriptor entityID="http://www.okta.test/exk1" xmlns:md="{_MD}">'
        f'<md:IDPSSODescriptor WantAuthnRequestsSigned="false" protocolSupportEnumeration="{SAML2}">'
        f"{_key(FIRST, folded=True)}{_slo(POST, slo)}{_slo(REDIRECT, slo)}{_formats()}"
        f"{_sso(POST, url)}{_sso(REDIRECT, url)}</md:IDPSSODescriptor></md:EntityDescriptor>"
    )
    return Sample(document, "http://www.okta.test/exk1", url, slo_url=slo, slo_binding="HTTP-Redirect")


def google() -> Sample:
    """Always with an end, and both bindings at one address."""
    entity, url = "https://accounts.google.test/o/saml2?idpid=C01", "https://accounts.google.test/o/saml2/idp?idpid=C01"
    document = (
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n'
        f'<md:EntityDescriptor xmlns:md="{_MD}" entityID="{entity}" validUntil="2035-05-01T09:10:11.000Z">'
        f'<md:IDPSSODescriptor WantAuthnRequestsSigned="false" protocolSupportEnumeration="{SAML2}">{_key(FIRST)}'
        f"{_formats()}{_sso(REDIRECT, url)}{_sso(POST, url)}</md:IDPSSODescriptor></md:EntityDescriptor>"
    )
    return Sample(document, entity, url)


def onelogin() -> Sample:
    base = "https://acme.onelogin.test/trust/saml2"
    document = (
        f'<?xml version="1.0"?><EntityDescriptor xmlns="{_MD}" entityID="https://app.onelogin.test/saml/metadata/1">'
        f'<IDPSSODescriptor xmlns:ds="{_DS}" protocolSupportEnumeration="{SAML2}">{_key(FIRST, p="", folded=True)}'
        f"{_slo(REDIRECT, f'{base}/http-redirect/slo/1', p='')}{_formats('')}"
        f"{_sso(REDIRECT, f'{base}/http-post/sso/1', p='')}{_sso(POST, f'{base}/http-post/sso/1', p='')}"
        f"{_sso(SOAP, f'{base}/soap/sso/1', p='')}</IDPSSODescriptor></EntityDescriptor>"
    )
    return Sample(
        document,
        "https://app.onelogin.test/saml/metadata/1",
        f"{base}/http-post/sso/1",
        slo_url=f"{base}/http-redirect/slo/1",
        slo_binding="HTTP-Redirect",
    )


def ping() -> Sample:
    """PingFederate: signed, with an ID, a logout and an artifact service."""
    url, slo = "https://sso.ping.test/idp/SSO.saml2", "https://sso.ping.test/idp/SLO.saml2"
    document = (
        f'<md:EntityDescriptor ID="m1" cacheDuration="PT1440M" entityID="ping.test" xmlns:md="{_MD}">'
        f'<md:IDPSSODescriptor protocolSupportEnumeration="{SAML2}" WantAuthnRequestsSigned="false">'
        f"{_key(FIRST)}{_key(SECOND, 'encryption')}"
        '<md:ArtifactResolutionService index="0" Location="https://sso.ping.test/idp/ARS.ssaml2" '
        f'Binding="{SOAP}" isDefault="true"/>{_slo(ARTIFACT, slo)}{_slo(POST, slo)}{_slo(REDIRECT, slo)}{_formats()}'
        f"{_sso(POST, url)}{_sso(REDIRECT, url)}"
        '<saml:Attribute xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" Name="mail"/></md:IDPSSODescriptor>'
        '<md:ContactPerson contactType="administrative"/></md:EntityDescriptor>'
    )
    signed = sign_root(document, *key_pair("first"), prefix="ds")
    return Sample(signed, "ping.test", url, slo_url=slo, slo_binding="HTTP-Redirect")


def _claims(count: int) -> str:
    return "".join(
        f'<auth:ClaimType Uri="http://schemas.test/claims/{n}" Optional="true" xmlns:auth="http://docs.oasis-open.org/'
        f'wsfed/authorization/200706"><auth:DisplayName>Claim {n}</auth:DisplayName>'
        f"<auth:Description>{'What it says. ' * 8}</auth:Description></auth:ClaimType>"
        for n in range(count)
    )


def _ws_federation(role: str, offered: str, certificates: tuple[str, ...], claims: int) -> str:
    keys = "".join(_key(certificate, p="") for certificate in certificates)
    address = (
        "<EndpointReference xmlns='http://www.w3.org/2005/08/addressing'><Address>https://x.test/</Address>"
        "</EndpointReference>"
    )
    return (
        f'<RoleDescriptor xsi:type="fed:{role}" protocolSupportEnumeration="http://docs.oasis-open.org/ws-sx/ws-trust/'
        '200512 http://docs.oasis-open.org/wsfed/federation/200706" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xmlns:fed="http://docs.oasis-open.org/wsfed/federation/200706">{keys}'
        f"<fed:{offered}>{_claims(claims)}</fed:{offered}>"
        f"<fed:PassiveRequestorEndpoint>{address}</fed:PassiveRequestorEndpoint></RoleDescriptor>"
    )


def entra() -> Sample:
    """Signed, with a byte order mark, WS-Federation roles before the SAML role, one certificate for each roll-over."""
    tenant = "https://sts.windows.test/6f0c/"
    url = "https://login.microsoftonline.test/6f0c/saml2"
    document = (
        f'<EntityDescriptor ID="_4a" entityID="{tenant}" xmlns="{_MD}">'
        f"{_ws_federation('SecurityTokenServiceType', 'ClaimTypesOffered', (FIRST, SECOND), 20)}"
        f"{_ws_federation('ApplicationServiceType', 'TargetScopes', (FIRST, SECOND), 0)}"
        f'<IDPSSODescriptor protocolSupportEnumeration="{SAML2}">{_key(FIRST, p="")}{_key(SECOND, p="")}'
        f"{_slo(REDIRECT, url, p='')}{_sso(REDIRECT, url, p='')}{_sso(POST, url, p='')}"
        "</IDPSSODescriptor></EntityDescriptor>"
    )
    signed = sign_root(document, *key_pair("second"), prefix=None)
    return Sample(
        f'\ufeff<?xml version="1.0" encoding="utf-8"?>{signed}',
        tenant,
        url,
        certificates=(FIRST, SECOND),
        slo_url=url,
        slo_binding="HTTP-Redirect",
    )


def adfs() -> Sample:
    """Huge, signed, with four roles, of which the SAML service provider is one, and the key that signs next."""
    url, index = "https://adfs.acme.test/adfs/ls/", ' index="0" isDefault="true"'
    document = (
        f'<EntityDescriptor ID="_5b" entityID="http://adfs.acme.test/adfs/services/trust" xmlns="{_MD}">'
        f"{_ws_federation('ApplicationServiceType', 'ClaimTypesRequested', (SECOND,), 110)}"
        f"{_ws_federation('SecurityTokenServiceType', 'ClaimTypesOffered', (FIRST,), 110)}"
        f'<SPSSODescriptor WantAssertionsSigned="true" protocolSupportEnumeration="{SAML2}">'
        f"{_key(SECOND, 'encryption', p='')}{_key(FIRST, p='')}{_slo(REDIRECT, url + 'sp', p='')}"
        f"{_service('AssertionConsumerService', POST, url, p='', more=index)}</SPSSODescriptor>"
        f'<IDPSSODescriptor protocolSupportEnumeration="{SAML2}">{_key(SECOND, "encryption", p="")}{_key(FIRST, p="")}'
        f"{_key(THIRD, p='')}{_slo(REDIRECT, url, p='')}{_slo(POST, url, p='')}{_formats('')}"
        f"{_sso(REDIRECT, url, p='')}{_sso(POST, url, p='')}"
        '<Attribute Name="http://schemas.test/claims/upn" NameFormat="urn:oasis:names:tc:SAML:2.0:attrname-format:uri" '
        'FriendlyName="UPN" xmlns="urn:oasis:names:tc:SAML:2.0:assertion"/></IDPSSODescriptor>'
        '<ContactPerson contactType="support"/></EntityDescriptor>'
    )
    signed = sign_root(document, *key_pair("first"), prefix="ds")
    return Sample(
        signed,
        "http://adfs.acme.test/adfs/services/trust",
        url,
        certificates=(FIRST, THIRD),
        slo_url=url,
        slo_binding="HTTP-Redirect",
    )


def keycloak() -> Sample:
    """With names of keys: one that signs, and the one before, which is passive now."""
    url = "http://keycloak:8080/realms/acme/protocol/saml"
    keys = "".join(
        _key(pem).replace("<ds:X509Data>", f"<ds:KeyName>xYz-{pem[100]}</ds:KeyName><ds:X509Data>")
        for pem in (FIRST, SECOND)
    )
    services = "".join(_sso(binding, url) for binding in (POST, REDIRECT, SOAP, ARTIFACT))
    document = (
        f'<md:EntityDescriptor xmlns="{_MD}" xmlns:md="{_MD}" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" '
        f'xmlns:ds="{_DS}" entityID="http://keycloak:8080/realms/acme"><md:IDPSSODescriptor '
        f'WantAuthnRequestsSigned="true" protocolSupportEnumeration="{SAML2}">{keys}'
        f'<md:ArtifactResolutionService Binding="{SOAP}" Location="{url}/resolve" index="0"/>'
        f"{_slo(POST, url)}{_slo(REDIRECT, url)}{_slo(ARTIFACT, url)}{_slo(SOAP, url)}{_formats()}{services}"
        "</md:IDPSSODescriptor></md:EntityDescriptor>"
    )
    return Sample(
        document,
        "http://keycloak:8080/realms/acme",
        url,
        certificates=(FIRST, SECOND),
        slo_url=url,
        slo_binding="HTTP-Redirect",
    )


def authentik() -> Sample:
    base = "https://auth.acme.test/application/saml/portal"
    document = (
        f"<?xml version='1.0' encoding='UTF-8'?>\n<md:EntityDescriptor xmlns:md=\"{_MD}\" xmlns:ds=\"{_DS}\" "
        f'entityID="authentik" ID="_9c"><md:IDPSSODescriptor protocolSupportEnumeration="{SAML2}" '
        f'WantAuthnRequestsSigned="false">{_key(FIRST)}{_slo(REDIRECT, f"{base}/slo/binding/redirect/")}'
        f"{_slo(POST, f'{base}/slo/binding/post/')}{_formats()}"
        f"{_sso(REDIRECT, f'{base}/sso/binding/redirect/')}{_sso(POST, f'{base}/sso/binding/post/')}"
        "</md:IDPSSODescriptor></md:EntityDescriptor>"
    )
    return Sample(
        document,
        "authentik",
        f"{base}/sso/binding/redirect/",
        slo_url=f"{base}/slo/binding/redirect/",
        slo_binding="HTTP-Redirect",
    )


def shibboleth() -> Sample:
    """Three protocols in one role, extensions, comments, a key without a use, an attribute authority beside."""
    base = "https://idp.university.test/idp/profile"
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!-- Not dynamic: edit by hand. -->\n'
        f'<EntityDescriptor xmlns="{_MD}" xmlns:ds="{_DS}" xmlns:shibmd="urn:mace:shibboleth:metadata:1.0" '
        'xmlns:xml="http://www.w3.org/XML/1998/namespace" '
        'xmlns:mdui="urn:oasis:names:tc:SAML:metadata:ui" entityID="https://idp.university.test/idp/shibboleth">'
        f'<IDPSSODescriptor protocolSupportEnumeration="{SAML2} {SAML1} urn:mace:shibboleth:1.0"><Extensions>'
        '<shibmd:Scope regexp="false">university.test</shibmd:Scope><!-- fill in --><mdui:UIInfo>'
        '<mdui:DisplayName xml:lang="en">University</mdui:DisplayName>'
        '<mdui:Logo height="80" width="80">https://idp.university.test/logo.png</mdui:Logo></mdui:UIInfo></Extensions>'
        f"{_key(FIRST, p='', folded=True)}{_key(SECOND, None, p='')}{_key(SECOND, 'encryption', p='')}"
        f'<ArtifactResolutionService Binding="{SOAP}" Location="{base}/SAML2/SOAP/ArtifactResolution" index="2"/>'
        f"{_slo(REDIRECT, f'{base}/SAML2/Redirect/SLO', p='')}"
        f"{_slo(SIMPLE_SIGN, f'{base}/SAML2/POST-SimpleSign/SLO', p='')}"
        f"{_slo(SOAP, f'{base}/SAML2/SOAP/SLO', p='')}{_formats('')}"
        f"{_sso('urn:mace:shibboleth:1.0:profiles:AuthnRequest', f'{base}/Shibboleth/SSO', p='')}"
        f"{_sso(POST, f'{base}/SAML2/POST/SSO', p='')}{_sso(SIMPLE_SIGN, f'{base}/SAML2/POST-SimpleSign/SSO', p='')}"
        f"{_sso(REDIRECT, f'{base}/SAML2/Redirect/SSO', p='')}</IDPSSODescriptor>"
        f'<AttributeAuthorityDescriptor protocolSupportEnumeration="{SAML1}">{_key(SECOND, p="")}'
        f'<AttributeService Binding="{SOAP}" Location="{base}/SAML1/SOAP/AttributeQuery"/>'
        "</AttributeAuthorityDescriptor>"
        "</EntityDescriptor>"
    )
    return Sample(
        document,
        "https://idp.university.test/idp/shibboleth",
        f"{base}/SAML2/Redirect/SSO",
        certificates=(FIRST, SECOND),
        slo_url=f"{base}/SAML2/Redirect/SLO",
        slo_binding="HTTP-Redirect",
    )


def simplesamlphp() -> Sample:
    base = "https://login.acme.test/simplesaml/module.php/saml/idp"
    answers = f' ResponseLocation="{base}/logoutResponse?a=1&amp;b=2"'
    document = (
        f'<?xml version="1.0" encoding="utf-8"?>\n<md:EntityDescriptor xmlns:md="{_MD}" xmlns:ds="{_DS}" '
        f'entityID="https://login.acme.test/simplesaml/idp"><md:IDPSSODescriptor protocolSupportEnumeration="{SAML2}">'
        f"{_key(FIRST)}{_key(FIRST, 'encryption')}"
        f"{_slo(REDIRECT, f'{base}/singleLogout', more=answers)}"
        f"{_formats()}{_sso(REDIRECT, f'{base}/singleSignOnService')}</md:IDPSSODescriptor>"
        '<md:ContactPerson contactType="technical"><md:GivenName>Admin</md:GivenName>'
        "<md:EmailAddress>mailto:na@acme.test</md:EmailAddress></md:ContactPerson></md:EntityDescriptor>"
    )
    return Sample(
        document,
        "https://login.acme.test/simplesaml/idp",
        f"{base}/singleSignOnService",
        slo_url=f"{base}/singleLogout",
        slo_binding="HTTP-Redirect",
        slo_response_url=f"{base}/logoutResponse?a=1&b=2",
    )


SAMPLES = {
    build.__name__: build
    for build in (okta, entra, keycloak, adfs, google, onelogin, authentik, ping, shibboleth, simplesamlphp)
}
SIGNED = {"entra": SECOND, "adfs": FIRST, "ping": FIRST}
"""Those that sign the document, and with whose certificate."""


def root_of(document: str) -> etree._Element:
    return etree.fromstring(document.lstrip("\ufeff").encode())
