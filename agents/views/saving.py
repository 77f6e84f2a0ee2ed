"""Saving a form, and what is said where somebody else was faster."""

from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model
from django.forms import BaseForm, ModelForm
from django.forms.utils import pretty_name
from django.http import QueryDict

from accounts.rules import Refused
from agents.services.errors import Conflict
from agents.services.facts import difference, facts, token


class Faster:
    """Somebody else changed (or, where `row` is None, deleted) what the form is about; nothing was saved.

    `differs` are (label of the field, what is stored now, what was typed).
    """

    def __init__(self, row: Model | None, form: ModelForm, typed: Mapping[str, Any]) -> None:
        self.row = row
        self.differs: list[tuple[Any, Any, Any]] = []
        if row is not None:
            kept = type(row)(**{field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields})
            for name, value in typed.items():
                setattr(kept, name, value)
            two = difference(facts(row), facts(kept))
            self.differs = [
                (form.fields[name].label if name in form.fields else pretty_name(name), value, two["after"].get(name))
                for name, value in two.get("before", {}).items()
            ]


def save(form: ModelForm, act: Callable[[], object], *, fresh: Callable[[], Model | None]) -> Faster | None:
    """Runs `act`. What is refused lands in the form; a conflict gives the form the token of what is stored now.

    So a second "save" overwrites knowingly, and nothing that was typed is lost.
    """
    try:
        act()
    except Conflict as conflict:
        row = fresh()
        typed: QueryDict = form.data.copy()  # type: ignore[attr-defined]
        typed["token"] = token(row) if row else ""
        form.data = typed
        form.add_error(None, str(conflict))
        return Faster(row, form, form.values())  # type: ignore[attr-defined]
    except Refused as why_not:
        form.add_error(None, str(why_not))
    except ValidationError as error:
        for name, errors in error.message_dict.items() if hasattr(error, "error_dict") else [("", error.messages)]:
            form.add_error(name if name in form.fields else None, errors)
    return None


def status_of(form: BaseForm | None, faster: Faster | None = None) -> int:
    """409 where somebody was faster, 422 for a form with errors, so that htmx and scripts can tell; else 200."""
    if faster:
        return 409
    return 422 if form is not None and form.is_bound and form.errors else 200
