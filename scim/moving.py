"""A PATCH that puts users into a group or takes them out, and nothing else: the short way (core.directory.moving).

It is what an IdP sends all day. Whatever is not quite so, a mistake too, goes the long way, which locks first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from portal.core.directory import moving
from portal.core.directory.drafts import Otherwise
from portal.core.directory.moving import Seen
from scim import casting
from scim.attributes import GROUPS
from scim.errors import ScimError, changed_meanwhile
from scim.members import is_group
from scim.resources import Door

_ID = re.compile(r"g-[a-z0-9]{1,14}")
_UNKNOWN = {"displayName": "\0", "externalId": "\0"}
"""In the place of a group that has not been read yet; no request has such a value."""


def moved(door: Door, group_id: str, body: Mapping[str, Any], *, if_match: str | None) -> Seen | None:
    """The group as it is then; None when nothing was done, and it takes the long way. Raises ScimError 412."""
    if not _ID.fullmatch(group_id):
        return None
    try:
        resource, change = door.patched(GROUPS, _UNKNOWN, body)
    except ScimError:
        return None
    ids = () if change is None or change.replaced or resource != _UNKNOWN else change.added or change.removed
    if change is None or not ids or (change.added and change.removed) or any(map(is_group, ids)):
        return None
    try:
        group = moving.look(door.session, space=door.space, group_id=group_id, user_ids=ids)
        _check(if_match, group)
        verb = moving.add_members if change.added else moving.remove_members
        after = verb(door.session, door.actor, space=door.space, group=group, user_ids=ids)
        if after is not group:
            _check(if_match, group._replace(version=after.version - 1))  # as it was when it was locked
    except Otherwise:
        door.session.rollback()
        return None
    return after


def _check(if_match: str | None, group: Seen) -> None:
    if if_match is not None and not casting.names_version(if_match, group):
        raise changed_meanwhile()
