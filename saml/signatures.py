"""The signatures we make, and which signatures of others we let near a verifier."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import xmlsec
from lxml import etree

from saml import xml
from saml.errors import SamlError

MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_ENC = "http://www.w3.org/2001/04/xmlenc#"

RSA_SHA256 = f"{MORE}rsa-sha256"
SIGNATURE_ALGORITHMS = frozenset(f"{MORE}{kind}-sha{size}" for kind in ("rsa", "ecdsa") for size in (256, 384, 512))
DIGEST_ALGORITHMS = frozenset({f"{_ENC}sha256", f"{MORE}sha384", f"{_ENC}sha512"})
ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
EXCLUSIVE_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"

_PREFIX_LIST = re.compile(r"[#\w.-]+(?: [#\w.-]+)*", re.ASCII)


def check(response: etree._Element, assertion: etree._Element) -> None:
    """Every signature refers to the element it stands in, by algorithms we allow; the assertion is covered.

    Expects a tree that passed shape.check. Raises SamlError: unsigned, shape, algorithm.
    """
    signed = [owner for owner in (response, assertion) if xml.find(owner, "ds:Signature")]
    if not signed:
        raise SamlError("unsigned", "neither Response nor Assertion is signed")
    for owner in signed:
        check_one(owner)


def check_one(owner: etree._Element) -> None:
    """The same for the one signature that stands directly in `owner`."""
    signatures = xml.find(owner, "ds:Signature")
    if len(signatures) != 1:
        raise SamlError("unsigned", f"{len(signatures)} signatures in {xml.short(owner.tag)[:100]}, one is needed")
    _check_one(owner, signatures[0])


def verify(owner: etree._Element, certificates: Iterable[str]) -> None:
    """The signature in `owner`, which passed check_one, holds with the key of one of the certificates (PEM).

    Keys come from the certificates alone; what the message says of its key is not read. Raises SamlError "signature".
    """
    signature = xml.find(owner, "ds:Signature")[0]
    for certificate in certificates:
        context = xmlsec.SignatureContext()
        context.register_id(owner, "ID")
        try:
            context.key = public_key(certificate)
            context.verify(signature)
        except xmlsec.Error:
            continue
        return
    raise SamlError("signature", f"the signature of {xml.short(owner.tag)} holds with no certificate that is trusted")


def _check_one(owner: etree._Element, signature: etree._Element) -> None:
    info = "ds:SignedInfo/"
    reference = xml.find(signature, f"{info}ds:Reference")[0]
    if reference.get("URI") != f"#{owner.get('ID')}":
        raise SamlError("shape", "a signature refers to something else than the element it stands in")
    _allow(signature, f"{info}ds:CanonicalizationMethod", {EXCLUSIVE_C14N})
    _allow(signature, f"{info}ds:SignatureMethod", SIGNATURE_ALGORITHMS)
    _allow(reference, "ds:DigestMethod", DIGEST_ALGORITHMS)
    transforms = [found.get("Algorithm") for found in xml.find(reference, "ds:Transforms/ds:Transform")]
    if transforms != [ENVELOPED, EXCLUSIVE_C14N]:
        raise SamlError("algorithm", f"transforms {transforms}"[:300])
    if xml.find(reference, "ds:Transforms/ds:Transform[1]/ec:InclusiveNamespaces"):
        raise SamlError("shape", "the enveloped-signature transform takes no parameters")
    for prefixes in signature.iter(xml.tag("ec:InclusiveNamespaces")):
        if not _PREFIX_LIST.fullmatch(prefixes.get("PrefixList", "")):
            raise SamlError("shape", "InclusiveNamespaces without a list of prefixes")


def _allow(element: etree._Element, path: str, allowed: frozenset[str] | set[str]) -> None:
    algorithm = xml.find(element, path)[0].get("Algorithm", "")
    if algorithm not in allowed:
        raise SamlError("algorithm", algorithm[:200])


def sign(element: etree._Element, private_key: str, certificate: str) -> None:
    """Sign `element` (with ID and Issuer) in place: RSA-SHA256, exclusive c14n, right after the Issuer."""
    signature = xmlsec.template.create(
        element, xmlsec.constants.TransformExclC14N, xmlsec.constants.TransformRsaSha256, ns="ds"
    )
    xml.find(element, "saml:Issuer")[0].addnext(signature)
    reference = xmlsec.template.add_reference(signature, xmlsec.constants.TransformSha256, uri=f"#{element.get('ID')}")
    xmlsec.template.add_transform(reference, xmlsec.constants.TransformEnveloped)
    xmlsec.template.add_transform(reference, xmlsec.constants.TransformExclC14N)
    xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(signature))
    context = xmlsec.SignatureContext()
    context.key = signing_key(private_key, certificate)
    context.register_id(element, "ID")
    context.sign(signature)


@lru_cache(maxsize=256)
def public_key(certificate: str) -> xmlsec.Key:
    return xmlsec.Key.from_memory(certificate, xmlsec.constants.KeyDataFormatCertPem, None)


@lru_cache(maxsize=64)
def signing_key(private_key: str, certificate: str) -> xmlsec.Key:
    """Kept, because reading a key, and its first use, take longer than a signature."""
    key = xmlsec.Key.from_memory(private_key, xmlsec.constants.KeyDataFormatPem, None)
    key.load_cert_from_memory(certificate, xmlsec.constants.KeyDataFormatPem)
    return key
