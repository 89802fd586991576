"""The content of a policy while it is written: in fields or as JSON, both over the same document (SCP-2).

What stands in the form is all there is: no session, no script. `document` is the JSON as it was typed or, in the visual
editor, as it was read; as long as the fields say the same it stays as it is, to the last blank.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portal.core.cam import catalogue
from portal.core.cam.conditions import OPERATORS
from portal.core.cam.faults import Fault, faults
from portal.core.cam.matching import PolicyError
from portal.core.guardrails.visual import PREFIXES, Condition, NotShown, Statement, read, repeated, write

Fields = Mapping[str, Any]


@dataclass
class Editor:
    """`not_shown` says why the visual editor could not be opened; `faults` are those of the last check."""

    visual: bool
    document: str
    statements: list[Statement] = field(default_factory=list)
    not_shown: str = ""
    faults: Sequence[Fault] = ()

    def faults_of(self, number: int, element: str) -> list[Fault]:
        """At one field of the visual editor; other elements of the statement stand at its head (`statement`)."""
        known = ("effect", "action", "resource", "condition")
        return [
            fault
            for fault in self.faults
            if fault.error.statement == number
            and (fault.error.element if fault.error.element in known else "statement") == element
        ]

    def check(self) -> bool:
        """Whether the grammar takes it; if not, `faults` says where."""
        twice = [
            PolicyError(number, "condition", _repeats(statement.conditions[index]), "ConditionError")
            for number, statement in enumerate(self.statements if self.visual else [], start=1)
            for index in repeated(statement)
        ]
        self.faults = [*faults(self.document), *(Fault(error, 1) for error in twice)]
        return not self.faults

    def open_visual(self) -> None:
        try:
            self.statements, self.visual, self.not_shown = read(self.document), True, ""
        except NotShown as reason:
            self.visual, self.not_shown = False, str(reason)

    def open_json(self) -> None:
        """Not while two conditions would become one: that would be another policy."""
        if any(map(repeated, self.statements)):
            self.check()
        else:
            self.visual = False


def begin(document: str = "") -> Editor:
    """With the policy as it is, in the visual editor if it can show it, or with one new statement."""
    if not document:
        return Editor(True, "", [Statement()])
    editor = Editor(False, document)
    editor.open_visual()
    return editor


def received(form: Any) -> Editor:
    """As it stands in the posted form."""
    document = form.get("document", "").replace("\r\n", "\n")
    if form.get("mode") != "visual":
        return Editor(False, document)
    statements = _statements(form)
    return Editor(True, _same(document, statements) or write(statements), statements)


def press(editor: Editor, button: str) -> None:
    """Do what a button of the editor says: `add`, `remove:1`, `add_ip:1`, `add_condition:1`, `remove_condition:1:2`."""
    name, *numbers = button.split(":")
    if name == "visual":
        editor.open_visual()
    elif name == "json":
        editor.open_json()
    elif name == "add":
        editor.statements.append(Statement())
    else:
        _press_in_statement(editor, name, [int(number) if number.isdecimal() else 0 for number in numbers])
    if editor.visual:
        editor.document = _same(editor.document, editor.statements) or write(editor.statements)


def hints(document: str) -> list[str]:
    """The actions of a sound policy that the catalogue does not know."""
    if faults(document):
        return []
    listed = json.loads(document)["statement"]
    actions: dict[str, None] = {}
    for statement in listed if isinstance(listed, list) else [listed]:
        named = statement["action"]
        actions |= dict.fromkeys(named if isinstance(named, list) else [named])
    return catalogue.unknown(actions)


def choices() -> dict[str, Any]:
    """What the fields of the visual editor offer; source IP comes first."""
    ordered = sorted(OPERATORS, key=lambda name: (not name.startswith("ip_"), name))
    return {
        "services": catalogue.services(),
        "unknown": catalogue.unknown,
        "operators": ordered,
        "prefixes": PREFIXES,
        "condition_keys": catalogue.condition_keys(),
    }


def _press_in_statement(editor: Editor, name: str, numbers: list[int]) -> None:
    index = numbers[0] - 1 if numbers else -1
    if not 0 <= index < len(editor.statements):
        return
    conditions = editor.statements[index].conditions
    if name == "remove":
        del editor.statements[index]
    elif name == "add_ip":
        conditions.append(Condition(key="qcs:ip"))
    elif name == "add_condition":
        conditions.append(Condition(operator="string_equal"))
    elif name == "remove_condition" and len(numbers) == 2 and 0 < numbers[1] <= len(conditions):
        del conditions[numbers[1] - 1]


def _statements(form: Any) -> list[Statement]:
    found: list[Statement] = []
    while (name := f"s{len(found)}") and f"{name}-effect" in form:
        service = form.get(f"{name}-service", "")
        ticked = [action.partition(":") for action in form.getlist(f"{name}-action")]
        found.append(
            Statement(
                effect="allow" if form[f"{name}-effect"] == "allow" else "deny",
                service=service if service == "*" or service in catalogue.services() else "",
                every_action=form.get(f"{name}-actions") == "all",
                chosen=[action for of, _colon, action in ticked if of == service],
                typed=_lines(form.get(f"{name}-typed")),
                every_resource=form.get(f"{name}-resources") != "some",
                resources=_lines(form.get(f"{name}-listed")),
                conditions=_conditions(form, name),
            )
        )
    return found


def _conditions(form: Any, statement: str) -> list[Condition]:
    found: list[Condition] = []
    while (name := f"{statement}-c{len(found)}") and f"{name}-operator" in form:
        prefix = form.get(f"{name}-prefix", "")
        found.append(
            Condition(
                prefix=prefix if prefix in PREFIXES else "",
                operator=form[f"{name}-operator"],
                if_exist=f"{name}-if_exist" in form,
                key=form.get(f"{name}-key", "").strip(),
                values=_lines(form.get(f"{name}-values")),
            )
        )
    return found


def _lines(text: Any) -> list[str]:
    return [line.strip() for line in (text or "").splitlines() if line.strip()]


def _same(document: str, statements: list[Statement]) -> str:
    """The document when the fields say nothing else, otherwise nothing."""
    try:
        return document if [_said(one) for one in read(document)] == [_said(one) for one in statements] else ""
    except NotShown:
        return ""


def _said(statement: Statement) -> Any:
    conditions = defaultdict(list)
    for one in statement.conditions:
        if not one.is_blank:
            conditions[one.name, one.key].append(one.values)
    resources = ["*"] if statement.every_resource else statement.resources
    return statement.effect, set(statement.actions), resources, dict(conditions)


def _repeats(condition: Condition) -> str:
    return f"holds {condition.name} of {condition.key} twice; put all values into one"
