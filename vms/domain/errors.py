"""Errors of the domain: a person's request that cannot be carried out as asked."""

from __future__ import annotations


class PolicyError(ValueError):
    """A power-down policy or an override of it is not valid.

    Attributes:
        field: Which setting is wrong: `graceful_delay` or `force`.
        code: Why, as a stable word; the sentence for people is made from it in `vms.labels`.
    """

    def __init__(self, field: str, code: str) -> None:
        super().__init__(f"{field}: {code}")
        self.field = field
        self.code = code


class ConfigurationError(ValueError):
    """A configuration, or a way to run a VM, is not valid.

    Attributes:
        part: Which part is wrong (`vms.domain.configuration.Part`).
        code: Why, as a stable word; the sentence for people is made from it in `vms.labels`.
    """

    def __init__(self, part: str, code: str) -> None:
        super().__init__(f"{part}: {code}")
        self.part = part
        self.code = code
