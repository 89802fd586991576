"""Structured logs with a request id, one line per request, and the Prometheus metrics."""

from __future__ import annotations

import logging
import os
import secrets
import sys
import time
from typing import Any

import structlog
from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client import REGISTRY as PROCESS_REGISTRY
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from portal.settings import Settings

log = structlog.get_logger()

REQUESTS = Counter("portal_http_requests_total", "Requests answered", ["endpoint", "method", "status"])
SIGN_INS_REFUSED = Counter("portal_sign_ins_refused_total", "Sign-ins by SAML that were refused", ["door", "reason"])
SCIM_HELD_BACK = Counter("portal_scim_held_back_total", "Deletions and deactivations by SCIM that the guard held back")
DURATION = Histogram("portal_http_request_seconds", "Time to answer a request", ["endpoint"])

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def setup_logging(settings: Settings) -> None:
    """JSON lines (or readable text) on standard error, ours and the libraries'."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(  # ours go straight out: a line per request, and not the way through the library's handlers
        processors=[*shared, renderer],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.log_level)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=renderer))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)


def setup_observing(app: Flask) -> None:
    @app.before_request
    def begin() -> None:
        g.request_id = secrets.token_hex(8)
        g.started = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)

    @app.after_request
    def end(response: Response) -> Response:
        asked, status = request._get_current_object(), response.status_code  # type: ignore[attr-defined]
        endpoint = asked.endpoint or "none"
        seconds = time.perf_counter() - g.started
        response.headers.add("X-Request-Id", g.request_id)
        method = asked.method if asked.method in _METHODS else "other"  # a label per word somebody made up
        REQUESTS.labels(endpoint, method, status).inc()
        DURATION.labels(endpoint).observe(seconds)
        if endpoint not in ("static", "bootstrap.static", "operations.healthz", "operations.readyz"):
            log.info(
                "request",
                method=asked.method,
                path=asked.path,
                status=status,
                ms=round(seconds * 1000, 1),
                address=asked.remote_addr,
            )
        return response


def metrics(now: list[Metric]) -> Response:
    """All processes of `portal serve` together where PROMETHEUS_MULTIPROC_DIR is set (serve sets it).

    `now` is what is so in the whole installation at this moment, whichever process is asked.
    """
    registry = PROCESS_REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    gauges = CollectorRegistry()
    gauges.register(_Given(now))
    return Response(generate_latest(registry) + generate_latest(gauges), content_type=CONTENT_TYPE_LATEST)


class _Given(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families
