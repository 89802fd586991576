"""Templates: Bootstrap served from its package, filters for times and numbers, the globals that pages share."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Flask, current_app, request
from flask_babel import Babel, ngettext
from flask_babel import gettext as _
from flask_bootstrap import Bootstrap5
from flask_login import current_user
from markupsafe import Markup, escape

from portal.core import clock
from portal.web.listing import url_with
from portal.web.permissions import Permission, permission_of

THEMES = ("light", "dark")


def setup_templates(app: Flask) -> None:
    app.config["BOOTSTRAP_SERVE_LOCAL"] = True
    Bootstrap5(app)
    Babel(app, locale_selector=lambda: request.accept_languages.best_match(["en"]) or "en")
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(when=when, duration=duration)
    app.jinja_env.globals.update(url_with=url_with, may=may, may_open=may_open, theme=theme, Permission=Permission)


def may(permission: Permission) -> bool:
    """Whether the signed-in person has a right: pages show only the actions that would be let through."""
    return bool(current_user and current_user.is_authenticated and current_user.may(permission))


def may_open(endpoint: str) -> bool:
    """The same for the page behind an entry of the navigation."""
    permission = permission_of(current_app, endpoint)
    return permission is not None and may(permission)


def theme() -> str:
    """The chosen theme from its cookie; "" leaves it to the browser's preference."""
    chosen = request.cookies.get("portal_theme", "")
    return chosen if chosen in THEMES else ""


def when(moment: datetime | None) -> Markup | str:
    """A moment, relative, with the exact time in the markup and on hover."""
    if moment is None:
        return "–"
    seconds = (clock.now() - moment).total_seconds()
    past, away = seconds >= 0, abs(seconds)
    steps = ((86400 * 365, "year"), (86400 * 30, "month"), (86400, "day"), (3600, "hour"), (60, "minute"))
    for size, unit in steps:
        if away >= size * 0.99:
            text = _amount(round(away / size), unit)
            relative = _("%(time)s ago", time=text) if past else _("in %(time)s", time=text)
            break
    else:
        relative = _("just now") if past else _("in a moment")
    exact = moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(moment.isoformat(), exact, relative)


def _amount(number: int, unit: str) -> str:
    forms: dict[str, Any] = {
        "year": ngettext("%(num)s year", "%(num)s years", number),
        "month": ngettext("%(num)s month", "%(num)s months", number),
        "day": ngettext("%(num)s day", "%(num)s days", number),
        "hour": ngettext("%(num)s hour", "%(num)s hours", number),
        "minute": ngettext("%(num)s minute", "%(num)s minutes", number),
    }
    return str(forms[unit])


def duration(seconds: int) -> Markup:
    """3600 -> 1 h, 5400 -> 1 h 30 min; the seconds on hover."""
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    text = " ".join(part for part in (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "") if part)
    return Markup('<span title="{} s">{}</span>').format(seconds, escape(text or f"{seconds} s"))
