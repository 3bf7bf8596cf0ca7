"""A simulated host that ships: a daemon with guests of every temper, its driver, and the means to steer it.

Serve one with `python -m vms.hypervisor.fake`; connect the portal to it with `fake+unix:///path/to.sock`.
"""

from vms.hypervisor.fake.control import FakeControl
from vms.hypervisor.fake.driver import FakeHypervisor
from vms.hypervisor.fake.store import LogEntry
from vms.hypervisor.fake.temper import ACPI_ONLY, OBEDIENT, SLOW, STUBBORN, Agent, Reaction, Temper

__all__ = [
    "ACPI_ONLY",
    "OBEDIENT",
    "SLOW",
    "STUBBORN",
    "Agent",
    "FakeControl",
    "FakeHypervisor",
    "LogEntry",
    "Reaction",
    "Temper",
]
