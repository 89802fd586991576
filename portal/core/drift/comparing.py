"""What should be there and what is there, side by side. Knows no database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from portal.core.drift.models import DifferenceKind
from portal.core.drift.state import AccountState, ProviderSpec, RoleSpec


@dataclass(frozen=True)
class WantedUser:
    """The CAM user `cam_name` stands for the user `user_name` of the space."""

    user_id: str
    user_name: str
    cam_name: str
    remark: str


@dataclass(frozen=True)
class Desired:
    """What should stand in an account, as it was deployed.

    `provider` without certificates: which of them are there is not known. What is `open` is in motion, or was left by
    a task that failed: it may be there or not, in whatever shape. `open_users` None: no user is called stray.
    """

    provider: ProviderSpec | None = None
    roles: tuple[RoleSpec, ...] = ()
    users: tuple[WantedUser, ...] = ()
    open_providers: frozenset[str] = frozenset()
    open_roles: frozenset[str] = frozenset()
    open_users: frozenset[str] | None = frozenset()


@dataclass(frozen=True)
class Found:
    """One difference; `wanted` and `found` are lines for people."""

    kind: DifferenceKind
    name: str
    wanted: str = ""
    found: str = ""


def compare(desired: Desired, state: AccountState) -> list[Found]:
    return [*_providers(desired, state), *_roles(desired, state), *_users(desired, state)]


def _providers(desired: Desired, state: AccountState) -> Iterator[Found]:
    there = {provider.name: provider for provider in state.providers}
    wanted = desired.provider
    if wanted is not None:
        found = there.pop(wanted.name, None)
        if found is None:
            yield Found(DifferenceKind.PROVIDER_MISSING, wanted.name, wanted=_lines(_of_provider(wanted)))
        else:
            changed = _changed(_of_provider(wanted), _of_provider(found))
            if changed:
                yield Found(DifferenceKind.PROVIDER_CHANGED, wanted.name, *changed)
    for name, provider in there.items():
        if name not in desired.open_providers:
            yield Found(DifferenceKind.PROVIDER_STRAY, name, found=_lines(_of_provider(provider)))


def _roles(desired: Desired, state: AccountState) -> Iterator[Found]:
    there = {role.name: role for role in state.roles}
    for wanted in desired.roles:
        found = there.pop(wanted.name, None)
        if found is None:
            yield Found(DifferenceKind.ROLE_MISSING, wanted.name, wanted=_lines(_of_role(wanted), _policies(wanted)))
            continue
        changed = _changed(_of_role(wanted), _of_role(found))
        if changed:
            yield Found(DifferenceKind.ROLE_CHANGED, wanted.name, *changed)
        for policy in sorted(set(wanted.policies) - set(found.policies)):
            yield Found(DifferenceKind.POLICY_DETACHED, wanted.name, wanted=policy)
        for policy in sorted(set(found.policies) - set(wanted.policies)):
            yield Found(DifferenceKind.POLICY_STRAY, wanted.name, found=policy)
    for name, role in there.items():
        if name not in desired.open_roles:
            yield Found(DifferenceKind.ROLE_STRAY, name, found=_lines(_of_role(role), _policies(role)))


def _users(desired: Desired, state: AccountState) -> Iterator[Found]:
    there = dict.fromkeys(state.users)
    for wanted in desired.users:
        if wanted.cam_name not in there:
            yield Found(DifferenceKind.USER_MISSING, wanted.cam_name, wanted=f"CAM user for {wanted.user_name}")
    if desired.open_users is None:
        return
    known = desired.open_users | {wanted.cam_name for wanted in desired.users}
    for name in there:
        if name not in known:
            yield Found(DifferenceKind.USER_STRAY, name, found="CAM user that stands for nobody here")


def _of_provider(provider: ProviderSpec) -> dict[str, str]:
    return {"Entity ID": provider.entity_id, "Certificates": provider.certificates}


def _of_role(role: RoleSpec) -> dict[str, str]:
    return {
        "Description": role.description,
        "Session duration": f"{role.session_duration} s",
        "Trust": role.other_trust or f"identity provider {role.provider_name} alone",
    }


def _policies(role: RoleSpec) -> dict[str, str]:
    return {"Policies": ", ".join(role.policies)}


def _changed(wanted: dict[str, str], found: dict[str, str]) -> tuple[str, str] | None:
    """The lines that differ, of both. Certificates that nobody knows are not compared."""
    unlike = [key for key in wanted if wanted[key] != found[key] and (wanted[key] or key != "Certificates")]
    if not unlike:
        return None
    return _lines({key: wanted[key] for key in unlike}), _lines({key: found[key] for key in unlike})


def _lines(*parts: dict[str, str]) -> str:
    return "\n".join(f"{key}: {value or '(none)'}" for part in parts for key, value in part.items())


def named(differences: Sequence[Found], most: int = 20) -> list[dict[str, str]]:
    """The first of them, for an audit event."""
    return [{"kind": str(one.kind), "name": one.name} for one in differences[:most]]
