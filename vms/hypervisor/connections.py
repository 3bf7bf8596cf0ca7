"""Placeholder until the drivers land."""

from vms.hypervisor.base import Hypervisor
from vms.hypervisor.fake import FakeHypervisor

_cache: dict[str, Hypervisor] = {}


def get(uri: str) -> Hypervisor:
    if uri not in _cache:
        _cache[uri] = FakeHypervisor(uri)
    return _cache[uri]


def forget(uri: str) -> None:
    old = _cache.pop(uri, None)
    if old:
        old.close()


def close_all() -> None:
    for uri in list(_cache):
        forget(uri)
