"""The lists of this subject, searched, sorted and paged in SQL. Import from here; the rows are in access.rows."""

from portal.core.access.queries.authorizations import (
    authorization_rows,
    authorizations_of_account,
    authorizations_of_deployment,
    authorizations_of_group,
    authorizations_of_user,
)
from portal.core.access.queries.configurations import (
    configurations_page,
    count_outdated,
    deployment_rows,
    deployments_of_account,
    deployments_of_configuration,
    outdated_deployments,
    policies_of_configuration,
)
from portal.core.access.queries.departments import (
    change_by_moving,
    department_authorization_rows,
    department_authorizations,
    effect_of_revoking,
    granted_in,
    granting_departments,
    missing,
)
from portal.core.access.queries.entries import entries_of_user, user_entries_of_user
from portal.core.access.queries.leaving import lost_by_leaving
from portal.core.access.queries.roll_over import provider_rows, spread
from portal.core.access.queries.sync_events import count_failed_events, failed_events
from portal.core.access.queries.syncs import (
    sync_row,
    syncs_of_account,
    syncs_of_group,
    syncs_of_user,
    syncs_page,
    users_of_sync,
)
from portal.core.access.queries.tasks import batch, by_status, counts, longest_wait, tasks_page

__all__ = [
    "authorization_rows",
    "authorizations_of_account",
    "authorizations_of_deployment",
    "authorizations_of_group",
    "authorizations_of_user",
    "batch",
    "by_status",
    "change_by_moving",
    "configurations_page",
    "count_failed_events",
    "count_outdated",
    "counts",
    "department_authorization_rows",
    "department_authorizations",
    "deployment_rows",
    "deployments_of_account",
    "deployments_of_configuration",
    "effect_of_revoking",
    "entries_of_user",
    "failed_events",
    "granted_in",
    "granting_departments",
    "longest_wait",
    "lost_by_leaving",
    "missing",
    "outdated_deployments",
    "policies_of_configuration",
    "provider_rows",
    "spread",
    "sync_row",
    "syncs_of_account",
    "syncs_of_group",
    "syncs_of_user",
    "syncs_page",
    "tasks_page",
    "user_entries_of_user",
    "users_of_sync",
]
