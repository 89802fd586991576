"""How many requests SCIM takes: 429 with Retry-After per credential, and for refused credentials per address."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from flask import Flask
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import select

from portal import create_app
from portal.core import clock
from portal.core.audit import AuditEvent, Result
from portal.core.database import Database
from portal.core.push.models import ScimRequest
from portal.core.space.models import Space
from portal.settings import Settings
from tests.support.make import Make
from tests.support.need import need
from tests.support.processes import free_port
from tests.support.scim import ScimClient, make_secret
from tests.support.statements import statements

REDIS = os.environ.get("PORTAL_TEST_REDIS", "redis://127.0.0.1:6379/9")
WRONG = {"Authorization": "Bearer wrong"}

Serve = Callable[..., Flask]


@pytest.fixture
def space(make: Make) -> Space:
    return make.space("acme", scim_enabled=True)


@pytest.fixture
def serve(settings: Settings, database: Database) -> Serve:
    """A process of the portal with these settings."""

    def serve(**given: object) -> Flask:
        app = create_app(settings.model_copy(update=given), database)
        app.testing = True
        app.config["PROPAGATE_EXCEPTIONS"] = False
        return app

    yield serve  # type: ignore[misc]
    database.dispatch = None


@pytest.fixture
def redis() -> Iterator[str]:
    client = Redis.from_url(REDIS)
    try:
        client.ping()
    except RedisError:
        need(False, "Redis")
    forget(client)
    yield REDIS
    forget(client)
    client.close()


def forget(client: Redis) -> None:
    for key in client.scan_iter("LIMITS*portal-scim*"):
        client.delete(key)


def lines(app: Flask) -> list[ScimRequest]:
    app.extensions["scim_log"].flush()
    with app.extensions["database"].transaction(write=False) as session:
        return list(session.scalars(select(ScimRequest).order_by(ScimRequest.id)))


def test_beyond_the_setting_a_credential_is_told_when_to_come_again(serve: Serve, make: Make, space: Space) -> None:
    app = serve(scim_requests_per_minute=3)
    scim, other = ScimClient(app, make_secret(make, space)), ScimClient(app, make_secret(make, space))
    scim.user("ann")
    scim.get("/Users")
    scim.get("/Nothing", status=404)
    scim.get("/Users")
    refused = scim.post("/Users", {"userName": "bob"}, status=429)
    assert refused["status"] == "429"
    assert "scim_requests_per_minute" in refused["detail"]
    assert 1 <= int(scim.response.headers["Retry-After"]) <= 60
    assert other.get("/Users")["totalResults"] == 1
    with clock.shifted(timedelta(seconds=61)):
        assert scim.get("/Users")["totalResults"] == 1


def test_what_is_too_much_does_no_work_and_is_logged_a_few_times_only(
    serve: Serve, make: Make, space: Space, database: Database
) -> None:
    app = serve(scim_requests_per_minute=1)
    scim = ScimClient(app, make_secret(make, space))
    scim.get("/Users")
    for number in range(8):
        scim.post("/Users", {"userName": f"user{number}"}, status=429)
    assert [line.status for line in lines(app)].count(429) == 5
    with statements(database) as seen:
        scim.post("/Users", {"userName": "ann"}, status=429)
    assert len(seen) == 1  # whose credential it is
    with database.transaction(write=False) as session:
        assert not session.scalars(select(AuditEvent).where(AuditEvent.result == Result.REFUSED)).all()


def test_no_setting_no_limit(serve: Serve, make: Make, space: Space) -> None:
    scim = ScimClient(serve(scim_requests_per_minute=0, scim_failures_per_minute=0), make_secret(make, space))
    for _ in range(30):
        scim.get("/Users?count=0")
        scim.get("/Users", status=401, headers=WRONG)


def test_refused_credentials_are_counted_by_address_and_right_ones_are_never_held_up(
    serve: Serve, make: Make, space: Space
) -> None:
    app = serve(scim_failures_per_minute=2)
    scim = ScimClient(app, make_secret(make, space))
    for header in (WRONG, {"Authorization": ""}):
        scim.get("/Users", status=401, headers=header)
        assert scim.response.headers["WWW-Authenticate"].startswith('Bearer realm="SCIM"')
        assert "Retry-After" not in scim.response.headers
    scim.get("/Users", status=429, headers=WRONG)
    assert 1 <= int(scim.response.headers["Retry-After"]) <= 60
    scim.get("/Users")
    elsewhere = app.test_client().get("/scim/v2/Users", environ_overrides={"REMOTE_ADDR": "192.0.2.1"})
    assert elsewhere.status_code == 401
    with clock.shifted(timedelta(seconds=61)):
        scim.get("/Users", status=401, headers=WRONG)


def test_alone_each_process_counts_and_with_redis_all_count_together(
    serve: Serve, make: Make, space: Space, redis: str
) -> None:
    secret = make_secret(make, space)
    first, second = (ScimClient(serve(scim_requests_per_minute=2), secret) for _ in range(2))
    for scim in (first, second):
        scim.get("/Users")
        scim.get("/Users")
        scim.get("/Users", status=429)
    first, second = (ScimClient(serve(scim_requests_per_minute=2, broker_url=redis), secret) for _ in range(2))
    first.get("/Users")
    second.get("/Users")
    first.get("/Users", status=429)
    second.get("/Users", status=429)
    assert 1 <= int(second.response.headers["Retry-After"]) <= 60


def test_a_redis_that_is_away_holds_nobody_up(
    serve: Serve, make: Make, space: Space, capsys: pytest.CaptureFixture[str]
) -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    scim = ScimClient(serve(scim_requests_per_minute=3, broker_url=away), make_secret(make, space))
    for _ in range(3):
        scim.get("/Users")
    assert capsys.readouterr().out.count("scim.throttle_alone") == 1
    scim.get("/Users", status=429)
    with clock.shifted(timedelta(seconds=61)):
        scim.get("/Users")
    assert capsys.readouterr().out.count("scim.throttle_alone") == 1


def test_strangers_addresses_do_not_fill_the_memory(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scim.throttle._MOST_KEYS", 10)
    throttle = serve().extensions["scim_throttle"]
    for number in range(100):
        throttle.wait(5, "failures", f"192.0.2.{number}")
    assert throttle._alone.storage.reset() <= 10
