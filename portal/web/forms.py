"""Forms: a verb's refusal becomes an error at the field it names, or above the form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from flask import request
from flask_babel import gettext as _
from flask_login import current_user
from flask_wtf import FlaskForm

from portal.core.errors import Error, Invalid
from portal.web.transactions import refused

Result = TypeVar("Result")

MOST_VALUES = 10_000


class Form(FlaskForm):
    """`form.message` is shown above the form; field errors at the field and in a summary that links to it."""

    message: str = ""

    @property
    def status(self) -> int:
        """The status of a page that shows this form: 400 after a failed attempt, so that the request rolls back."""
        return 400 if self.errors or self.message else 200

    def has(self, chosen: Sequence[object]) -> bool:
        """For pages of checkboxes: whether anything is chosen; if not, the form says so."""
        if not chosen:
            self.message = _("Choose at least one.")
        return bool(chosen)

    def attempt(self, verb: Callable[[], Result]) -> Result | None:
        """Call `verb`; on a refusal keep its message in the form, audit the attempt and return None."""
        try:
            return verb()
        except Error as error:
            field = self._fields.get(error.field or "")
            if field is not None:
                field.errors = [*field.errors, error.message]
            else:
                self.message = error.message
            action = request.endpoint or request.path
            if current_user and current_user.is_authenticated:
                refused(current_user.actor, action, error.message)
            return None

    def attempt_each(self, rows: Iterable[Any], verb: Callable[[dict[str, Any]], Any]) -> bool:
        """Call `verb` with the data of each row; a refusal stands at the row's field. True when every row went well."""
        for row in rows:
            try:
                verb(row.data)
            except Error as error:
                self.message = error.message
                field = row.form._fields.get(error.field or "")
                if field is not None:
                    field.errors = [*field.errors, error.message]
                return False
        return True


def many(name: str) -> Sequence[str]:
    """The values of a repeated input (checkboxes), each once, in order. Invalid when there are too many of them."""
    values = list(dict.fromkeys(value for value in request.values.getlist(name) if value))
    if len(values) > MOST_VALUES:
        raise Invalid(_("Choose at most %(most)s at once.", most=MOST_VALUES), field=name)
    return values
