"""Writing a service control policy: visual and JSON editor over the same document, without JavaScript (SCP-2)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from portal.core.actor import SYSTEM
from portal.core.guardrails import policies
from portal.core.guardrails.models import ServiceControlPolicy
from portal.core.organization.models import Organization
from tests.functional.test_scp import Scene
from tests.support import admin
from tests.support.browser import Browser
from tests.support.make import Make

URL = "/console/organization/policies"
ODD = """{"version":"2.0",
  "statement": {"effect": "deny", "action": "cvm:*",   "resource": "*"} }"""


@pytest.fixture
def scene(browser: Browser, make: Make) -> Scene:
    return Scene(make, admin.sign_in(browser, make).organization)


@pytest.fixture
def editor(browser: Browser, scene: Scene) -> Browser:
    return browser.open(URL).click("Create policy")


def one_statement(**elements: Any) -> dict[str, Any]:
    return {"version": "2.0", "statement": [{"effect": "deny", "action": "*", "resource": "*", **elements}]}


def stored(make: Make) -> ServiceControlPolicy:
    with make.transaction() as session:
        return session.scalars(select(ServiceControlPolicy)).one()


def shown(browser: Browser) -> str:
    """The document in the JSON editor."""
    return str(browser.page.find("textarea", id="document").get_text()).removeprefix("\n")


def in_json(browser: Browser, document: Any) -> Browser:
    browser.submit("JSON editor")
    text = document if isinstance(document, str) else json.dumps(document, indent=1)
    return browser.submit("Visual editor", document=text)


def test_scp_2_a_policy_is_made_in_the_visual_editor(editor: Browser, make: Make) -> None:
    assert "Statement 1" in editor.text
    editor.submit("Show actions of statement 1", **{"s0-service": "cvm", "s0-effect": "deny"})
    editor.submit(
        "Add source IP to statement 1",
        **{
            "s0-actions": "some",
            "s0-action": ["cvm:Describe*"],
            "s0-typed": "RunInstances\n\n  cvm:RebootInstances ",
            "s0-resources": "some",
            "s0-listed": "qcs::cvm:ap-guangzhou::instance/*",
        },
    )
    assert editor.page.find("input", id="s0-c0-key")["value"] == "qcs:ip"
    address = {"s0-c0-operator": "ip_not_equal", "s0-c0-values": "10.0.0.0/8\n192.0.2.1"}
    editor.submit("Add another condition to statement 1", **address)
    tag = {"s0-c1-key": "qcs:resource_tag", "s0-c1-operator": "string_equal", "s0-c1-prefix": "for_any_value"}
    editor.submit("Add statement", **tag, **{"s0-c1-if_exist": True, "s0-c1-values": "env&prod"})
    editor.submit("Next", **{"s1-effect": "allow", "s1-service": "*", "s1-actions": "all"})
    editor.submit("Create", name="guard-cvm", description="Machines only from the office")
    assert "Service control policy guard-cvm created." in editor.text
    assert json.loads(stored(make).document) == {
        "version": "2.0",
        "statement": [
            {
                "effect": "deny",
                "action": ["cvm:Describe*", "cvm:RunInstances", "cvm:RebootInstances"],
                "resource": ["qcs::cvm:ap-guangzhou::instance/*"],
                "condition": {
                    "ip_not_equal": {"qcs:ip": ["10.0.0.0/8", "192.0.2.1"]},
                    "for_any_value:string_equal_if_exist": {"qcs:resource_tag": ["env&prod"]},
                },
            },
            {"effect": "allow", "action": ["*"], "resource": "*"},
        ],
    }


def test_scp_2_both_editors_show_the_same_document(editor: Browser) -> None:
    editor.submit("Show actions of statement 1", **{"s0-service": "cos"}).submit("JSON editor", **{"s0-actions": "all"})
    content = json.loads(shown(editor))
    assert content["statement"] == [{"effect": "deny", "action": ["cos:*"], "resource": "*"}]
    content["statement"].append(
        {"effect": "allow", "action": ["cam:GetUser", "cos:Put*"], "resource": ["qcs::cam:::x"]}
    )
    editor.submit("Visual editor", document=json.dumps(content))
    assert editor.page.find("textarea", id="s1-typed").get_text().split() == ["cam:GetUser", "cos:Put*"]
    assert editor.page.find("textarea", id="s1-listed").get_text().split() == ["qcs::cam:::x"]
    editor.submit("Remove statement 1").submit("JSON editor")
    assert json.loads(shown(editor))["statement"] == content["statement"][1:]


def test_scp_2_switching_back_and_forth_keeps_every_blank(editor: Browser, make: Make) -> None:
    in_json(editor, ODD)
    assert editor.page.find("option", value="cvm", selected=True)
    editor.submit("JSON editor")
    assert shown(editor) == ODD
    editor.submit("Visual editor").submit("Next").submit("Back").submit("Next").submit("Create", name="odd")
    assert stored(make).document == ODD


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("{", "Document: must be JSON"),
        ({"version": "1.0", "statement": []}, 'Version: must be "2.0".'),
        (one_statement(Sid=1), "has the key Sid."),
        (one_statement(action="*\ud800"), "line of its own"),
    ],
)
def test_scp_2_what_the_visual_editor_cannot_show_stays_in_json(editor: Browser, document: Any, reason: str) -> None:
    in_json(editor, document)
    assert "The visual editor cannot show this document, so it stays in JSON." in editor.text
    assert reason in editor.text
    assert shown(editor) == (document if isinstance(document, str) else json.dumps(document, indent=1))


def test_scp_2_each_fault_stands_at_its_field_with_its_code(editor: Browser) -> None:
    in_json(
        editor,
        {
            "version": "2.0",
            "statement": [
                {"effect": "deny", "action": "cvm:*", "resource": "*"},
                {
                    "effect": "deny",
                    "action": "RunInstances",
                    "resource": "qcs::cvm::5:instance/1",
                    "condition": {"ip_equal": {"qcs:ip": "office"}},
                },
            ],
        },
    )
    editor.submit("Next", status=400)
    for element, code in (
        ("action", "ActionError"),
        ("resource", "ResourceUinError"),
        ("condition", "ConditionContentError"),
    ):
        field = editor.page.find(id=f"s1-{element}").find("p", class_="error").get_text(" ", strip=True)
        assert field.startswith(f"Statement 2, {element}: ")
        assert field.endswith(code)
        link = editor.page.find(role="alert").find("a", href=f"#s1-{element}")
        assert code in link.parent.get_text()
    assert editor.page.find(id="s0-action").find("p", class_="error") is None
    editor.submit("JSON editor").submit("Next", status=400)
    assert "ResourceUinError · line 12" in " ".join(editor.page.find(role="alert").get_text(" ").split())
    assert "ResourceUinError" in editor.page.find(id="document-error").get_text()


@pytest.mark.parametrize(
    ("document", "line", "code"),
    [
        ('{\n"version": "2.0",\n"statement": [', "line 3", "PolicyDocumentError"),
        ("{}", "line 1", "VersionError"),
        ('{"version": "2.0",\n"statement": []}', "line 2", "StatementError"),
        ("x" * 6145, "line 1", "PolicyDocumentLengthOverLimit"),
    ],
)
def test_scp_2_the_json_editor_names_the_line(editor: Browser, document: str, line: str, code: str) -> None:
    editor.submit("JSON editor").submit("Next", document=document, status=400)
    alert = " ".join(editor.page.find(role="alert").get_text(" ").split())
    assert line in alert
    assert code in alert
    assert shown(editor) == document


def test_scp_2_an_empty_visual_editor_says_what_is_missing(editor: Browser) -> None:
    editor.submit("Next", status=400)
    assert "Statement 1, action: must name at least one. ActionMiss" in editor.text
    editor.submit("Remove statement 1").submit("Next", status=400)
    assert "StatementError" in editor.text


def test_scp_2_two_equal_conditions_are_refused_not_merged(editor: Browser) -> None:
    editor.submit("Add source IP to statement 1", **{"s0-typed": "cvm:*"})
    editor.submit("Add source IP to statement 1", **{"s0-c0-values": "10.0.0.0/8"})
    editor.submit("JSON editor", **{"s0-c1-values": "192.0.2.1"})
    assert "holds ip_equal of qcs:ip twice" in editor.text
    editor.submit("Next", status=400)
    editor.submit("Remove condition 2 of statement 1").submit("Next")
    assert "Name and description" in editor.text


def test_scp_2_a_condition_that_was_added_and_left_blank_does_not_count(editor: Browser) -> None:
    editor.submit("Add another condition to statement 1", **{"s0-typed": "cvm:*"}).submit("Next")
    assert "condition" not in editor.page.find("pre").get_text()


def test_scp_2_unknown_services_and_actions_are_accepted_with_a_hint(editor: Browser, make: Make) -> None:
    editor.submit("Show actions of statement 1", **{"s0-typed": "unheard:Do\ncam:GetUsre\ncam:GetUser"})
    hint = "Not in the catalogue, accepted as typed; check the spelling: unheard:Do , cam:GetUsre"
    assert hint in editor.text
    editor.submit("Next")
    assert hint in editor.text
    editor.submit("Create", name="unheard")
    assert "unheard:Do" in stored(make).document


def test_scp_2_going_back_loses_nothing_and_a_bad_name_is_told_at_its_field(editor: Browser, scene: Scene) -> None:
    scene.policy("taken")
    editor.submit("Next", **{"s0-typed": "cvm:*"})
    editor.submit("Create", name="no blanks", description="Why", status=400)
    assert "1 to 128 letters" in editor.page.find(id="name-error").get_text()
    editor.submit("Create", name="TAKEN", status=400)
    assert "There is a service control policy named TAKEN already." in editor.text
    editor.submit("Create", name="FullQcloudAccess", status=400)
    editor.submit("Back", name="fine")
    assert editor.page.find("option", value="cvm", selected=True)
    editor.submit("Next").submit("Create")
    assert "Service control policy fine created." in editor.text
    assert "Description Why" in editor.text


def test_scp_2_editing_is_effective_at_once(browser: Browser, scene: Scene, make: Make) -> None:
    scene.switch_on()
    made = scene.policy(accounts=(scene.shop,))
    browser.open(f"{URL}/{made.id}").click("Edit policy")
    browser.submit("Next", **{"s0-effect": "allow"})
    assert "Bound to 1 node: the change is effective there at once." in browser.text
    browser.submit("Save", name="only-cvm")
    assert "Saved." in browser.text
    assert "only-cvm" in browser.text
    with make.transaction() as session:
        changed = session.get_one(ServiceControlPolicy, made.id)
        assert json.loads(changed.document)["statement"][0]["effect"] == "allow"


def test_scp_2_editing_begins_in_json_where_the_fields_cannot_show_it(
    browser: Browser, scene: Scene, make: Make
) -> None:
    text = '{"version": "2.0", "statement": [{"effect": "deny", "action": "cvm:*", "resource": "qcs::cvm:::a\\nb"}]}'
    with make.transaction() as session:
        organization = session.get_one(Organization, scene.organization.id)
        made = policies.create_policy(session, SYSTEM, organization=organization, name="odd", document=text)
    browser.open(f"{URL}/{made.id}/edit")
    assert "stays in JSON" in browser.text
    assert shown(browser) == text
    browser.submit("Next").submit("Save")
    assert stored(make).document == text


def test_a_forged_last_step_is_refused(editor: Browser, make: Make) -> None:
    editor.submit("Next", **{"s0-typed": "cvm:*"})
    editor.submit("Create", name="forged", document="{}", status=400)
    assert 'Version: must be "2.0".' in editor.text
    with make.transaction() as session:
        assert session.scalars(select(ServiceControlPolicy)).all() == []


@pytest.mark.parametrize(
    "button", ["remove:9", "remove", "remove_condition:1:7", "add_ip:x", "add_ip:²", "nonsense", ""]
)
def test_a_forged_button_changes_nothing(editor: Browser, button: str) -> None:
    token = editor.page.find("input", attrs={"name": "csrf_token"})["value"]
    fields = {"csrf_token": token, "mode": "visual", "s0-effect": "deny", "s0-typed": "cvm:*", "do": button}
    editor.post(f"{URL}/create", fields)
    assert editor.page.find("textarea", id="s0-typed") or editor.page.find(id="s0-head")
