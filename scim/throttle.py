"""How many requests SCIM takes (RFC 6585 section 4): per credential, and refused credentials per address.

Counted per minute by `limits`: in Redis when that is the broker, so that all processes count together, otherwise each
process for itself. A Redis that is away holds nobody up: each process counts alone until it is asked again.
"""

from __future__ import annotations

import math
import threading
from datetime import datetime, timedelta
from typing import Any

import structlog
from flask import Flask, Response, after_this_request, current_app, request
from limits import RateLimitItemPerMinute
from limits.storage import Storage, storage_from_string
from limits.strategies import FixedWindowRateLimiter

from portal.core import clock
from portal.settings import Settings
from scim.errors import ScimError

log = structlog.get_logger()

_NAMESPACE = "portal-scim"
_MOST_KEYS = 50_000
_REDIS_REST = timedelta(seconds=10)


class _Memory(Storage):
    """Counts of this process by the portal's own clock; the library's keeps a timer thread, and reads another clock."""

    STORAGE_SCHEME = None
    base_exceptions = ()

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        now = clock.now().timestamp()
        with self._lock:
            count, until = self._counts.get(key, (0, 0.0))
            if until <= now:
                count, until = 0, now + expiry
                self._make_room(now)
            self._counts[key] = count + amount, until
            return count + amount

    def _make_room(self, now: float) -> None:
        """Strangers' addresses shall not fill the memory."""
        if len(self._counts) >= _MOST_KEYS:
            self._counts = {key: kept for key, kept in self._counts.items() if kept[1] > now}
        if len(self._counts) >= _MOST_KEYS:
            self._counts.clear()

    def get(self, key: str) -> int:
        count, until = self._counts.get(key, (0, 0.0))
        return count if until > clock.now().timestamp() else 0

    def get_expiry(self, key: str) -> float:
        return self._counts.get(key, (0, clock.now().timestamp()))[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        count = len(self._counts)
        self._counts.clear()
        return count

    def clear(self, key: str) -> None:
        self._counts.pop(key, None)


class Throttle:
    """`wait(...)`: how many seconds to wait when there have been `most` a minute already, 0 when there have not."""

    def __init__(self, settings: Settings) -> None:
        self._alone = FixedWindowRateLimiter(_Memory())
        self._shared: FixedWindowRateLimiter | None = None
        self._rests_until: datetime | None = None
        if settings.broker_url.startswith(("redis://", "rediss://")):
            seconds: dict[str, Any] = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}
            self._shared = FixedWindowRateLimiter(storage_from_string(settings.broker_url, **seconds))

    def wait(self, most: int, *what: str) -> int:
        item = RateLimitItemPerMinute(most, namespace=_NAMESPACE)
        if self._shared is not None and (self._rests_until is None or self._rests_until <= clock.now()):
            try:
                return _wait(self._shared, item, what)
            except self._shared.storage.base_exceptions as error:
                self._rests_until = clock.now() + _REDIS_REST
                log.warning("scim.throttle_alone", reason=str(error))
        return _wait(self._alone, item, what)

    def wait_here(self, most: int, *what: str) -> int:
        """The same for this process only."""
        return _wait(self._alone, RateLimitItemPerMinute(most, namespace=_NAMESPACE), what)


def _wait(limiter: FixedWindowRateLimiter, item: RateLimitItemPerMinute, what: tuple[str, ...]) -> int:
    if limiter.hit(item, *what):
        return 0
    return max(1, math.ceil(limiter.get_window_stats(item, *what).reset_time - clock.now().timestamp()))


def setup_throttle(app: Flask) -> None:
    app.extensions["scim_throttle"] = Throttle(app.extensions["settings"])


def throttle() -> Throttle:
    found: Throttle = current_app.extensions["scim_throttle"]
    return found


def check(credential_id: str) -> None:
    """Raises ScimError 429 when a credential has used up its requests of this minute."""
    most = current_app.extensions["settings"].scim_requests_per_minute
    if most and (seconds := throttle().wait(most, "credential", credential_id)):
        _say_when(seconds)
        raise ScimError(429, f"More than {most} requests in a minute (scim_requests_per_minute). Try again later.")


def refusal(message: str) -> ScimError:
    """401, or 429 when too many credentials from this address were refused in this minute."""
    most = current_app.extensions["settings"].scim_failures_per_minute
    if most and (seconds := throttle().wait(most, "failures", request.remote_addr or "")):
        _say_when(seconds)
        return ScimError(429, "Too many refused credentials from this address. Try again later.")
    return ScimError(401, message)


def _say_when(seconds: int) -> None:
    @after_this_request
    def add(response: Response) -> Response:
        response.headers["Retry-After"] = str(seconds)
        return response
