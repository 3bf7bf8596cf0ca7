"""The only writer of what was seen of a VM, and of the status that follows from it.

Events of a hypervisor are hints; every function here is given a look at the domain itself.
"""

from vms.engine.sync.host_list import listing
from vms.engine.sync.hosts import connected, host_removed, unreachable
from vms.engine.sync.looks import (
    apply,
    bring_up_to_date,
    count_as_up,
    forget,
    gone,
    is_news,
    settle,
    settle_as_seen,
    still_so,
    write,
)
from vms.engine.sync.other_hands import guest_reset
from vms.engine.sync.rows import locked

__all__ = [
    "apply",
    "bring_up_to_date",
    "connected",
    "count_as_up",
    "forget",
    "gone",
    "guest_reset",
    "host_removed",
    "is_news",
    "listing",
    "locked",
    "settle",
    "settle_as_seen",
    "still_so",
    "unreachable",
    "write",
]
