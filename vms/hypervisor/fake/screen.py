"""What a simulated guest shows on its screen: plain stripes, whose colours follow from its name and state."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from vms.domain.observation import DomainState
from vms.hypervisor import png
from vms.hypervisor.base import HypervisorError

WIDTH, HEIGHT, STRIPE = 320, 200, 20


def picture(seen: dict[str, Any]) -> str:
    """Return the screen of a running domain as PNG, in base64."""
    if seen["state"] == DomainState.DOWN:
        raise HypervisorError("Requested operation is not valid: domain is not running")
    digest = hashlib.sha256(f"{seen['name']} {seen['state']}".encode()).digest()
    rows = (digest[stripe * 3 : stripe * 3 + 3] * WIDTH * STRIPE for stripe in range(HEIGHT // STRIPE))
    return base64.b64encode(png.write(WIDTH, HEIGHT, b"".join(rows))).decode()
