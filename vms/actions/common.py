"""What the actions share: who acts, how a refusal looks, how often a lost race is run again."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser, User

from vms.models import Operation

Actor = User | AnonymousUser

#: How often to try again when somebody else wrote meanwhile: the engine does so a few times a minute at most.
ATTEMPTS = 5


class Refused(Exception):
    """An action cannot be accepted now. The text is a sentence for people.

    Attributes:
        operation: The operation that is in the way, if one is.
    """

    def __init__(self, message: str, operation: Operation | None = None) -> None:
        super().__init__(message)
        self.operation = operation


class ReasonRequired(Refused):
    """A VM bears a tag that wants a reason, and none was given."""
