"""The preset policies: data in config/preset_policies.json, the same in every account, compiled once.

Policies of service roles (QcloudAccessFor...) are written for products, not for people, and are not offered.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from portal.core.cam.policy import Policy, parse
from portal.core.text import fold
from portal.paths import config_dir

SERVICE_ROLE_PREFIX = "QcloudAccessFor"


@dataclass(frozen=True, slots=True)
class Preset:
    """`service` is the CAM abbreviation of the product or global; `document` is JSON laid out for reading."""

    name: str
    description: str
    service: str
    document: str
    policy: Policy


def presets() -> tuple[Preset, ...]:
    """All presets, sorted by name without case."""
    return tuple(_by_name().values())


def find(name: str) -> Preset | None:
    """The preset of exactly that name."""
    return _by_name().get(name)


def search(text: str) -> list[Preset]:
    """The presets with `text` in name, service or description, without case; all for an empty text."""
    wanted = fold(text.strip())
    return [one for one in presets() if wanted in fold(f"{one.name}\n{one.service}\n{one.description}")]


@lru_cache(maxsize=1)
def _by_name() -> MappingProxyType[str, Preset]:
    entries = json.loads((config_dir() / "preset_policies.json").read_text(encoding="utf-8"))
    found = {
        entry["name"]: Preset(
            entry["name"],
            entry["description"],
            entry["service"],
            json.dumps(entry["document"], indent=2, ensure_ascii=False),
            parse(entry["document"]),
        )
        for entry in sorted(entries, key=lambda entry: fold(entry["name"]))
        if not entry["name"].startswith(SERVICE_ROLE_PREFIX)
    }
    return MappingProxyType(found)
