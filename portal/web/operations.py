"""For those who run it: alive, ready, metrics."""

from __future__ import annotations

from flask import Blueprint, Response, abort, jsonify, request
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from portal.core.access import queries
from portal.core.drift.queries import measured
from portal.migrations import head_revision
from portal.web import observing
from portal.web.permissions import Permission, requires
from portal.web.transactions import db

blueprint = Blueprint("operations", __name__)


@blueprint.get("/healthz")
@requires(Permission.PUBLIC)
def healthz() -> Response:
    """The process answers."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
@requires(Permission.PUBLIC)
def readyz() -> tuple[Response, int]:
    """The database answers and its schema is this version's."""
    found = db().scalar(text("SELECT version_num FROM alembic_version"))
    ready = found == head_revision()
    return jsonify(status="ok" if ready else "the database schema is not this version's"), 200 if ready else 503


@blueprint.get("/metrics")
@requires(Permission.PUBLIC)
def metrics() -> Response:
    """Only for a collector on this machine, and never through a proxy."""
    if request.remote_addr not in ("127.0.0.1", "::1") or "X-Forwarded-For" in request.headers:
        abort(404)
    return observing.metrics(_from_database())


def _from_database() -> list[Metric]:
    """Nothing while the database does not answer: the other metrics are wanted then most of all."""
    try:
        drift, tasks, waiting = measured(db()), queries.by_status(db()), queries.longest_wait(db())
    except SQLAlchemyError:
        return []
    counted = GaugeMetricFamily("portal_tasks", "Provisioning tasks by status", labels=["status"])
    for status, count in tasks:
        counted.add_metric([status], count)
    return [
        counted,
        GaugeMetricFamily(
            "portal_tasks_waiting_seconds",
            "How long the oldest task waits that may run now",
            value=waiting.total_seconds(),
        ),
        GaugeMetricFamily(
            "portal_drift_accounts", "Accounts that differ from what was deployed", value=drift.differing
        ),
        GaugeMetricFamily("portal_drift_differences", "Differences in all accounts", value=drift.differences),
        GaugeMetricFamily(
            "portal_drift_unreached_accounts", "Accounts whose last check came to nothing", value=drift.problems
        ),
    ]
