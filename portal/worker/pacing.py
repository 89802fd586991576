"""Calls per second into one account, kept across workers and processes: only who holds the account calls into it.

The generic cell rate algorithm: a second's worth of calls at once, then one by one. The state is one moment, which is
in the account's row while nobody holds it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, cast

from portal.clouds import Connector
from portal.core import clock

_NONE = timedelta(0)
_SAME_TRUST = ("ensure_identity_provider", "ensure_role")


class Pace:
    """`per_second` 0: no limit. `next_call_at` is when the account takes its next call, None: at once."""

    def __init__(self, per_second: float, next_call_at: datetime | None) -> None:
        self.next_call_at = next_call_at if per_second else None
        self._interval = timedelta(seconds=1 / per_second) if per_second else _NONE
        self._at_once = max(1, int(per_second))

    def wait(self) -> timedelta:
        """Until the next call."""
        return max(_NONE, self.next_call_at - clock.now()) if self.next_call_at else _NONE

    def called(self) -> None:
        if self._interval:
            earliest = clock.now() - self._interval * (self._at_once - 1)
            self.next_call_at = max(self.next_call_at or earliest, earliest) + self._interval

    def rested_at(self) -> datetime | None:
        """When it is worth coming back: half of what may be called at once may be called again."""
        return self.next_call_at and self.next_call_at + self._interval * (self._at_once // 2)


class _Paced:
    """A connector of one visit that waits before each call.

    Of the identity provider that it has just brought it does not ask again: many roles in a row need it.
    """

    def __init__(self, connector: Connector, before: Callable[[], None]) -> None:
        self._connector, self._before = connector, before
        self._brought: dict[str, Any] | None = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._connector, name)

        def call(*args: Any, **named: Any) -> Any:
            if name == "ensure_identity_provider" and named == self._brought:
                return None
            if name not in _SAME_TRUST:
                self._brought = None
            self._before()
            answer = method(*args, **named)
            if name == "ensure_identity_provider":
                self._brought = named
            return answer

        return call


def paced(connector: Connector, pace: Pace, keep: Callable[[], None], *, nap: timedelta) -> Connector:
    """`keep` is called before each call and after each `nap` of a long wait, so that the account stays ours."""

    def before() -> None:
        while wait := pace.wait():
            time.sleep(min(wait, nap).total_seconds())
            keep()
        pace.called()

    return cast(Connector, _Paced(connector, before))
