"""What a method of an address takes and gives, for the description.

A view says so where it is not what all resources have in common. Source: REST contract, 3, 5 and 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from vms.api.declare import Group, Kind, Reference, Resource, Scalar


def parameter(name: str, kind: Kind, doc: str, *, limits: tuple[int, int] | None = None) -> Scalar[None]:
    """Declare a parameter of an address."""
    return Scalar(name, kind, lambda it: None, doc, written=True, limits=limits)


@dataclass(frozen=True, slots=True)
class Listing:
    """Many of a resource."""

    of: Resource[Any]


Shape = Group[Any] | Resource[Any] | Listing


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a method takes and gives.

    Attributes:
        takes: Its body, where it has one; what is sent besides counts for nothing.
        gives: The body of its answer when all went well; None where it is empty.
        status: Of that answer.
        parameters: What it takes in its address.
    """

    takes: Group[Any] | Resource[Any] | None = None
    gives: Shape | None = None
    status: int = HTTPStatus.OK
    parameters: tuple[Scalar[None], ...] = ()


FAULT: Group[Any] = Group(
    "fault",
    (
        Scalar("reason", Kind.TEXT, lambda it: None, "A short one, for programs."),
        Scalar("detail", Kind.TEXT, lambda it: None, "A sentence for people."),
    ),
)
#: How an action is answered that was written down, and what is left of an object that is being removed.
ACCEPTED: Group[Any] = Group(
    "action",
    (
        Reference("job", "jobs", lambda it: None, "Tells how far it is, and what came of it."),
        Scalar("status", Kind.TEXT, lambda it: None, words=("complete",)),
    ),
)
REFUSED: Group[Any] = Group("action", (FAULT, Scalar("status", Kind.TEXT, lambda it: None, words=("failed",))))
