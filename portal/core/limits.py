"""Limits of the product (reference names and defaults of the real one). Each can be set; each refusal names it."""

from __future__ import annotations

from pydantic import BaseModel, Field

from portal.core.errors import LimitReached


class Limits(BaseModel):
    users_per_space: int = Field(default=100_000, ge=1)
    groups_per_space: int = Field(default=10_000, ge=1)
    groups_per_group: int = Field(default=100, ge=1)
    configurations_per_space: int = Field(default=1_000, ge=1)
    policies_per_configuration: int = Field(default=20, ge=1)
    policies_per_principal: int = Field(default=200, ge=1)
    roles_per_account: int = Field(default=1_000, ge=1)
    cam_users_per_account: int = Field(default=1_000, ge=1)
    access_keys_per_user: int = Field(default=2, ge=1)
    users_created_at_once: int = Field(default=10, ge=1)
    scim_credentials_per_space: int = Field(default=2, ge=1)
    idp_certificates_per_space: int = Field(default=5, ge=1)
    department_levels: int = Field(default=5, ge=1)
    departments_per_parent: int = Field(default=20, ge=1)
    scp_per_organization: int = Field(default=100, ge=1)
    scp_per_node: int = Field(default=10, ge=1)
    created_members_per_entity: int = Field(default=5, ge=1)
    triples_per_batch: int = Field(default=10_000, ge=1)


_active = Limits()


def set_limits(limits: Limits) -> None:
    """Called once by the composition root with the limits of the settings."""
    global _active
    _active = limits


def allowed(name: str) -> int:
    value: int = getattr(_active, name)
    return value


def refusal(name: str, wanted: int, *, what: str) -> str:
    """Why `wanted` is too many of what the limit called `name` counts, "" when it is not; `what` names it."""
    return f"The limit of {allowed(name)} {what} is reached ({name})." if wanted > allowed(name) else ""


def check(name: str, wanted: int, *, what: str) -> None:
    """Raises LimitReached with the words of `refusal`."""
    if words := refusal(name, wanted, what=what):
        raise LimitReached(words)
