"""The libvirt driver: the only place, with the demo guests, where libvirt is imported."""

from vms.hypervisor.libvirt_driver.driver import LibvirtHypervisor
from vms.hypervisor.libvirt_driver.loop import start_event_loop

__all__ = ["LibvirtHypervisor", "start_event_loop"]
