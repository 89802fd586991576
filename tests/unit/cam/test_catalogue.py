"""The catalogue offers what this product knows: the actions of the preset policies and those that it asks itself."""

from __future__ import annotations

import json

from portal.account import visit
from portal.core.cam import catalogue
from portal.core.cam.policy import parse
from portal.paths import config_dir
from portal.web.permissions import Permission


def actions_of_presets() -> set[str]:
    found = set()
    for entry in json.loads((config_dir() / "preset_policies.json").read_text()):
        for statement in entry["document"]["statement"]:
            found |= {action for action in statement["action"] if not action.startswith("*")}
    return found


def test_it_knows_every_action_that_the_product_asks_and_the_presets_name() -> None:
    asked = {permission.value for permission in Permission if ":" in permission}
    asked |= {*visit.LISTS.values(), visit.GET_USER, visit.GRANT, visit.WITHDRAW}
    assert catalogue.unknown(asked | actions_of_presets()) == []
    names = {f"{service.name}:{name}" for service in catalogue.services().values() for name in service.actions}
    assert asked - names == set()


def test_all_that_it_offers_is_grammar() -> None:
    for service in catalogue.services().values():
        actions = [f"{service.name}:{name}" for name in service.actions]
        parse({"version": "2.0", "statement": {"effect": "deny", "action": actions, "resource": "*"}})
        assert list(service.actions) == sorted(set(service.actions), key=str.casefold)
        assert service.title
    assert catalogue.condition_keys()[0][0] == "qcs:ip"


def test_unknown_services_and_actions_are_told_whatever_their_case() -> None:
    known = ["cvm:DescribeInstances", "CVM:describeinstances", "cvm:Anything*", "*", "*:*", "name/cam:GetUser"]
    assert catalogue.unknown([*known, "cvn:DescribeInstances", "cam:GetUsre", "cvn:*"]) == [
        "cvn:DescribeInstances",
        "cam:GetUsre",
        "cvn:*",
    ]
