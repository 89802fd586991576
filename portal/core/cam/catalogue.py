"""The services with their known actions, and the condition keys, to choose from when writing a policy (SCP-2).

Data in config/action_catalogue.json: the actions of the preset policies and those that this product asks itself or its
real model documents. It offers and hints; a policy may name what is not in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from portal.core.cam.matching import Pattern
from portal.paths import config_dir


@dataclass(frozen=True, slots=True)
class Service:
    """`name` is the CAM abbreviation; `actions` may hold wildcards."""

    name: str
    title: str
    actions: tuple[str, ...]

    def knows(self, action: str) -> bool:
        """Without case; one with a wildcard always. `Get*` stands for all where none that it covers is listed."""
        folded = action.casefold()
        return "*" in folded or any(pattern.matches(folded, {}) for pattern in _patterns(self.name))


@lru_cache(maxsize=1)
def services() -> MappingProxyType[str, Service]:
    """By name, in its order."""
    found = (Service(one["service"], one["title"], tuple(one["actions"])) for one in _content()["services"])
    return MappingProxyType({service.name: service for service in found})


@lru_cache(maxsize=1)
def condition_keys() -> tuple[tuple[str, str], ...]:
    """Keys with their meaning, source IP first."""
    return tuple((one["key"], one["title"]) for one in _content()["conditions"])


def unknown(actions: Iterable[str]) -> list[str]:
    """Those of which the service, or the action of the service, is not in the catalogue."""
    return [action for action in actions if not _is_known(*action.removeprefix("name/").partition(":")[::2])]


def _is_known(service: str, action: str) -> bool:
    found = services().get(service.casefold())
    return service == "*" or not action or (found is not None and found.knows(action))


@lru_cache(maxsize=256)
def _patterns(service: str) -> tuple[Pattern, ...]:
    listed = [action.casefold() for action in services()[service].actions]
    names = [action for action in listed if "*" not in action]
    patterns = [Pattern.read(action, element="action") for action in listed]
    return tuple(one for one in patterns if len(one.parts) == 1 or not any(one.matches(name, {}) for name in names))


def _content() -> Any:
    return json.loads((config_dir() / "action_catalogue.json").read_text(encoding="utf-8"))
