"""The shape of a message: what may be where. Everything else is refused before a signature is looked at.

Wrapping attacks move signed parts to places where one reader looks and another does not; expensive transforms
and references to files run before any key is asked. Both need elements that an honest answer does not have.
So this is an allow-list over the whole tree (saml/elements.py), and all later code may rely on it.
"""

from __future__ import annotations

from lxml import etree

from saml import xml
from saml.elements import ELEMENTS, Element
from saml.errors import SamlError

MAX_ID = 256

_ASSERTIONS = [xml.tag("saml:Assertion"), xml.tag("saml:EncryptedAssertion")]
_ENCRYPTED = [xml.tag("saml:EncryptedID"), xml.tag("saml:NewEncryptedID"), xml.tag("saml:EncryptedAttribute")]


def check_root(message: etree._Element, name: str) -> None:
    if xml.short(message.tag) != name:
        raise SamlError("shape", f"{xml.short(message.tag)[:100]} is not a {name.partition(':')[2]}")


def check(message: etree._Element) -> None:
    """Raises SamlError: encrypted, shape."""
    if next(message.iter(*_ENCRYPTED), None) is not None:
        raise SamlError("encrypted", "encrypted names and attributes are not supported, encrypted assertions are")
    _check_element(message, "")
    _check_ids(message)


def check_part(element: etree._Element) -> None:
    """The same for an element inside a document of another kind. Raises SamlError "shape"."""
    _check_element(element, "")


def check_response(response: etree._Element) -> etree._Element:
    """The one assertion, in clear or encrypted, of a well-shaped Response.

    Raises SamlError: assertions, encrypted, shape.
    """
    assertions = list(response.iter(*_ASSERTIONS))
    if len(assertions) != 1:
        raise SamlError("assertions", f"{len(assertions)} assertions, exactly one is allowed")
    check(response)
    return assertions[0]


def check_success(message: etree._Element) -> None:
    """Before the shape, since a failure carries no assertion. Raises SamlError: shape, status."""
    codes = xml.find(message, "samlp:Status/samlp:StatusCode")
    if len(codes) != 1:
        raise SamlError("shape", "no Status")
    if codes[0].get("Value") != xml.STATUS_SUCCESS:
        raise SamlError("status", status(message)[:500])


def status(message: etree._Element) -> str:
    """All that a message says of success and failure, on one line."""
    codes = [code.get("Value", "") for code in message.iter(xml.tag("samlp:StatusCode"))]
    return " ".join([*codes, *map(xml.text, xml.find(message, "samlp:Status/samlp:StatusMessage"))])


def _check_ids(message: etree._Element) -> None:
    """No two elements answer to one id, however it is spelled."""
    ids = [value for element in message.iter() for name in ("ID", "Id") if (value := element.get(name)) is not None]
    if len(set(ids)) < len(ids) or not all(0 < len(value) <= MAX_ID for value in ids):
        raise SamlError("shape", "ids that are equal, empty or too long")


def _check_element(element: etree._Element, parent: str) -> None:
    name = xml.short(element.tag)
    shape = ELEMENTS.get(f"{parent}/{name}") or ELEMENTS.get(name)
    if shape is None:
        raise SamlError("shape", f"{name[:100]} has no place in a message")
    _check_attributes(element, name, shape)
    children = [xml.short(child.tag) for child in element]
    if not shape.text and not _is_blank(element):
        raise SamlError("shape", f"text between the elements of {name}")
    if not shape.children.fullmatch("".join(f"{child};" for child in children)):
        raise SamlError("shape", f"{name} has other children than expected: {' '.join(children)}"[:300])
    for child in element:
        _check_element(child, name)


def _is_blank(element: etree._Element) -> bool:
    return not any(text and not text.isspace() for text in [element.text, *(child.tail for child in element)])


def _check_attributes(element: etree._Element, name: str, shape: Element) -> None:
    present = {xml.short(str(key)) for key in element.attrib}
    if missing := shape.required - present:
        raise SamlError("shape", f"{name} lacks {', '.join(sorted(missing))}")
    for extra in present - shape.allowed:
        if not (shape.foreign and extra.startswith("{")):
            raise SamlError("shape", f"{name} has the attribute {extra[:100]}")
