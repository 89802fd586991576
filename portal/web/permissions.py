"""Which right a route needs. Deny is the default: a route without a permission is never answered.

In the console a permission is the CAM action of the real product, decided by the administrator's own policies in the
admin account: `QcloudOrganizationFullAccess` may do everything, a read-only policy may look.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, abort, current_app, request
from flask_login import current_user

from portal.core.errors import Forbidden

View = TypeVar("View", bound=Callable[..., Any])


class Permission(enum.StrEnum):
    # who, rather than what
    PUBLIC = "public"
    EMPLOYEE = "employee"
    ADMINISTRATOR = "administrator"
    ACCOUNT_SESSION = "account session"
    SCIM_CREDENTIAL = "scim credential"

    # Identity Center
    OPEN_IDENTITY_CENTER = "organization:OpenIdentityCenter"
    DESCRIBE_IDENTITY_CENTER = "organization:DescribeIdentityCenter"
    LIST_USERS = "organization:ListUsers"
    GET_USER = "organization:GetUser"
    CREATE_USER = "organization:CreateUser"
    UPDATE_USER = "organization:UpdateUser"
    UPDATE_USER_STATUS = "organization:UpdateUserStatus"
    DELETE_USER = "organization:DeleteUser"
    ADOPT_USER = "organization:AdoptUser"
    LIST_GROUPS = "organization:ListGroups"
    GET_GROUP = "organization:GetGroup"
    CREATE_GROUP = "organization:CreateGroup"
    UPDATE_GROUP = "organization:UpdateGroup"
    DELETE_GROUP = "organization:DeleteGroup"
    ADOPT_GROUP = "organization:AdoptGroup"
    ADD_USER_TO_GROUP = "organization:AddUserToGroup"
    REMOVE_USER_FROM_GROUP = "organization:RemoveUserFromGroup"
    GET_SSO = "organization:GetExternalSAMLIdentityProvider"
    SET_SSO = "organization:SetExternalSAMLIdentityProvider"
    LIST_SCIM_CREDENTIALS = "organization:ListSCIMCredentials"
    CREATE_SCIM_CREDENTIAL = "organization:CreateSCIMCredential"
    UPDATE_SCIM_CREDENTIAL = "organization:UpdateSCIMCredentialStatus"
    DELETE_SCIM_CREDENTIAL = "organization:DeleteSCIMCredential"
    UPDATE_SCIM_STATUS = "organization:UpdateSCIMSynchronizationStatus"
    UPDATE_SCIM_GUARD = "organization:UpdateSCIMGuard"
    RELEASE_SCIM_GUARD = "organization:ReleaseSCIMGuard"
    LIST_SCIM_REQUESTS = "organization:ListSCIMRequests"
    LIST_CONFIGURATIONS = "organization:ListRoleConfigurations"
    GET_CONFIGURATION = "organization:GetRoleConfiguration"
    CREATE_CONFIGURATION = "organization:CreateRoleConfiguration"
    UPDATE_CONFIGURATION = "organization:UpdateRoleConfiguration"
    DELETE_CONFIGURATION = "organization:DeleteRoleConfiguration"
    ADD_CONFIGURATION_POLICY = "organization:AddPermissionPolicyToRoleConfiguration"
    REMOVE_CONFIGURATION_POLICY = "organization:RemovePermissionPolicyFromRoleConfiguration"
    DEPLOY = "organization:ProvisionRoleConfiguration"
    UNDEPLOY = "organization:DismantleRoleConfiguration"
    LIST_AUTHORIZATIONS = "organization:ListRoleAssignments"
    CREATE_AUTHORIZATION = "organization:CreateRoleAssignment"
    DELETE_AUTHORIZATION = "organization:DeleteRoleAssignment"
    EXPLORE = "organization:ExplorePermissions"
    LIST_TASKS = "organization:ListTasks"
    RETRY_TASK = "organization:RetryTask"
    CANCEL_TASK = "organization:CancelTask"
    LIST_SYNCS = "organization:ListUserSyncProvisionings"
    CREATE_SYNC = "organization:CreateUserSyncProvisioning"
    UPDATE_SYNC = "organization:UpdateUserSyncProvisioning"
    DELETE_SYNC = "organization:DeleteUserSyncProvisioning"
    LIST_DRIFT = "organization:ListAccountDrifts"
    CHECK_DRIFT = "organization:CheckAccountDrift"
    REPAIR_DRIFT = "organization:RepairAccountDrift"
    UPDATE_DRIFT = "organization:UpdateAccountDriftRepair"

    # organization
    DESCRIBE_DEPARTMENTS = "organization:DescribeOrganizationNodes"
    ADD_DEPARTMENT = "organization:AddOrganizationNode"
    UPDATE_DEPARTMENT = "organization:UpdateOrganizationNode"
    DELETE_DEPARTMENT = "organization:DeleteOrganizationNodes"
    CREATE_MEMBER = "organization:CreateOrganizationMember"
    UPDATE_MEMBER = "organization:UpdateOrganizationMember"
    MOVE_MEMBER = "organization:MoveOrganizationNodeMembers"
    DELETE_MEMBER = "organization:DeleteOrganizationMembers"
    CLOSE_ORGANIZATION = "organization:DeleteOrganization"

    # service control policies
    ENABLE_SCP = "organization:EnablePolicyType"
    DISABLE_SCP = "organization:DisablePolicyType"
    LIST_SCP = "organization:ListPolicies"
    GET_SCP = "organization:DescribePolicy"
    CREATE_SCP = "organization:CreatePolicy"
    UPDATE_SCP = "organization:UpdatePolicy"
    DELETE_SCP = "organization:DeletePolicy"
    BIND_SCP = "organization:AttachPolicy"
    UNBIND_SCP = "organization:DetachPolicy"
    LIST_SCP_TARGETS = "organization:ListTargetsForPolicy"
    LIST_SCP_OF_TARGET = "organization:ListPoliciesForTarget"

    # audit
    LOOK_UP_EVENTS = "organization:ListAuditEvents"


# Routes of installed packages, which carry no decorator of ours.
PUBLIC_ENDPOINTS = frozenset({"static", "bootstrap.static"})


def requires(permission: Permission, *, writes: bool = False) -> Callable[[View], View]:
    """Name the permission of a view. `writes` is for the GETs that change rows (the start of a sign-in)."""

    def mark(view: View) -> View:
        view.permission = permission  # type: ignore[attr-defined]
        view.writes = writes  # type: ignore[attr-defined]
        return view

    return mark


def permission_of(app: Flask, endpoint: str) -> Permission | None:
    if endpoint in PUBLIC_ENDPOINTS:
        return Permission.PUBLIC
    return getattr(app.view_functions[endpoint], "permission", None)


def setup_permissions(app: Flask) -> None:
    @app.before_request
    def check() -> Any:
        if request.endpoint is None:  # no such page: the 404 says nothing about rights
            return None
        permission = permission_of(current_app, request.endpoint)
        if permission is None:
            abort(403)
        if permission in (Permission.PUBLIC, Permission.SCIM_CREDENTIAL):
            return None  # a SCIM request proves its credential in the SCIM blueprint
        if not current_user.is_authenticated:
            return app.login_manager.unauthorized()  # type: ignore[attr-defined]
        if not current_user.may(permission):
            decision = current_user.decide(permission) if ":" in permission else None
            raise Forbidden(f"Your policies in the admin account do not allow {permission}.", decision=decision)
        return None
