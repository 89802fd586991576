"""Who acts: carried by every verb into the audit event."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["administrator", "employee", "scim", "command", "system", "anonymous"]


@dataclass(frozen=True)
class Actor:
    """`organization_id` scopes everything the actor may touch; `address` is the client's IP address."""

    kind: Kind
    id: str
    name: str
    organization_id: int | None = None
    address: str = ""
    request_id: str = ""
    details: dict[str, str] = field(default_factory=dict)


SYSTEM = Actor("system", "system", "Identity Center")
