"""What each cloud gets is what its documents ask for, and a service provider of its kind takes it (IC-17)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from portal.clouds.sites import PERSISTENT, SITES, UNSPECIFIED, SignOn, sign_on_as_role, sign_on_as_user
from portal.core.directory.models import User
from portal.core.errors import Invalid
from portal.core.organization.models import Account
from saml.issuing import MAX_RESPONSE, issue_response
from saml.parties import IdentityProvider, ServiceProvider
from saml.rules import Assertion
from saml.service_provider import accept_response
from saml.xml import NAME_ID_PERSISTENT, NAME_ID_UNSPECIFIED
from tests.support.saml_idp import key_pair

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ISSUER = "https://ic.example.com/saml/acme/idp-metadata"
BASE_URL = "https://ic.example.com"
ROLE, PROVIDER = "TencentCloudSSO-Reader", "TencentReservedSSO-z-1"
TENCENT = "https://cloud.tencent.com/SAML/Attributes/"
AWS = "https://aws.amazon.com/SAML/Attributes/"
ALIBABA = "https://www.aliyun.com/SAML-Role/Attributes/"
QCS = f"qcs::cam::uin/100001:roleName/{ROLE},qcs::cam::uin/100001:saml-provider/{PROVIDER}"
ALIYUN = {
    f"{ALIBABA}Role": f"acs:ram::100001:role/{ROLE},acs:ram::100001:saml-provider/{PROVIDER}",
    f"{ALIBABA}RoleSessionName": "amy@example.com",
    f"{ALIBABA}SessionDuration": "7200",
    f"{ALIBABA}SourceIdentity": "u-amy",
}

EXPECTED = {
    "local": SignOn(
        f"{BASE_URL}/accounts/100001/saml/acs",
        f"{BASE_URL}/accounts/100001",
        "amy@example.com",
        NAME_ID_UNSPECIFIED,
        {
            f"{TENCENT}Role": QCS,
            f"{TENCENT}RoleSessionName": "amy@example.com",
            f"{TENCENT}SourceIdentity": "u-amy",
        },
    ),
    "tencent": SignOn(
        "https://cloud.tencent.com/login/saml",
        "cloud.tencent.com",
        "amy@example.com",
        NAME_ID_UNSPECIFIED,
        {f"{TENCENT}Role": QCS, f"{TENCENT}RoleSessionName": "amy@example.com"},
    ),
    "tencent-intl": SignOn(
        "https://www.tencentcloud.com/login/saml",
        "www.tencentcloud.com",
        "amy@example.com",
        NAME_ID_UNSPECIFIED,
        {f"{TENCENT}Role": QCS, f"{TENCENT}RoleSessionName": "amy@example.com"},
    ),
    "aws": SignOn(
        "https://signin.aws.amazon.com/saml",
        "urn:amazon:webservices",
        "amy@example.com",
        NAME_ID_PERSISTENT,
        {
            f"{AWS}Role": f"arn:aws:iam::000000100001:role/{ROLE},arn:aws:iam::000000100001:saml-provider/{PROVIDER}",
            f"{AWS}RoleSessionName": "amy@example.com",
            f"{AWS}SessionDuration": "7200",
            f"{AWS}SourceIdentity": "u-amy",
        },
    ),
    "alibaba": SignOn(
        "https://signin.aliyun.com/saml-role/sso",
        "urn:alibaba:cloudcomputing",
        "amy@example.com",
        NAME_ID_PERSISTENT,
        ALIYUN,
    ),
    "alibaba-intl": SignOn(
        "https://signin.alibabacloud.com/saml-role/sso",
        "urn:alibaba:cloudcomputing",
        "amy@example.com",
        NAME_ID_PERSISTENT,
        ALIYUN,
    ),
}


def account(cloud: str, uin: int = 100001) -> Account:
    return Account(uin=uin, name="shop", cloud=cloud)


def as_role(cloud: str, user_name: str = "amy@example.com", *, seconds: int = 7200, role: str = ROLE) -> SignOn:
    return sign_on_as_role(
        account(cloud),
        base_url=BASE_URL,
        role=role,
        provider=PROVIDER,
        user=User(id="u-amy", user_name=user_name),
        duration=timedelta(seconds=seconds),
    )


def taken(sign_on: SignOn) -> Assertion:
    """What the cloud reads, when it is as strict as we are."""
    private_key, certificate = key_pair(ISSUER)
    response = issue_response(
        issuer=ISSUER,
        recipient=sign_on.acs_url,
        audience=sign_on.audience,
        name_id=sign_on.name_id,
        name_id_format=sign_on.name_id_format,
        attributes=sign_on.attributes,
        in_response_to=None,
        private_key=private_key,
        certificate=certificate,
        now=NOW,
    )
    assert len(response) <= MAX_RESPONSE
    sp = ServiceProvider(sign_on.audience, sign_on.acs_url)
    idp = IdentityProvider(ISSUER, f"{BASE_URL}/login/acme", "HTTP-POST", (certificate,))
    return accept_response(sp, idp, response, request_id=None, now=NOW)


def test_every_cloud_has_its_example() -> None:
    assert EXPECTED.keys() == SITES.keys()
    assert (UNSPECIFIED, PERSISTENT) == (NAME_ID_UNSPECIFIED, NAME_ID_PERSISTENT)
    assert all(len(cloud) <= Account.__table__.c.cloud.type.length for cloud in SITES)  # type: ignore[attr-defined]


@pytest.mark.parametrize("cloud", SITES)
def test_ic_17_a_role_in_each_cloud(cloud: str) -> None:
    sign_on, expected = as_role(cloud), EXPECTED[cloud]
    attributes = {name: values[0] for name, values in sign_on.attributes.items()}
    assert (sign_on.acs_url, sign_on.audience) == (expected.acs_url, expected.audience)
    assert (sign_on.name_id, sign_on.name_id_format) == (expected.name_id, expected.name_id_format)
    assert attributes == expected.attributes

    assertion = taken(sign_on)
    assert dict(assertion.attributes) == {name: (value,) for name, value in attributes.items()}
    assert (assertion.name_id, assertion.name_id_format) == ("amy@example.com", expected.name_id_format)


@pytest.mark.parametrize("cloud", SITES)
@pytest.mark.parametrize(
    ("user_name", "session_name"),
    [
        ("amy", "amy"),
        ("a", "a-"),
        ("Amy <Lee>", "Amy--Lee-"),
        ("张三", "u-amy"),
        ("张amy", "-amy"),
    ],
)
def test_a_session_name_keeps_the_rules_of_the_cloud(cloud: str, user_name: str, session_name: str) -> None:
    rule = SITES[cloud].session_name
    (name,) = as_role(cloud, user_name).attributes[rule.attribute]
    assert name == session_name
    assert re.fullmatch(r"[\w=.@-]{2,64}", name, re.ASCII)
    assert rule.allows(name)
    for bad in ("", "a", "张三", "a b", "a;b", "a\n", "x" * 65):
        assert not rule.allows(bad)


@pytest.mark.parametrize("cloud", SITES)
def test_two_whose_names_begin_alike_have_two_session_names(cloud: str) -> None:
    rule = SITES[cloud].session_name
    fits = "x" * rule.longest
    assert rule.of(User(id="u-000000amy001", user_name=fits)) == fits
    ann, amy = (rule.of(User(id=f"u-000000amy00{n}", user_name=f"{fits}{n}")) for n in (1, 2))
    assert (ann[-8:], amy[-8:]) == ("x-amy001", "x-amy002")
    assert len(ann) == len(amy) == rule.longest
    assert rule.allows(ann)


@pytest.mark.parametrize(("seconds", "said"), [(60, "900"), (900, "900"), (7200, "7200"), (90_000, "43200")])
@pytest.mark.parametrize("cloud", ["aws", "alibaba"])
def test_a_duration_stays_between_the_bounds_of_the_cloud(cloud: str, seconds: int, said: str) -> None:
    duration = SITES[cloud].duration
    assert duration is not None
    assert as_role(cloud, seconds=seconds).attributes[duration.attribute] == (said,)


@pytest.mark.parametrize("role", ["a,b", "a;b", "a/b", "a b", "", "x" * 129, "röle", "a\n"])
def test_a_name_that_would_say_something_else_is_not_issued(role: str) -> None:
    with pytest.raises(Invalid):
        as_role("tencent", role=role)
    as_role("tencent", role="a.b")


def test_users_sign_on_where_the_cloud_lets_them() -> None:
    amy = User(id="u-amy", user_name="amy")
    for cloud, name, audience in (
        ("local", "amy_cic", f"{BASE_URL}/accounts/100001"),
        ("alibaba", "amy@100001.onaliyun.com", "https://signin.aliyun.com/100001/saml/SSO"),
        ("alibaba-intl", "amy@100001.onaliyun.com", "https://signin.alibabacloud.com/100001/saml/SSO"),
    ):
        sign_on = sign_on_as_user(account(cloud), base_url=BASE_URL, user=amy, name=name)
        assert (sign_on.audience, taken(sign_on).name_id) == (audience, name)
        assert not any(attribute.endswith("/Role") for attribute in sign_on.attributes)
    for cloud in ("aws", "tencent", "tencent-intl"):
        with pytest.raises(Invalid, match="only as a role"):
            sign_on_as_user(account(cloud), base_url=BASE_URL, user=amy, name="amy")


def test_a_cloud_that_nobody_knows_is_refused() -> None:
    with pytest.raises(Invalid, match="does not know"):
        as_role("nimbus")


def test_what_the_clouds_would_not_take_is_not_issued() -> None:
    sign_on = as_role("aws")
    base64_of = 100_000 * 3 // 4
    for length, fits in ((base64_of - 12_000, True), (base64_of, False)):
        longer = SignOn(
            sign_on.acs_url,
            sign_on.audience,
            "amy",
            PERSISTENT,
            {**sign_on.attributes, "urn:x": ("x" * length,)},
        )
        if fits:
            assert taken(longer).attributes["urn:x"]
        else:
            with pytest.raises(ValueError, match="at most 100000"):
                taken(longer)
