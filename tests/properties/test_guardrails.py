"""SCP-4 as properties, and against a slow and obvious evaluator of levels."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from portal.core.cam.decision import AccessRequest
from portal.core.guardrails.access import decide_access
from portal.core.guardrails.levels import Level
from tests.properties.test_decision import Document, documents, named, obvious_verdict, requests, statements

FULL: Document = {"version": "2.0", "statement": [{"effect": "allow", "action": "*", "resource": "*"}]}
often_full = st.one_of(st.just([FULL]), st.builds(lambda more: [FULL, *more], documents), documents)
chains = st.lists(often_full, max_size=4)


def levels(chain: list[list[Document]]) -> list[Level]:
    return [
        Level("department" if number else "account", number, f"level {number}", tuple(named(contents)))
        for number, contents in enumerate(chain)
    ]


def verdict(chain: list[list[Document]], policies: list[Document], request: AccessRequest) -> str:
    return decide_access(levels(chain), named(policies), request).verdict


@given(chains, documents, requests)
def test_it_agrees_with_the_obvious_evaluator(chain: Any, policies: Any, request: AccessRequest) -> None:
    passed = all(obvious_verdict(contents, request) == "allow" for contents in chain)
    expected = obvious_verdict(policies, request) if passed else "explicit deny"
    assert verdict(chain, policies, request) == expected


@given(chains, documents, requests, st.integers(0, 3), statements)
def test_a_further_deny_never_widens(
    chain: Any, policies: Any, request: AccessRequest, at: int, statement: dict[str, Any]
) -> None:
    denies = {"version": "2.0", "statement": [{**statement, "effect": "deny"}]}
    narrower = [[*contents, denies] if number == at else contents for number, contents in enumerate(chain)]
    if verdict(narrower, policies, request) == "allow":
        assert verdict(chain, policies, request) == "allow"


@given(chains, documents, requests, st.randoms(use_true_random=False))
def test_the_order_of_policies_and_of_levels_does_not_change_who_gets_in(
    chain: Any, policies: Any, request: AccessRequest, random: Any
) -> None:
    before = verdict(chain, policies, request) == "allow"
    for contents in (*chain, policies, chain):
        random.shuffle(contents)
    assert (verdict(chain, policies, request) == "allow") == before


@given(chains, documents, requests)
def test_levels_only_narrow_what_cam_allows(chain: Any, policies: Any, request: AccessRequest) -> None:
    if verdict(chain, policies, request) == "allow":
        assert verdict([], policies, request) == "allow"


@given(chains, documents, requests)
def test_the_last_step_decided_and_all_before_it_allowed(chain: Any, policies: Any, request: AccessRequest) -> None:
    decision = decide_access(levels(chain), named(policies), request)
    assert decision.steps[-1].reason == decision.reason
    assert all(step.verdict == "allow" for step in decision.steps[:-1])
