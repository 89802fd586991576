"""Permission configurations and authorizations made by the product's verbs, for tests of pages."""

from __future__ import annotations

from collections.abc import Sequence

from portal.core.access import authorizations, configurations
from portal.core.access.models import Configuration
from portal.core.actor import SYSTEM
from portal.core.directory.models import Group, User
from portal.core.organization.models import Account
from portal.core.space.models import Space
from tests.support.make import Make


def make_configuration(make: Make, space: Space, name: str, *policies: str) -> Configuration:
    with make.transaction() as session:
        return configurations.create_configuration(session, SYSTEM, space=space, name=name, policies=policies)


def grant(
    make: Make,
    space: Space,
    *,
    accounts: Sequence[Account],
    principals: Sequence[User | Group],
    configurations: Sequence[Configuration],
) -> str:
    """The batch; its tasks wait for the worker."""
    with make.transaction() as session:
        return authorizations.grant(
            session,
            SYSTEM,
            space=space,
            accounts=[account.uin for account in accounts],
            users=[one.id for one in principals if isinstance(one, User)],
            groups=[one.id for one in principals if isinstance(one, Group)],
            configurations=[one.id for one in configurations],
        )
