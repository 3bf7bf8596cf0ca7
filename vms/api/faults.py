"""What goes wrong in a request, in oVirt's words: `<fault><reason>…</reason><detail>…</detail></fault>`.

Every answer under /ovirt-engine is in the form that was asked for, never HTML: clients decide by its type what kind of
error they tell. Source: REST contract, 6.
"""

from __future__ import annotations

from http import HTTPStatus

#: The reasons that oVirt gives.
OPERATION_FAILED = "Operation Failed"
INCOMPLETE = "Incomplete parameters"
INVALID = "Invalid value"


class Fault(Exception):
    """A request that is answered by a fault.

    Attributes:
        detail: A sentence for people, in brackets where it is about what was asked for.
        reason: A short one for programs.
        job: Id of the operation that is in the way, if one is.
    """

    status = HTTPStatus.BAD_REQUEST
    reason = OPERATION_FAILED
    job: object | None = None

    def __init__(self, detail: str = "", *, reason: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if reason is not None:
            self.reason = reason


class Invalid(Fault):
    """A value cannot be what was sent."""

    reason = INVALID


class Incomplete(Fault):
    """Something is missing."""

    reason = INCOMPLETE


class NotFound(Fault):
    """There is no such object, as far as this person may see."""

    status = HTTPStatus.NOT_FOUND
    reason = "Not Found"


class Forbidden(Fault):
    """Visible, but not to be done by this person."""

    status = HTTPStatus.FORBIDDEN

    def __init__(self, detail: str = "User is not authorized to perform this action.") -> None:
        super().__init__(f"[{detail}]")


class Conflict(Fault):
    """Not to be done now: wrong status, another operation in the way, a name that is taken."""

    status = HTTPStatus.CONFLICT

    def __init__(self, detail: str, *, job: object | None = None) -> None:
        super().__init__(f"[{detail}]" if job is None else f"[{detail} Job {job}.]")
        self.job = job


class TooLarge(Fault):
    """A body that no request needs."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
