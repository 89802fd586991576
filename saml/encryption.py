"""Encrypted assertions (saml-core-2.0-os 2.3.4, xmlenc-core1): opened with any of our keys, then judged like others.

Encrypting proves nothing: everybody has our certificate. So what comes out is put into the place of the encrypted
element, and the whole goes through the very same checks as an answer that was never encrypted.

What we open is narrow, because a decrypter that answers questions can be used as one:

- AES-GCM, which notices a changed message by itself. AES-CBC does not, and whoever may send changed ones and see which
  are refused how reads the message byte by byte (Jager and Somorovsky, 2011). So CBC is opened only under a Response
  whose signature over the encrypted form was verified before: then only the identity provider can ask.
- RSA-OAEP. RSA 1.5 is refused for the same reason (Bleichenbacher, 1998), signed or not.
- Every fault behind these is the one reason "decryption".

What xmlsec gets is written anew from the values that passed the allow-list: no references, no names of keys.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import xmlsec
from lxml import etree

from saml import shape, signatures, xml
from saml.errors import SamlError
from saml.parties import IdentityProvider, KeyPair, ServiceProvider

_ENC = xml.NAMESPACES["xenc"]
_ENC11 = xml.NAMESPACES["xenc11"]

AES_GCM = frozenset(f"{_ENC11}aes{bits}-gcm" for bits in (128, 192, 256))
AES_CBC = frozenset(f"{_ENC}aes{bits}-cbc" for bits in (128, 192, 256))
RSA_OAEP_MGF1P = f"{_ENC}rsa-oaep-mgf1p"
RSA_OAEP = f"{_ENC11}rsa-oaep"
_DIGESTS = frozenset({"http://www.w3.org/2000/09/xmldsig#sha1", *signatures.DIGEST_ALGORITHMS})
"""Of OAEP, where SHA-1 has no known weakness (and is what most identity providers send)."""
_MASKS = frozenset(f"{_ENC11}mgf1sha{size}" for size in (1, 256, 384, 512))
_TYPE_ELEMENT = f"{_ENC}Element"
_TYPE_KEY = f"{_ENC}EncryptedKey"


@dataclass(frozen=True)
class Opened:
    """What may be read: `response` holds `assertion` in clear; `received` is what came, which the Response's own
    signature covers. The two trees are one when nothing was encrypted."""

    received: etree._Element
    response: etree._Element
    assertion: etree._Element


def open_response(
    response: etree._Element, found: etree._Element, sp: ServiceProvider, idp: IdentityProvider
) -> Opened:
    """`found`: what shape.check_response gave back. Raises SamlError.

    Reasons: encrypted, algorithm, decryption; those of the signature around; those of the shape of what comes out.
    """
    if found.tag == xml.tag("saml:Assertion"):
        return Opened(response, response, found)
    data, key = _parts(found)
    method = _allowed(data, AES_GCM | AES_CBC)
    _check_transport(key)
    if xml.find(response, "ds:Signature"):
        signatures.check_one(response)
        signatures.verify(response, idp.certificates)
    elif method in AES_CBC:
        raise SamlError("encrypted", "AES-CBC is taken only in a signed Response: sign the Response, or use AES-GCM")
    if not sp.keys:
        raise SamlError("encrypted", "the assertion is encrypted, and we have no key to open it")
    assertion = _decrypted(data, key, sp.keys, found.nsmap)
    return _in_place(response, found, assertion)


def _parts(found: etree._Element) -> tuple[etree._Element, etree._Element]:
    """EncryptedData and the one EncryptedKey, which stands inside it or beside it."""
    data = xml.find(found, "xenc:EncryptedData")[0]
    if data.get("Type", _TYPE_ELEMENT) != _TYPE_ELEMENT:
        raise SamlError("shape", "what is encrypted is not an element")
    keys = [*xml.find(data, "ds:KeyInfo/xenc:EncryptedKey"), *xml.find(found, "xenc:EncryptedKey")]
    if len(keys) != 1:
        raise SamlError("shape", f"{len(keys)} encrypted keys, exactly one is allowed")
    for reference in xml.find(data, "ds:KeyInfo/ds:RetrievalMethod"):
        if reference.get("URI") != f"#{keys[0].get('Id')}" or reference.get("Type", _TYPE_KEY) != _TYPE_KEY:
            raise SamlError("shape", "the key is to be retrieved from elsewhere")
    return data, keys[0]


def _allowed(element: etree._Element, allowed: Iterable[str]) -> str:
    algorithm = xml.find(element, "xenc:EncryptionMethod")[0].get("Algorithm", "")
    if algorithm not in allowed:
        raise SamlError("algorithm", algorithm[:200])
    return algorithm


def _check_transport(key: etree._Element) -> None:
    transport = _allowed(key, (RSA_OAEP_MGF1P, RSA_OAEP))
    for path, allowed in (("ds:DigestMethod", _DIGESTS), ("xenc11:MGF", _MASKS if transport == RSA_OAEP else ())):
        for element in xml.find(key, f"xenc:EncryptionMethod/{path}"):
            if element.get("Algorithm", "") not in allowed:
                raise SamlError("algorithm", element.get("Algorithm", "")[:200])


def _decrypted(
    data: etree._Element, key: etree._Element, keys: Iterable[KeyPair], namespaces: dict[str | None, str]
) -> etree._Element:
    for pair in keys:
        try:
            plain: Any = xmlsec.EncryptionContext(_manager(pair.private_key)).decrypt(_written_anew(data, key))
            assertion = xml.parse(plain, inside=namespaces)
        except Exception:  # noqa: S112 - xmlsec's kinds, SamlError; which key or step failed is nobody's business
            continue
        if assertion.tag == xml.tag("saml:Assertion"):
            return assertion
    raise SamlError("decryption", "none of our keys opens the encrypted assertion")


def _written_anew(data: etree._Element, key: etree._Element) -> etree._Element:
    """An EncryptedData without a Type, so that bytes come out: they are parsed by our rules, not by xmlsec's."""
    fresh = etree.Element(xml.tag("xenc:EncryptedData"), nsmap={"xenc": _ENC, "ds": xml.NAMESPACES["ds"]})
    _add_method(fresh, data)
    info = etree.SubElement(fresh, xml.tag("ds:KeyInfo"))
    inner = etree.SubElement(info, xml.tag("xenc:EncryptedKey"))
    method = _add_method(inner, key)
    for path in ("ds:DigestMethod", "xenc11:MGF"):
        for element in xml.find(key, f"xenc:EncryptionMethod/{path}"):
            etree.SubElement(method, element.tag, {"Algorithm": element.get("Algorithm", "")})
    _add_cipher(inner, key)
    _add_cipher(fresh, data)
    return fresh


def _add_method(fresh: etree._Element, original: etree._Element) -> etree._Element:
    algorithm = xml.find(original, "xenc:EncryptionMethod")[0].get("Algorithm", "")
    return etree.SubElement(fresh, xml.tag("xenc:EncryptionMethod"), {"Algorithm": algorithm})


def _add_cipher(fresh: etree._Element, original: etree._Element) -> None:
    text = xml.text(xml.find(original, "xenc:CipherData/xenc:CipherValue")[0])
    cipher = base64.b64encode(xml.unbase64("".join(text.split()))).decode()
    etree.SubElement(etree.SubElement(fresh, xml.tag("xenc:CipherData")), xml.tag("xenc:CipherValue")).text = cipher


@lru_cache(maxsize=64)
def _manager(private_key: str) -> xmlsec.KeysManager:
    """Holds the one key, and is only read afterwards. Kept: a new one loads the system's certificates, for 15 ms."""
    manager = xmlsec.KeysManager()
    manager.add_key(xmlsec.Key.from_memory(private_key, xmlsec.constants.KeyDataFormatPem, None))
    return manager


def _in_place(response: etree._Element, found: etree._Element, assertion: etree._Element) -> Opened:
    """A second tree, as if the assertion had never been encrypted, and its shape.

    Put together as text: a tree that takes an element from another drops its prefix where it has one of its own for
    the same namespace, and a signature covers prefixes. No text or attribute can hold the mark, as its `<` is escaped,
    and no element has its name, since the shape of the response was checked.
    """
    marked = deepcopy(response)
    marked.replace(marked[response.index(found)], etree.Element("assertion"))
    opened = etree.tostring(assertion, encoding="unicode", with_tail=False)
    clear = xml.parse(etree.tostring(marked, encoding="unicode").replace("<assertion/>", opened, 1).encode())
    return Opened(response, clear, shape.check_response(clear))
