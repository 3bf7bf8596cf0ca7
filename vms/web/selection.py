"""The VMs that a request is about: `?vm=ID`, as often as there are VMs."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.models import User
from django.core.exceptions import BadRequest
from django.http import QueryDict

from vms import queries
from vms.queries import VmRow

#: One request acts on at most this many VMs: each is a transaction of its own, and the person waits for all of them.
MOST = 500


def selected_ids(data: QueryDict) -> list[UUID]:
    """Return the ids that were sent, each once, in the order sent.

    Raises:
        BadRequest: One of them is no id, or there are too many.
    """
    try:
        ids = list(dict.fromkeys(UUID(value) for value in data.getlist("vm")))
    except ValueError:
        raise BadRequest("not the id of a virtual machine") from None
    if len(ids) > MOST:
        raise BadRequest(f"more than {MOST} virtual machines")
    return ids


def selected_rows(viewer: User, data: QueryDict) -> list[VmRow]:
    """Return the VMs that were sent, in the list's order.

    Raises:
        BadRequest: None was sent, one of them is no id, or one does not exist for this person.
    """
    ids = selected_ids(data)
    rows = queries.vm_rows(viewer, ids)
    if not ids or len(rows) != len(ids):
        raise BadRequest("no virtual machine, or one that does not exist")
    return rows
