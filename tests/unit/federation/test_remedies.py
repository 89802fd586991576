"""Every check and every reason has its question and its remedy, and the remedy fits the fault."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import saml.errors
from portal.core.federation import remedies
from portal.core.federation.attempts import CheckRow
from portal.core.federation.remedies import QUESTIONS, REMEDIES, faults
from saml.judging import CHECKS

ROOT = Path(__file__).parents[3]
FAILED = "failed"
_REASONS = re.compile(r"^    ([a-z-]+(?:, [a-z-]+)*)  +\S", re.MULTILINE)


def told(*checks: tuple[str, str]) -> list[CheckRow]:
    return [CheckRow(code, verdict, "") for code, verdict in checks]


def reasons() -> set[str]:
    """Those of the saml package as its errors list them, and those that the portal adds."""
    of_protocol = {name for line in _REASONS.findall(saml.errors.SamlError.__doc__ or "") for name in line.split(", ")}
    sources = [*(ROOT / "portal/home").glob("*.py"), *(ROOT / "portal/core/federation").glob("*.py")]
    raised = {name for path in sources for name in re.findall(r'SignInRefused\(\s*"([a-z-]+)"', path.read_text())} | {
        name for path in sources for name in re.findall(r'Candidate\(\s*\S+ "([a-z-]+)"', path.read_text())
    }
    assert {"audience", "signature", "name-id"} <= of_protocol
    assert {"other-browser", "replayed", "unknown-user"} <= raised
    return of_protocol | raised


def test_every_check_has_a_question() -> None:
    assert {*CHECKS, "user"} - set(QUESTIONS) == set()


def test_every_reason_and_every_check_has_a_remedy() -> None:
    otherwise = remedies._OTHERWISE.text
    without = {reason for reason in reasons() if faults(reason, "", [])[0].remedy.text == otherwise}
    assert without == set()
    severals = remedies._FOR_SEVERAL_REASONS
    assert [code for code in QUESTIONS if code not in severals and code not in REMEDIES] == []


@pytest.mark.parametrize(
    ("reason", "checks", "expected"),
    [
        ("", [("audience", "passed")], []),
        ("audience", [("audience", FAILED)], ["audience"]),
        ("destination", [("destination", FAILED), ("audience", FAILED)], ["destination", "audience"]),
        ("assertions", [("shape", FAILED)], ["assertions"]),
        ("algorithm", [("signed", FAILED)], ["algorithm"]),
        ("unsigned", [("signed", FAILED)], ["unsigned"]),
        ("encrypted", [("decryption", FAILED)], ["encrypted"]),
        ("expired", [("not-on-or-after", FAILED)], ["not-on-or-after"]),
        ("session-over", [("session", FAILED)], ["session"]),
        ("session-over", [], ["session"]),
        ("time", [("not-before", FAILED)], ["time"]),
        ("disabled-user", [("user", FAILED)], ["disabled-user"]),
        ("expired", [], ["not-on-or-after"]),
        ("other-browser", [], ["other-browser"]),
    ],
)
def test_the_remedy_fits_the_fault(reason: str, checks: list[tuple[str, str]], expected: list[str]) -> None:
    found = faults(reason, "", told(*checks))
    assert [fault.remedy for fault in found] == [REMEDIES[name] for name in expected]
