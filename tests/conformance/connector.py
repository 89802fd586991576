"""What every account connector must do, whichever cloud it reaches: a subclass gives `connector` (and `own_user`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from portal.clouds import Connector, ProviderSpec, RoleSpec
from portal.core.access.models import DuplicationStrategy
from portal.core.errors import Forbidden, Invalid
from portal.core.federation import saml_keys
from saml.metadata import parse_identity_provider
from tests.support.saml_idp import TestIdp, key_pair

SPACE, OTHER_SPACE = "z-000000000001", "z-000000000002"
PROVIDER = f"TencentReservedSSO-{SPACE}"
TAKE_OVER, KEEP_BOTH = DuplicationStrategy.TAKE_OVER, DuplicationStrategy.KEEP_BOTH

ROLE = RoleSpec(
    name="TencentCloudSSO-Operations",
    description="Run things",
    provider_name=PROVIDER,
    session_duration=7200,
    policies=("QcloudCVMFullAccess", "ReadOnlyAccess"),
    managed_by=SPACE,
)


def ensure_provider(connector: Connector, idp: TestIdp | None = None, *, managed_by: str = SPACE) -> TestIdp:
    idp = idp or TestIdp()
    connector.ensure_identity_provider(
        name=PROVIDER, entity_id=idp.entity_id, metadata_xml=idp.metadata(), description="", managed_by=managed_by
    )
    return idp


def ensure_user(connector: Connector, name: str, strategy: DuplicationStrategy, *, managed_by: str = SPACE) -> str:
    return connector.ensure_user(name=name, remark="", duplication_strategy=strategy, managed_by=managed_by)


class ConnectorConformance:
    """`connector` reaches an empty account; `own_user(name)` makes a user there that is the account's own.

    `enter(person, role)` opens a session there by sign-on (None: as the CAM user `amy`), `inside(person)` names the
    roles (or the CAM user) of the person's open sessions, sorted. The hands of somebody in the account who may do
    more than we think: `retrust(role)` lets somebody else take the role as well, `replace_policy(role, name)` puts a
    policy of the account's own in the place of one of that name.
    """

    connector: Connector
    own_user: Callable[[str], None]
    enter: Callable[[str, str | None], None]
    inside: Callable[[str], list[str]]
    retrust: Callable[[str], None]
    replace_policy: Callable[[str, str], None]

    def test_an_empty_account_is_described_as_empty(self) -> None:
        state = self.connector.describe(managed_by=SPACE)
        assert (state.identity_providers, state.roles, state.users) == ({}, (), ())

    def test_an_identity_provider_is_made_once_and_replaced(self) -> None:
        idp = ensure_provider(self.connector)
        ensure_provider(self.connector)
        assert self.connector.describe(managed_by=SPACE).identity_providers == {PROVIDER: idp.entity_id}
        newer = ensure_provider(self.connector, TestIdp("https://newer.example.test/idp"))
        assert self.connector.describe(managed_by=SPACE).identity_providers == {PROVIDER: newer.entity_id}

    def test_the_certificates_of_an_identity_provider_are_told_apart(self) -> None:
        seen, newer = [], TestIdp()
        newer.certificate = key_pair("another key")[1]
        for idp in (TestIdp(), newer):
            ensure_provider(self.connector, idp)
            certificates = saml_keys.fingerprints(parse_identity_provider(idp.metadata()).certificates)
            (found,) = self.connector.describe(managed_by=SPACE).providers
            assert found == ProviderSpec(PROVIDER, idp.entity_id, certificates)
            seen.append(found)
        assert seen[0] != seen[1]

    def test_bad_metadata_is_refused_and_changes_nothing(self) -> None:
        idp = ensure_provider(self.connector)
        for entity_id, metadata in ((idp.entity_id, "<nothing/>"), ("https://other.example", idp.metadata())):
            with pytest.raises(Invalid):
                self.connector.ensure_identity_provider(
                    name=PROVIDER, entity_id=entity_id, metadata_xml=metadata, description="", managed_by=SPACE
                )
        assert self.connector.describe(managed_by=SPACE).identity_providers == {PROVIDER: idp.entity_id}

    def test_removing_an_identity_provider_twice_is_harmless(self) -> None:
        ensure_provider(self.connector)
        for _ in range(2):
            self.connector.remove_identity_provider(PROVIDER, managed_by=SPACE)
        assert self.connector.describe(managed_by=SPACE).identity_providers == {}

    def test_ic_9_a_role_is_made_exactly_as_said(self) -> None:
        ensure_provider(self.connector)
        for _ in range(2):
            self.connector.ensure_role(ROLE)
        assert self.connector.describe(managed_by=SPACE).roles == (ROLE,)

    def test_ic_10_a_changed_role_keeps_nothing_of_before(self) -> None:
        ensure_provider(self.connector)
        self.connector.ensure_role(ROLE)
        changed = replace(ROLE, description="", session_duration=900, policies=("QcloudCOSReadOnlyAccess",))
        self.connector.ensure_role(changed)
        assert self.connector.describe(managed_by=SPACE).roles == (changed,)

    def test_a_role_with_an_unknown_policy_is_refused_and_stays_as_it_was(self) -> None:
        ensure_provider(self.connector)
        self.connector.ensure_role(ROLE)
        with pytest.raises(Invalid, match="NoSuchAccess"):
            self.connector.ensure_role(replace(ROLE, policies=("NoSuchAccess",), session_duration=900))
        assert self.connector.describe(managed_by=SPACE).roles == (ROLE,)

    def test_cam_4_a_role_that_somebody_else_may_take_too_is_described_so_and_mended(self) -> None:
        ensure_provider(self.connector)
        self.connector.ensure_role(ROLE)
        self.retrust(ROLE.name)
        (found,) = self.connector.describe(managed_by=SPACE).roles
        assert found.other_trust
        assert replace(found, other_trust="", provider_name=PROVIDER) == ROLE
        self.connector.ensure_role(ROLE)
        assert self.connector.describe(managed_by=SPACE).roles == (ROLE,)

    def test_a_policy_that_only_has_the_name_is_described_so_and_mended(self) -> None:
        ensure_provider(self.connector)
        self.connector.ensure_role(ROLE)
        self.replace_policy(ROLE.name, ROLE.policies[0])
        (found,) = self.connector.describe(managed_by=SPACE).roles
        assert len(found.policies) == len(ROLE.policies)
        assert set(ROLE.policies) - set(found.policies) == {ROLE.policies[0]}
        self.connector.ensure_role(ROLE)
        assert self.connector.describe(managed_by=SPACE).roles == (ROLE,)

    def test_removing_a_role_twice_is_harmless(self) -> None:
        ensure_provider(self.connector)
        self.connector.ensure_role(ROLE)
        for _ in range(2):
            self.connector.remove_role(ROLE.name, managed_by=SPACE)
        assert self.connector.describe(managed_by=SPACE).roles == ()

    def test_cam_4_what_another_space_manages_is_left_alone(self) -> None:
        ensure_provider(self.connector)
        self.connector.ensure_role(ROLE)
        ensure_user(self.connector, "amy", TAKE_OVER)
        before = self.connector.describe(managed_by=SPACE)
        attempts: list[Callable[[], object]] = [
            lambda: ensure_provider(self.connector, managed_by=OTHER_SPACE),
            lambda: self.connector.ensure_role(replace(ROLE, managed_by=OTHER_SPACE)),
            lambda: ensure_user(self.connector, "amy", TAKE_OVER, managed_by=OTHER_SPACE),
            lambda: self.connector.remove_identity_provider(PROVIDER, managed_by=OTHER_SPACE),
            lambda: self.connector.remove_role(ROLE.name, managed_by=OTHER_SPACE),
            lambda: self.connector.remove_user("amy", managed_by=OTHER_SPACE),
            lambda: self.connector.end_sessions(source_identity="u-amy", role_name=ROLE.name, managed_by=OTHER_SPACE),
        ]
        for attempt in attempts:
            with pytest.raises(Forbidden):
                attempt()
        assert self.connector.describe(managed_by=SPACE) == before
        assert self.connector.describe(managed_by=OTHER_SPACE).users == ()

    def test_ic_14_a_user_keeps_its_name_where_that_is_free(self) -> None:
        for strategy in (TAKE_OVER, KEEP_BOTH, TAKE_OVER):
            assert ensure_user(self.connector, "amy", strategy) == "amy"
        assert self.connector.describe(managed_by=SPACE).users == ("amy",)

    def test_ic_14_replace_takes_the_user_of_the_account_over(self) -> None:
        self.own_user("amy")
        for _ in range(2):
            assert ensure_user(self.connector, "amy", TAKE_OVER) == "amy"
        assert self.connector.describe(managed_by=SPACE).users == ("amy",)

    def test_ic_14_save_both_adds_the_suffix_and_answers_the_same_again(self) -> None:
        self.own_user("amy")
        for _ in range(2):
            assert ensure_user(self.connector, "amy", KEEP_BOTH) == "amy_cic"
        assert self.connector.describe(managed_by=SPACE).users == ("amy_cic",)

    def test_a_user_is_removed_and_removing_it_again_is_harmless(self) -> None:
        ensure_user(self.connector, "amy", TAKE_OVER)
        for _ in range(2):
            self.connector.remove_user("amy", managed_by=SPACE)
        assert self.connector.describe(managed_by=SPACE).users == ()

    def test_cam_4_a_user_of_the_account_is_not_removed(self) -> None:
        self.own_user("amy")
        with pytest.raises(Forbidden):
            self.connector.remove_user("amy", managed_by=SPACE)

    def test_ic_14_a_released_user_is_the_accounts_own_again(self) -> None:
        ensure_user(self.connector, "amy", TAKE_OVER)
        for _ in range(2):
            self.connector.release_user("amy", managed_by=SPACE)
        assert self.connector.describe(managed_by=SPACE).users == ()
        assert ensure_user(self.connector, "amy", KEEP_BOTH) == "amy_cic"

    def test_the_sessions_of_one_person_in_one_role_end_and_all_others_stay(self) -> None:
        other = self.two_people_inside()
        for _ in range(2):
            self.connector.end_sessions(source_identity="u-amy", role_name=ROLE.name, managed_by=SPACE)
        assert self.inside("u-amy") == sorted([other, "amy"])
        assert self.inside("u-bob") == [ROLE.name]

    def test_all_sessions_of_one_person_end_those_as_the_cam_user_too(self) -> None:
        self.two_people_inside()
        for _ in range(2):
            self.connector.end_sessions(source_identity="u-amy", role_name=None, managed_by=SPACE)
        assert self.inside("u-amy") == []
        assert self.inside("u-bob") == [ROLE.name]

    def test_ending_sessions_of_nobody_in_no_role_is_harmless(self) -> None:
        other = self.two_people_inside()
        self.connector.end_sessions(source_identity="u-amy", role_name="NoSuchRole", managed_by=SPACE)
        self.connector.end_sessions(source_identity="u-nobody", role_name=None, managed_by=SPACE)
        self.connector.end_sessions(source_identity="u-amy", role_name=None, managed_by=OTHER_SPACE)
        assert self.inside("u-amy") == sorted([ROLE.name, other, "amy"])

    def two_people_inside(self) -> str:
        """Amy in both roles and as CAM user, Bob in the first role; returns the other role's name."""
        other = replace(ROLE, name=f"{ROLE.name}-other")
        ensure_provider(self.connector)
        self.connector.ensure_role(ROLE)
        self.connector.ensure_role(other)
        ensure_user(self.connector, "amy", TAKE_OVER)
        for person, role in (("u-amy", ROLE.name), ("u-amy", other.name), ("u-amy", None), ("u-bob", ROLE.name)):
            self.enter(person, role)
        return other.name
