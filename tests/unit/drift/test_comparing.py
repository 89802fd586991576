"""What is called a difference, and what is not. No database."""

from __future__ import annotations

from dataclasses import replace

from portal.core.drift.comparing import Desired, WantedUser, compare
from portal.core.drift.state import AccountState, ProviderSpec, RoleSpec

PROVIDER = ProviderSpec("ours", "https://portal.example/acme", "aa bb")
ROLE = RoleSpec("reader", "Reads", "ours", 3600, ("A", "B"), "z-1")
ALICE = WantedUser("u-1", "alice", "alice_cic", "")
WANTED = Desired(provider=PROVIDER, roles=(ROLE,), users=(ALICE,))
THERE = AccountState(providers=(PROVIDER,), roles=(ROLE,), users=("alice_cic",))


def found(desired: Desired = WANTED, state: AccountState = THERE) -> list[tuple[str, str, str, str]]:
    return [(str(one.kind), one.name, one.wanted, one.found) for one in compare(desired, state)]


def with_role(**changes: object) -> AccountState:
    return replace(THERE, roles=(replace(ROLE, **changes),))  # type: ignore[arg-type]


def test_what_is_as_it_should_be_differs_in_nothing() -> None:
    assert found() == []
    assert found(Desired(), AccountState((), (), ())) == []


def test_what_is_missing() -> None:
    assert found(state=AccountState((), (), ())) == [
        ("ProviderMissing", "ours", "Entity ID: https://portal.example/acme\nCertificates: aa bb", ""),
        (
            "RoleMissing",
            "reader",
            "Description: Reads\nSession duration: 3600 s\nTrust: identity provider ours alone\nPolicies: A, B",
            "",
        ),
        ("UserMissing", "alice_cic", "CAM user for alice", ""),
    ]


def test_what_nothing_wants() -> None:
    kinds = [(kind, name, wanted) for kind, name, wanted, _found in found(Desired())]
    assert kinds == [("ProviderStray", "ours", ""), ("RoleStray", "reader", ""), ("UserStray", "alice_cic", "")]


def test_each_property_of_a_role_counts() -> None:
    assert found(state=with_role(session_duration=43_200)) == [
        ("RoleChanged", "reader", "Session duration: 3600 s", "Session duration: 43200 s")
    ]
    assert found(state=with_role(description="")) == [
        ("RoleChanged", "reader", "Description: Reads", "Description: (none)")
    ]
    ours = "Trust: identity provider ours alone"
    assert found(state=with_role(provider_name="theirs")) == [
        ("RoleChanged", "reader", ours, "Trust: identity provider theirs alone")
    ]
    assert found(state=with_role(other_trust="{}")) == [("RoleChanged", "reader", ours, "Trust: {}")]


def test_each_policy_is_a_difference_of_its_own_in_whatever_order_they_come() -> None:
    assert found(state=with_role(policies=("B", "A"))) == []
    assert found(state=with_role(policies=("B", "C", "D"))) == [
        ("PolicyDetached", "reader", "A", ""),
        ("PolicyStray", "reader", "", "C"),
        ("PolicyStray", "reader", "", "D"),
    ]


def test_an_identity_provider_is_known_by_its_entity_id_and_certificates() -> None:
    other = replace(THERE, providers=(replace(PROVIDER, certificates="cc"),))
    assert found(state=other) == [("ProviderChanged", "ours", "Certificates: aa bb", "Certificates: cc")]
    other = replace(THERE, providers=(replace(PROVIDER, entity_id="https://evil.example"),))
    assert [kind for kind, *_rest in found(state=other)] == ["ProviderChanged"]


def test_certificates_that_nobody_knows_are_not_compared_but_the_rest_is() -> None:
    unknown = replace(WANTED, provider=replace(PROVIDER, certificates=""))
    assert found(unknown) == []
    other = replace(THERE, providers=(replace(PROVIDER, entity_id="https://evil.example", certificates="cc"),))
    assert [lines for _kind, _name, *lines in found(unknown, other)] == [
        ["Entity ID: https://portal.example/acme", "Entity ID: https://evil.example"]
    ]
    assert [kind for kind, *_rest in found(unknown, replace(THERE, providers=()))] == ["ProviderMissing"]


def test_what_is_in_motion_may_be_there_or_not() -> None:
    moving = Desired(
        open_providers=frozenset(["ours"]), open_roles=frozenset(["reader"]), open_users=frozenset(["alice_cic"])
    )
    assert found(moving) == found(moving, AccountState((), (), ())) == []
    assert found(replace(moving, open_users=None), replace(THERE, users=("anybody",))) == []
