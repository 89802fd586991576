"""Where a push meets the guard (IC-7): what takes a user away asks first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from portal.core.directory.models import User
from portal.core.push import guard
from scim.errors import ScimError

if TYPE_CHECKING:
    from scim.resources import Door

_SHUT_OUT = re.compile(rb'active"\s*:\s*"?false')
RETRY_AFTER = str(int(guard.RETRY_AFTER.total_seconds()))


class HeldBack(ScimError):
    """503; it names the user, because the attempt is written down after the transaction that it ended."""

    def __init__(self, detail: str, user: User) -> None:
        super().__init__(503, detail)
        self.space_id, self.user_id, self.user_name = user.space_id, user.id, user.user_name


def take(door: Door, user: User) -> None:
    """Before a user is deleted or deactivated. Raises HeldBack."""
    try:
        guard.take(door.session, space=door.space, user=user)
    except guard.HeldBack as error:
        raise HeldBack(error.message, user) from None


def lock_first(door: Door, kind: str, method: str, body: bytes) -> None:
    """Lock the guard before any user, if the request looks as if it takes one away. A wrong guess costs a wait only."""
    text = body.lower()
    named = (kind == "Bulk" or b'"path"' in text) and b"active" in text and b"false" in text
    deletes = method == "DELETE" or (kind == "Bulk" and b"delete" in text)
    if kind != "Groups" and (deletes or named or _SHUT_OUT.search(text)):
        guard.lock(door.session, door.space)
