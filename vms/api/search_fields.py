"""The fields that searches may name, resource by resource. Source: REST contract, 9.

What this portal has only one of, or none, is a field all the same: clients ask for it with the rest.
"""

from __future__ import annotations

import re
from typing import Any

from django.db.models import Q
from django.db.models.functions import Now

from vms import queries
from vms.api.resources.vm import STATUSES
from vms.api.search_kinds import AnyOf, Fact, Id, Moment, Same, Text, Whole, Word, words_of
from vms.api.searching import Columns, Texts
from vms.models import Event, Host, VirtualMachine

#: The one cluster, and the one data center.
CLUSTER, DATA_CENTER = "Default", "Default"
_UNSET = Same()
#: An alert of another program is an error with a code of its own, oVirt's for alerts.
_ALERT = Q(code=9804)
_SEVERITIES = words_of("severity", Event.Severity.values)
_SEVERITIES |= {"error": Q(severity=Event.Severity.ERROR) & ~_ALERT, "alert": _ALERT}
#: Of hosts: nobody watches it any more, so that it is as good as away.
_UNHEARD = Q(watched_until__lt=Now())


def _user_name(written: str) -> str:
    """Return a user's name without the domain and the directory that clients write behind it."""
    return re.sub(r"@internal(-authz)?$", "", written, flags=re.IGNORECASE)


VMS = Columns(
    {
        "name": Text("name"),
        "status": Word(words_of("status", STATUSES), by="status"),
        "id": Id("pk"),
        "description": Text("description"),
        "comment": Same(""),
        "cluster": Same(CLUSTER),
        "datacenter": Same(DATA_CENTER),
        "host": Text("host__name"),
        "tag": AnyOf("tags__name", rows=VirtualMachine.objects),
        "fqdn": _UNSET,
        "os": Same("other_linux"),
        "type": Same("server"),
        "next_run_config_exists": Fact(queries.PENDING, by="pending_count"),
        "created_by_user_id": _UNSET,
    }
)

HOSTS = Columns(
    {
        "name": Text("name"),
        "status": Word(
            {
                "up": Q(state=Host.State.CONNECTED) & ~_UNHEARD,
                "connecting": Q(state=Host.State.NEW),
                "non_responsive": Q(state=Host.State.UNREACHABLE) | (Q(state=Host.State.CONNECTED) & _UNHEARD),
            },
            by="state",
        ),
        "cluster": Same(CLUSTER),
        "datacenter": Same(DATA_CENTER),
        "address": Text("hostname"),
        "tag": _UNSET,
    }
)

EVENTS = Columns(
    {
        "severity": Word(_SEVERITIES),
        "type": Whole("code"),
        "message": Text("message"),
        "time": Moment("at"),
        "event_vm": Text("vm__name"),
        "vm.name": Text("vm__name"),
        "event_host": Text("host__name"),
        "usrname": Text("actor_name", means=_user_name),
        "correlation_id": Text("correlation_id"),
        "origin": Same("oVirt"),
        "custom_event_id": Whole("external__custom_id"),
    }
)

USERS = Columns(
    {
        "usrname": Text("username", means=_user_name),
        "name": Text("first_name"),
        "lastname": Text("last_name"),
        "email": Text("email"),
    }
)

#: What there is one of: the cluster, the data center, the template.
PLACES: Texts[Any] = Texts({"name": lambda it: [it.name], "datacenter": lambda it: [DATA_CENTER]})
