"""What is stored of a domain and how a run may differ from it: the contract of every driver."""

from __future__ import annotations

import pytest

from tests.hypervisor.rigs import Rig, running
from tests.hypervisor.test_contract import contract, host, rig  # noqa: F401  (fixtures)
from tests.support.waiting import wait_until
from vms.domain.configuration import MIB, BootDevice, Part, pending
from vms.domain.observation import DomainState
from vms.domain.run_options import RunOptions
from vms.hypervisor.base import Capability, ConfigurationRejected, HypervisorError

BEFORE, AFTER = 128 * MIB, 160 * MIB


@contract()
def test_a_domain_that_is_down_is_configured_at_once(rig: Rig) -> None:  # noqa: F811
    domain = rig.define("acpi")
    rig.hypervisor.configure(
        domain, {Part.MEMORY: AFTER, Part.VCPUS: 2, Part.BOOT: (BootDevice.NETWORK, BootDevice.DISK)}
    )
    found = rig.hypervisor.observe(domain)
    assert found.running is None
    assert (found.stored.memory, found.stored.vcpus, found.stored.boot) == (AFTER, 2, ("network", "hd"))
    assert (found.memory, found.vcpus) == (AFTER, 2)


@contract()
@pytest.mark.behaviour(11)
def test_a_domain_that_runs_is_configured_for_its_next_run(rig: Rig) -> None:  # noqa: F811
    domain = running(rig, "acpi")
    found = rig.hypervisor.observe(domain)
    assert pending(found.running, found.stored) == ()
    for _twice in range(2):
        rig.hypervisor.configure(domain, {Part.MEMORY: AFTER, Part.VCPUS: 2})
    found = rig.hypervisor.observe(domain)
    assert {(change.part, change.now, change.next) for change in pending(found.running, found.stored)} == {
        (Part.MEMORY, BEFORE, AFTER),
        (Part.VCPUS, 1, 2),
    }
    rig.hypervisor.destroy(domain, None)
    rig.hypervisor.start(domain)
    found = rig.hypervisor.observe(domain)
    assert (found.memory, pending(found.running, found.stored)) == (AFTER, ())


@contract()
def test_a_description_needs_no_new_run(rig: Rig) -> None:  # noqa: F811
    domain = running(rig, "acpi")
    rig.hypervisor.configure(domain, {Part.DESCRIPTION: "Said otherwise"})
    found = rig.hypervisor.observe(domain)
    assert found.description == "Said otherwise"
    assert pending(found.running, found.stored) == ()


@contract()
@pytest.mark.behaviour(11)
def test_changes_are_taken_back_one_by_one(rig: Rig) -> None:  # noqa: F811
    domain = running(rig, "acpi")
    rig.hypervisor.configure(domain, {Part.MEMORY: AFTER, Part.VCPUS: 2, Part.BOOT: (BootDevice.NETWORK,)})
    rig.hypervisor.configure(domain, {}, [Part.MEMORY])
    found = rig.hypervisor.observe(domain)
    assert [change.part for change in pending(found.running, found.stored)] == [Part.VCPUS, Part.BOOT]
    rig.hypervisor.configure(domain, {}, [Part.VCPUS, Part.BOOT])
    found = rig.hypervisor.observe(domain)
    assert pending(found.running, found.stored) == ()


@contract(lacks=Capability.AGENT)
def test_an_image_without_a_drive_is_rejected_by_libvirts_definition(rig: Rig) -> None:  # noqa: F811
    domain = rig.define("acpi")
    with pytest.raises(ConfigurationRejected, match="no CD drive"):
        rig.hypervisor.configure(domain, {Part.CD_IMAGE: "/image.iso"})


@contract()
@pytest.mark.behaviour(13)
def test_a_run_once_leaves_what_is_stored_alone(rig: Rig) -> None:  # noqa: F811
    domain = rig.define("acpi")
    stored = rig.hypervisor.observe(domain).stored
    rig.hypervisor.start(domain, RunOptions(memory=AFTER, vcpus=2))
    found = rig.hypervisor.observe(domain)
    assert (found.memory, found.vcpus, found.seen.run_once, found.seen.stateless) == (AFTER, 2, True, False)
    assert found.seen.persistent
    assert found.stored == found.running == stored
    assert found in rig.hypervisor.domains()
    rig.hypervisor.prepare(domain, "token", end_on_reset=False)
    assert rig.hypervisor.observe(domain).seen.run_once
    rig.hypervisor.start(domain, RunOptions(memory=BEFORE))
    assert rig.hypervisor.observe(domain).memory == AFTER, "it runs already"
    rig.hypervisor.destroy(domain, None)
    assert not rig.hypervisor.observe(domain).seen.run_once
    rig.hypervisor.start(domain)
    found = rig.hypervisor.observe(domain)
    assert (found.memory, found.seen.run_once) == (BEFORE, False)


@contract()
@pytest.mark.behaviour(11, 13)
def test_changes_made_during_a_run_once_wait(rig: Rig) -> None:  # noqa: F811
    domain = rig.define("acpi")
    rig.hypervisor.start(domain, RunOptions(memory=AFTER))
    rig.hypervisor.configure(domain, {Part.VCPUS: 2})
    found = rig.hypervisor.observe(domain)
    assert [(change.part, change.now, change.next) for change in pending(found.running, found.stored)] == [
        (Part.VCPUS, 1, 2)
    ]
    rig.hypervisor.configure(domain, {}, [Part.VCPUS])
    assert rig.hypervisor.observe(domain).stored.vcpus == 1


@contract(Capability.AGENT)
def test_a_run_may_start_paused(rig: Rig) -> None:  # noqa: F811
    domain = rig.define("acpi")
    rig.hypervisor.start(domain, RunOptions(paused=True))
    assert rig.hypervisor.observe(domain).seen.state is DomainState.PAUSED


@contract(Capability.SAVE | Capability.AGENT)
def test_saved_memory_is_not_passed_over(rig: Rig) -> None:  # noqa: F811
    domain = running(rig, "acpi")
    rig.hypervisor.save(domain)
    wait_until(lambda: rig.hypervisor.observe(domain).seen.managed_save, "its memory is saved", 60)
    with pytest.raises(HypervisorError, match="saved memory"):
        rig.hypervisor.start(domain, RunOptions(vcpus=2))
    assert rig.hypervisor.observe(domain).seen.managed_save
