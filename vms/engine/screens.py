"""The authority on which pictures of screens are kept: real ones, of a bounded size."""

from __future__ import annotations

from dataclasses import dataclass

from vms.hypervisor import png
from vms.hypervisor.base import HypervisorError
from vms.models import SCREEN_LIMIT


@dataclass(frozen=True, slots=True)
class Picture:
    """A screen as PNG, measured in pixels."""

    png: bytes
    width: int
    height: int


def checked(data: bytes) -> Picture:
    """Return what a hypervisor sent as a picture that may be kept.

    Raises:
        HypervisorError: It is no PNG, or too large.
    """
    if len(data) > SCREEN_LIMIT:
        raise HypervisorError(f"the picture has {len(data)} bytes, more than the {SCREEN_LIMIT} that are kept")
    try:
        width, height = png.measure(data)
    except ValueError as error:
        raise HypervisorError(f"the host sent a broken picture: {error}") from error
    return Picture(data, width, height)
