"""Filling in a form of the portal's as a browser does: everything that it shows is sent, and what is typed over it."""

from __future__ import annotations

from typing import Any

from lxml import html


def fill(response: Any, **typed: str | bool) -> dict[str, list[str]]:
    """Return what a browser sends of the form in an answer of Django's test client; see `fill_page`."""
    return fill_page(response.content, **typed)


def fill_page(content: str | bytes, **typed: str | bool) -> dict[str, list[str]]:
    """Return what a browser sends of the form in a page.

    Args:
        typed: The new value of each control that is touched; True and False tick and untick a box.
    """
    page: Any = html.fromstring(content)
    (form,) = (form for form in page.forms if form.get("hx-post"))
    for name, value in typed.items():
        control = form.inputs[name]
        if isinstance(value, bool):
            control.checked = value
        else:
            control.value = value
    sent: dict[str, list[str]] = {}
    for name, value in form.form_values():
        sent.setdefault(name, []).append(value)
    return sent
