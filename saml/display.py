"""A message to look at: decoded, indented, bounded, and of no use to sign in with.

Signatures are cut, and so a copy of what is shown proves nothing to anybody.
"""

from __future__ import annotations

from copy import deepcopy

from lxml import etree

from saml import xml
from saml.errors import SamlError

MAX_SHOWN = 64 * 1024
_MAX_VALUE = 500
_KEPT = 12
_CUT = frozenset(
    xml.tag(name)
    for name in (
        "ds:SignatureValue",
        "ds:X509Certificate",
        "ds:X509CRL",
        "ds:Modulus",
        "xenc:CipherValue",
    )
)
_SECRET = ("password", "passwd", "secret", "token", "credential", "private")


def readable(saml_response: str) -> str:
    """A SAMLResponse (base64) as text for people, whatever it is. Never raises."""
    return pretty(None, saml_response)


def pretty(message: etree._Element | None, encoded: str) -> str:
    """`message` if it was parsed already, else what can be made of the form field it came in. Never raises."""
    try:
        root = deepcopy(message) if message is not None else xml.parse(xml.unbase64(encoded))
        for element in root.iter():
            _redact(element)
        etree.indent(root)
        shown = etree.tostring(root, encoding="unicode")
    except (SamlError, etree.LxmlError, ValueError, RecursionError) as error:
        shown = f"[cannot be shown: {error.reason if isinstance(error, SamlError) else 'not readable'}]"
    return shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}\n[{len(shown) - MAX_SHOWN} more characters]"


def _redact(element: etree._Element) -> None:
    text = (element.text or "").strip()
    if element.tag in _CUT and len(text) > _KEPT:
        element.text = f"{text[:_KEPT]}… ({len(text)} characters)"
    elif len(text) > _MAX_VALUE:
        element.text = f"{text[:_MAX_VALUE]}… ({len(text)} characters)"
    if element.tag == xml.tag("saml:Attribute") and _is_secret(element):
        for inner in element.iterdescendants():
            inner.text = "(hidden)" if inner.text and inner.text.strip() else inner.text


def _is_secret(attribute: etree._Element) -> bool:
    name = f"{attribute.get('Name', '')} {attribute.get('FriendlyName', '')}".lower()
    return any(word in name for word in _SECRET)
