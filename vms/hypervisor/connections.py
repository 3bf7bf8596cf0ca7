"""The connection cache."""

from vms.hypervisor.base import Hypervisor


def get(uri: str) -> Hypervisor:
    raise NotImplementedError


def forget(uri: str) -> None: ...
