"""The arithmetic of the guard, whatever the numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portal.core.push import guard

percents = st.integers(1, 100)
users = st.integers(0, 1_000_000)


@given(percents, users)
def test_no_more_than_the_share_goes_but_always_a_few(percent: int, users: int) -> None:
    allowed = guard.allowed(percent, users)
    assert allowed >= guard.LEAST
    assert allowed == guard.LEAST or allowed * 100 <= users * percent < (allowed + 1) * 100


@given(percents, users, users)
def test_more_users_never_allow_fewer(percent: int, some: int, more: int) -> None:
    assert guard.allowed(percent, some) <= guard.allowed(percent, some + more)
    assert guard.allowed(percent, some) <= guard.allowed(100, some)
