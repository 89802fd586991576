"""The error tree. Each edge maps it once: pages and SCIM to an HTTP status, commands to an exit code.

The message is one plain sentence for the person who asked; it names the field and the rule and holds no secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portal.core.guardrails.access import AccessDecision


class Error(Exception):
    status = 500

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class NotFound(Error):
    """It is not there, or not there for this organization."""

    status = 404


class Conflict(Error):
    """It contradicts what exists: a duplicate name, something still in use."""

    status = 409


class Invalid(Error):
    """The input breaks a rule; `field` names the input."""

    status = 400


class Forbidden(Error):
    """The actor may not do this; `decision` is how that came about, where policies decided."""

    status = 403

    def __init__(self, message: str, *, field: str | None = None, decision: AccessDecision | None = None) -> None:
        super().__init__(message, field=field)
        self.decision = decision


class LimitReached(Error):
    """A limit from the settings is used up; the message names it."""

    status = 409


class Stale(Error):
    """Somebody else changed it in the meantime."""

    status = 412


class Unavailable(Error):
    """Something outside does not answer now; trying again may help."""

    status = 503
