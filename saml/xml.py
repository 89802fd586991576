"""Reading XML from strangers: one parse, nothing fetched, nothing expanded, bounded in size and depth."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from lxml import etree

from saml.errors import SamlError

NAMESPACES = {
    "samlp": "urn:oasis:names:tc:SAML:2.0:protocol",
    "saml": "urn:oasis:names:tc:SAML:2.0:assertion",
    "md": "urn:oasis:names:tc:SAML:2.0:metadata",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
    "ec": "http://www.w3.org/2001/10/xml-exc-c14n#",
    "xenc": "http://www.w3.org/2001/04/xmlenc#",
    "xenc11": "http://www.w3.org/2009/xmlenc11#",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xml": "http://www.w3.org/XML/1998/namespace",
}
_PREFIXES = {uri: prefix for prefix, uri in NAMESPACES.items()}

BINDING_REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
BINDING_POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
BINDINGS = {BINDING_REDIRECT: "HTTP-Redirect", BINDING_POST: "HTTP-POST"}
"""Those we speak, by URI, in the order we like them."""
METHOD_BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
STATUS_SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
NAME_ID_UNSPECIFIED = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
NAME_ID_EMAIL = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
NAME_ID_PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
NAME_ID_TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"

MAX_DOCUMENT = 256 * 1024
"""Bytes of a decoded message or of a metadata document."""

YEARS = range(1970, 9991)
"""Of the times that are read: to any of them a lifetime can be added, or a skew taken away."""

_DECLARATION = re.compile(r"\A\s*<\?xml\s[^<>]*\?>")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)


def unbase64(text: str) -> bytes:
    """Strict base64; line breaks are allowed, since some identity providers fold the field. Raises SamlError."""
    if len(text) > 2 * MAX_DOCUMENT:
        raise SamlError("size", f"{len(text)} characters")
    try:
        return base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SamlError("encoding", "not base64") from error


def parse(document: bytes, *, comments: bool = False, inside: Mapping[str | None, str] | None = None) -> etree._Element:
    """The root of a UTF-8 document without DTD and processing instructions.

    `comments` drops comments instead of refusing them; never for a message, where text that a comment splits was
    the way to cut names (CVE-2017-11427). `inside`: the namespaces that are known where a fragment came from.
    Raises SamlError.
    """
    if len(document) > MAX_DOCUMENT:
        raise SamlError("size", f"{len(document)} bytes, {MAX_DOCUMENT} are allowed")
    try:
        text = document.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SamlError("encoding", "not UTF-8") from error
    text = _DECLARATION.sub("", text, count=1)
    for forbidden in ("<?", "<!DOCTYPE", "<!ENTITY") if comments else ("<?", "<!"):
        if forbidden in text:
            raise SamlError("xml", f"{forbidden} is not allowed")
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, remove_comments=comments
    )
    try:
        if inside is None:
            return etree.fromstring(text.encode(), parser)
        return _only_child(etree.fromstring(_wrapped(text, inside).encode(), parser))
    except (etree.XMLSyntaxError, ValueError) as error:
        raise SamlError("xml", str(error)[:200]) from error


def _wrapped(fragment: str, namespaces: Mapping[str | None, str]) -> str:
    empty: str = etree.tostring(etree.Element("fragment", nsmap=dict(namespaces)), encoding="unicode")  # type: ignore[arg-type, assignment]
    return f"{empty.removesuffix('/>')}>{fragment}</fragment>"


def _only_child(wrapper: etree._Element) -> etree._Element:
    texts = [wrapper.text, *(child.tail for child in wrapper)]
    if len(wrapper) != 1 or any(text and not text.isspace() for text in texts):
        raise ValueError("not exactly one element")
    wrapper[0].tail = None
    return wrapper[0]


def tag(name: str) -> str:
    """`saml:Issuer` in lxml's notation."""
    prefix, _, local = name.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


def short(qualified: str) -> str:
    """lxml's `{uri}Issuer` as `saml:Issuer`; unknown namespaces stay as they are."""
    if not qualified.startswith("{"):
        return qualified
    uri, _, local = qualified[1:].partition("}")
    return f"{_PREFIXES[uri]}:{local}" if uri in _PREFIXES else qualified


def find(element: etree._Element, path: str) -> list[etree._Element]:
    """The elements at a path of our prefixes, such as `saml:Subject/saml:NameID`."""
    return element.findall(path, NAMESPACES)


def text(element: etree._Element) -> str:
    """The text of an element without children."""
    return element.text or ""


def read_time(value: str | None, *, any_year: bool = False) -> datetime:
    """A SAML time: UTC, ending in Z (SAML core 1.3.3), of YEARS. Raises SamlError "time".

    `any_year` is for an end that may be that of all times, as some write for never, and is only compared.
    """
    found = _TIME.fullmatch(value or "")
    if not found:
        raise SamlError("time", f"{(value or '')[:40]!r} is not a time in UTC")
    try:
        moment = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    except ValueError as error:
        raise SamlError("time", f"{found[0]!r} does not exist") from error
    if not any_year and moment.year not in YEARS:
        raise SamlError("time", f"{found[0]!r} is not of the years {YEARS[0]} to {YEARS[-1]}")
    return moment.replace(microsecond=int((found[2] or "0").ljust(6, "0")[:6]))


def write_time(moment: datetime) -> str:
    """The same way back, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
