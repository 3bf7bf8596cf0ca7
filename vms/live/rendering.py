"""What a changed VM or operation looks like on the list's page, for one kind of viewer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from uuid import UUID

from django.template.loader import render_to_string
from django.utils import translation

from vms import queries
from vms.engine.changes import OPERATIONS
from vms.live.viewers import Viewer
from vms.templatetags.rows import drawn

#: Templates are laid out for those who read them; that is a third of a row, which goes to everybody.
_LAYOUT = re.compile(r"\s*\n\s*")


def render(vms: Iterable[UUID], topics: set[str], viewer: Viewer) -> dict[str, str]:
    """Return the parts of the list's page that have changed, by their elements' ids: each as JSON of its HTML.

    Args:
        vms: Those that have changed; what is listed no more, or hidden from the viewer, is left out.
    """
    with translation.override(viewer.language):
        parts = {f"vm_row_{row.vm.pk}": drawn(row, viewer.user) for row in queries.vm_rows(viewer.user, vms)}
        if OPERATIONS in topics:
            context = {"strip": queries.strip(viewer.user), "user": viewer.user}
            parts["operation_strip"] = render_to_string("operations/fragments/operation_strip.html", context)
    return {element: json.dumps(_LAYOUT.sub("\n", html).strip()) for element, html in parts.items()}
