"""Errors of the domain: a person's request that cannot be carried out as asked."""

from __future__ import annotations


class PolicyError(ValueError):
    """A power-down policy, an override of it, or another of the portal's defaults is not valid.

    Attributes:
        field: Which setting is wrong: `graceful_delay`, `force` or `bulk_in_flight`.
        code: Why, as a stable word; the sentence for people is made from it in `vms.labels`.
    """

    def __init__(self, field: str, code: str) -> None:
        super().__init__(f"{field}: {code}")
        self.field = field
        self.code = code


class HostUriError(ValueError):
    """A connection URI is not one that a host may have.

    Attributes:
        code: Why, as a stable word; the sentence for people is made from it in `vms.labels`.
        detail: The part of the URI it is about, where there is one.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


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
