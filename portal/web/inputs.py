"""What no request of a person or an IdP holds, and no database takes: NUL characters and numbers beyond 64 bits."""

from __future__ import annotations

from flask import Flask, abort, request

_LARGEST = 2**63 - 1


def setup_inputs(app: Flask) -> None:
    @app.before_request
    def check() -> None:
        given = [
            *(request.view_args or {}).values(),
            *(value for key in request.args for value in request.args.getlist(key)),
        ]
        if request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data"):
            given += [value for key in request.form for value in request.form.getlist(key)]
        for value in given:
            if isinstance(value, str) and "\0" in value:
                abort(400)
            if isinstance(value, int) and value > _LARGEST:
                abort(404)
