"""What we issue is what we accept; requests and times."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from lxml import etree

from saml import signatures
from saml.issuing import issue_response
from saml.keys import make_key_pair
from saml.parties import IdentityProvider, KeyPair, ServiceProvider
from saml.service_provider import accept_response, authn_request, response_in_response_to
from saml.xml import NAME_ID_PERSISTENT, parse
from tests.support.saml_idp import TestIdp, key_pair, request_id_of

NOW = datetime(2044, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)
ISSUER = "http://localhost:8000/saml/acme/idp-metadata"
SP = ServiceProvider("urn:account:100001&co", "http://ic:8000/accounts/100001/saml/acs")
PRIVATE_KEY, CERTIFICATE = key_pair(ISSUER)
IDP = IdentityProvider(ISSUER, "http://localhost:8000/sso", "HTTP-POST", (CERTIFICATE,))
ATTRIBUTES = {
    "https://cloud.tencent.com/SAML/Attributes/Role": ["qcs::cam::uin/1:roleName/甲,x", "<b>&\"'", " y "],
    "https://cloud.tencent.com/SAML/Attributes/RoleSessionName": ["张三"],
    "empty": [],
    "blank": [""],
}


def issue(**changes: object) -> str:
    values: dict[str, object] = {
        "issuer": ISSUER,
        "recipient": SP.acs_url,
        "audience": SP.entity_id,
        "name_id": "张三 <&>",
        "attributes": ATTRIBUTES,
        "in_response_to": None,
        "private_key": PRIVATE_KEY,
        "certificate": CERTIFICATE,
        "now": NOW,
    }
    return issue_response(**{**values, **changes})  # type: ignore[arg-type]


def test_ic_17_what_we_issue_is_accepted_with_everything_it_says() -> None:
    session_end = NOW + timedelta(hours=2)
    response = issue(name_id_format=NAME_ID_PERSISTENT, session_not_on_or_after=session_end)

    assertion = accept_response(SP, IDP, response, request_id=None, now=NOW)

    assert assertion.name_id == "张三 <&>"
    assert assertion.name_id_format == NAME_ID_PERSISTENT
    assert assertion.issuer == ISSUER
    assert dict(assertion.attributes) == {name: tuple(values) for name, values in ATTRIBUTES.items()}
    assert assertion.in_response_to is None
    assert assertion.session_not_on_or_after == session_end.replace(microsecond=0)
    assert assertion.session_index
    assert len({assertion.id, assertion.response_id}) == 2
    assert all(len(value) == 41 for value in (assertion.id, assertion.response_id))


def test_an_answer_to_a_request_is_accepted_for_that_request() -> None:
    response = issue(in_response_to="_request", attributes={})

    assert response_in_response_to(response) == "_request"
    assertion = accept_response(SP, IDP, response, request_id="_request", now=NOW)
    assert assertion.in_response_to == "_request"
    assert assertion.attributes == {}


def test_an_assertion_is_taken_until_its_end_and_the_skew_and_remembered_that_long() -> None:
    response = issue(lifetime=timedelta(minutes=5))
    remembered = accept_response(SP, IDP, response, request_id=None, now=NOW).not_on_or_after
    end = NOW.replace(microsecond=0) + timedelta(minutes=5, seconds=90)

    assert remembered == end
    accept_response(SP, IDP, response, request_id=None, now=end - timedelta(seconds=1))


def test_a_long_lifetime_is_cut_to_ten_minutes_after_the_issue() -> None:
    assertion = accept_response(SP, IDP, issue(lifetime=timedelta(days=1)), request_id=None, now=NOW)

    assert assertion.not_on_or_after == NOW.replace(microsecond=0) + timedelta(minutes=10, seconds=90)


def test_each_message_has_new_ids() -> None:
    first, second = (accept_response(SP, IDP, issue(), request_id=None, now=NOW) for _ in range(2))

    assert len({first.id, second.id, first.response_id, second.response_id}) == 4


def test_base64_may_be_folded() -> None:
    response = issue()
    folded = "\r\n".join(response[i : i + 76] for i in range(0, len(response), 76))

    assert accept_response(SP, IDP, folded, request_id=None, now=NOW).name_id == "张三 <&>"


def test_threads_judge_by_their_own_time() -> None:
    times = [NOW + timedelta(days=days) for days in range(24)]
    responses = [issue(now=now) for now in times]

    def end(response: str, now: datetime) -> datetime:
        return accept_response(SP, IDP, response, request_id=None, now=now).not_on_or_after

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(end, responses, times))

    assert ends == [now.replace(microsecond=0) + timedelta(minutes=5, seconds=90) for now in times]


def test_threads_sign_with_the_keys_they_share() -> None:
    pairs = [(PRIVATE_KEY, CERTIFICATE), key_pair("other")]
    both = replace(IDP, certificates=tuple(certificate for _, certificate in pairs))

    def round_trip(number: int) -> str:
        private_key, certificate = pairs[number % 2]
        response = issue(private_key=private_key, certificate=certificate, name_id=f"user-{number}")
        return accept_response(SP, both, response, request_id=None, now=NOW).name_id

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(round_trip, range(48))) == [f"user-{number}" for number in range(48)]


def test_any_of_several_certificates_may_have_signed() -> None:
    other = key_pair("other")[1]
    both = IdentityProvider(ISSUER, IDP.sso_url, "HTTP-POST", (other, CERTIFICATE))

    assert accept_response(SP, both, issue(), request_id=None, now=NOW).name_id == "张三 <&>"


def test_an_expired_certificate_still_verifies_because_trust_goes_by_the_key() -> None:
    key, certificate = make_key_pair("old", years=1, now=datetime(2001, 1, 1, tzinfo=UTC))
    old = IdentityProvider(ISSUER, IDP.sso_url, "HTTP-POST", (certificate,))

    response = issue(private_key=key, certificate=certificate)
    assert accept_response(SP, old, response, request_id=None, now=NOW).name_id == "张三 <&>"


@pytest.mark.parametrize("name_id", ["a\x00b", "a\x0bb", "\ud800"])
def test_what_xml_cannot_carry_is_not_issued(name_id: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        issue(name_id=name_id)


@pytest.mark.parametrize("sign", [["assertion"], ["response"], ["assertion", "response"]])
def test_either_signature_covers_the_assertion(sign: list[str]) -> None:
    idp = TestIdp()
    response = idp.respond("_q", SP.acs_url, SP.entity_id, "alice", now=NOW, sign=sign)

    found = accept_response(SP, idp.identity_provider(), response, request_id="_q", now=NOW)
    assert found.name_id == "alice"


@pytest.mark.parametrize("sso_url", ["https://idp.example.test/sso", "https://idp.example.test/sso?a=1&b=<\"'>"])
def test_a_request_is_well_formed_whatever_the_sign_on_url_holds(sso_url: str) -> None:
    idp = IdentityProvider("urn:idp", sso_url, "HTTP-Redirect", (CERTIFICATE,))

    request = authn_request(SP, idp, relay_state="a b&c", now=NOW, force_authn=True)

    assert request.url.startswith(sso_url)
    query = parse_qs(urlsplit(request.url).query)
    assert query["RelayState"] == ["a b&c"]
    assert request_id_of(request.url) == request.id
    assert not request.form


def test_requests_are_signed_as_a_choice() -> None:
    idp = IdentityProvider("urn:idp", "https://idp.example.test/sso", "HTTP-Redirect", (CERTIFICATE,))
    pairs = (KeyPair(PRIVATE_KEY, CERTIFICATE), KeyPair(*key_pair("next")))
    for signs in (False, True):
        sp = replace(SP, keys=pairs, sign_requests=signs)
        query = parse_qs(urlsplit(authn_request(sp, idp, relay_state="x", now=NOW).url).query)
        assert list(query) == ["SAMLRequest", "RelayState", *(["SigAlg", "Signature"] if signs else [])]

        form = authn_request(sp, replace(idp, sso_binding="HTTP-POST"), relay_state="x", now=NOW).form
        message: etree._Element = parse(base64.b64decode(form["SAMLRequest"]))
        assert [child.tag.rpartition("}")[2] for child in message][1] == ("Signature" if signs else "NameIDPolicy")
        if signs:
            signatures.check_one(message)
            signatures.verify(message, [CERTIFICATE])


def test_a_request_names_us_and_where_to_answer() -> None:
    idp = IdentityProvider("urn:idp", "https://idp.example.test/sso", "HTTP-POST", (CERTIFICATE,))

    request = authn_request(SP, idp, relay_state="token", now=NOW)
    message: etree._Element = parse(base64.b64decode(request.form["SAMLRequest"]))

    assert request.form["RelayState"] == "token"
    assert message.get("AssertionConsumerServiceURL") == SP.acs_url
    assert message.get("Destination") == "https://idp.example.test/sso"
    assert message.get("IssueInstant") == "2044-02-29T23:59:59Z"
    assert message.get("ForceAuthn") is None
    assert message.findtext("{*}Issuer") == SP.entity_id
    assert "Signature" not in request.url
