"""Where clients begin: what there is, and whom they speak as. Source: REST contract, 4.4."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from vms import api_queries
from vms.api.declare import BASE, Group, Kind, Reference, Scalar, Tree
from vms.api.endpoint import Endpoint
from vms.api.forms import Document
from vms.api.ids import Row, id_of
from vms.api_queries import Summary

COLLECTIONS = (
    "clusters",
    "datacenters",
    "events",
    "groups",
    "hosts",
    "jobs",
    "permissions",
    "roles",
    "tags",
    "templates",
    "users",
    "vms",
)
SEARCHED = ("clusters", "events", "hosts", "templates", "users", "vms")


@dataclass(frozen=True, slots=True)
class Root:
    """What there is, for one person."""

    person: User
    now: datetime
    summary: Summary


def _count(name: str, active: str, total: str) -> Group[Summary]:
    return Group(
        name,
        (
            Scalar("active", Kind.WHOLE, lambda summary: getattr(summary, active)),
            Scalar("total", Kind.WHOLE, lambda summary: getattr(summary, total)),
        ),
    )


#: Clients compare the numbers: those of the oVirt that the API speaks like, and not the portal's own.
_VERSION: Group[Root] = Group(
    "version",
    (
        Scalar("major", Kind.WHOLE, lambda it: 4),
        Scalar("minor", Kind.WHOLE, lambda it: 5),
        Scalar("build", Kind.WHOLE, lambda it: 0),
        Scalar("revision", Kind.WHOLE, lambda it: 0),
        Scalar("full_version", Kind.TEXT, lambda it: "4.5.0-0"),
    ),
)

ROOT: Group[Root] = Group(
    "api",
    (
        Group(
            "product_info",
            (
                Scalar("name", Kind.TEXT, lambda it: "VM Portal"),
                Scalar("vendor", Kind.TEXT, lambda it: "VM Portal"),
                _VERSION,
            ),
        ),
        Group(
            "summary",
            (
                _count("vms", "active_vms", "vms"),
                _count("hosts", "active_hosts", "hosts"),
                _count("users", "users", "users"),
                Group(
                    "storage_domains",
                    (Scalar("active", Kind.WHOLE, lambda it: 0), Scalar("total", Kind.WHOLE, lambda it: 0)),
                ),
            ),
            of=lambda it: it.summary,
        ),
        Scalar("time", Kind.MOMENT, lambda it: it.now),
        Reference("authenticated_user", "users", lambda it: id_of(Row.USER, it.person.pk)),
        Reference("effective_user", "users", lambda it: id_of(Row.USER, it.person.pk)),
    ),
)


def _links() -> list[Tree]:
    plain = [{"href": f"{BASE}/{name}", "rel": name} for name in COLLECTIONS]
    # Clients put what they look for in the place of {query}.
    searched = [{"href": f"{BASE}/{name}?search={{query}}", "rel": f"{name}/search"} for name in SEARCHED]
    return plain + searched


class ApiRoot(Endpoint):
    """The API itself."""

    def get(self, request: Request) -> Response:
        """Say what there is."""
        root = Root(cast("User", request.user), timezone.now(), api_queries.summary(request.user))
        tree = {"link": _links()} | (ROOT.value(root) or {})
        return Response(Document("api", tree))
