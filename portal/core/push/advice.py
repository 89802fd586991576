"""What an administrator can do about a push that failed (IC-7): from the answer that the IdP got to a sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass

from portal.core.push.remedies import RULES, Place


@dataclass(frozen=True)
class Advice:
    """`target_id`: whose page, when the place is one user or user group. `known`: a rule of ours fits the error."""

    text: str
    place: Place | None = None
    target_id: str = ""
    known: bool = True


_OTHERWISE = "The text of the error says what was wrong. Let the identity provider try again once it is put right."
_OBJECT = re.compile(r"\b[ug]-[a-z0-9]{12}\b")
_OPERATION = re.compile(r"^\d+ of \d+ operations failed\. .*?: (\d{3}) (.*)", re.DOTALL)


def advise(status: int, scim_type: str, detail: str, *, target_id: str = "") -> Advice:
    """`target_id`: what the request was about; an object that the detail names goes before it."""
    many = _OPERATION.match(detail)
    if many:
        first = advise(int(many[1]), scim_type, many[2], target_id=target_id)
        return Advice(f"For the first failed operation: {first.text}", first.place, first.target_id, first.known)
    rule = next((rule for rule in RULES if rule.fits(status, scim_type, detail)), None)
    if rule is None:
        return Advice(_OTHERWISE, known=False)
    named = _OBJECT.search(detail)
    found = named[0] if named else target_id if _OBJECT.fullmatch(target_id) else ""
    place, of_one = rule.place, rule.place == Place.USER
    if of_one:
        place = {"u": Place.USER, "g": Place.GROUP}.get(found[:1])
    return Advice(rule.text, place, found if of_one and place else "")
