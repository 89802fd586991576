"""What we replace inside python3-saml does what its own does, only once."""

from __future__ import annotations

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from lxml import etree
from onelogin.saml2 import response as library_response
from onelogin.saml2.xml_utils import OneLogin_Saml2_XML

from saml import library
from tests.support.saml_attack import accept, adding, respond, setting
from tests.support.saml_idp import decoded

SCHEMA = "saml-schema-protocol-2.0.xsd"


@pytest.mark.parametrize(
    ("edit", "valid"),
    [
        (None, True),
        (setting("Assertion", "IssueInstant", "soon"), False),
        (setting("Assertion", "ID", "1"), False),
        (setting("Response", "Version", None), False),
        (adding("Response", "<saml:Nothing/>"), False),
    ],
)
def test_schemas_judge_as_the_library_does(edit: Callable[[etree._Element], None] | None, valid: bool) -> None:
    document = decoded(respond(edit_signed=edit))

    for validate in (library_response.OneLogin_Saml2_XML.validate_xml, OneLogin_Saml2_XML.validate_xml):
        assert (validate(document, SCHEMA) is document) == valid
    assert library_response.OneLogin_Saml2_XML.validate_xml is not OneLogin_Saml2_XML.validate_xml


def test_a_schema_is_read_once_in_each_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    response = respond()
    read = []
    original = etree.XMLSchema
    monkeypatch.setattr(library.etree, "XMLSchema", lambda tree: read.append(tree) or original(tree))

    with ThreadPoolExecutor(2) as pool:
        assert {found.name_id for found in pool.map(accept, [response] * 20)} == {"alice"}

    assert 1 <= len(read) <= 2


def test_without_a_schema_violation_of_ours_the_library_still_has_its_say() -> None:
    """The shape allows any ID; the schema wants an xs:ID."""
    document = base64.b64decode(respond(assertion_id="1a"))
    with pytest.raises(Exception, match="shape"):
        accept(base64.b64encode(document).decode())
