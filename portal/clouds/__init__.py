"""Account connectors: how the worker reaches into an account, whichever cloud it is in.

    worker -> connector_for(database, account, base_url=...) -> Connector
                                                                  local  the embedded cloud (portal.core.cam)

Every call is "ensure": repeated after a crash it changes nothing, so a task delivered twice does no harm.
Every call is a transaction of its own: do not keep one open around it.
"""

from __future__ import annotations

from portal.clouds.connector import AccountState, Connector, ProviderSpec, RoleSpec
from portal.clouds.local import LocalConnector
from portal.core.database import Database
from portal.core.errors import Invalid
from portal.core.organization.models import Account

__all__ = ["AccountState", "Connector", "ProviderSpec", "RoleSpec", "connector_for"]


def connector_for(database: Database, account: Account, *, base_url: str) -> Connector:
    """Raises Invalid for an account of a cloud that nobody here speaks to."""
    if account.cloud == "local":
        return LocalConnector(database, account.uin, base_url)
    raise Invalid(f"Account {account.uin} is in the cloud {account.cloud}, which this installation cannot reach.")
