from typing import Any

from django_scim.filters import GroupFilterQuery, UserFilterQuery


class Users(UserFilterQuery):
    attr_map = {
        **UserFilterQuery.attr_map,
        ("externalId", None, None): "scim_external_id",
        ("emails", None, None): "email",
        ("emails", "value", None): "email",
    }


class Groups(GroupFilterQuery):
    attr_map = {("displayName", None, None): "name"}


def let_in(_user: Any) -> bool:
    return True
