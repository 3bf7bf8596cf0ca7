"""Ansible's collection ovirt.ovirt: what holds already is not changed by a second run. Source: REST contract, 5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.clients.conftest import Guest, Person
from tests.acceptance.clients.playbook import Ansible, Outcome, Task
from tests.support.fake import FakeDaemon
from vms.hypervisor.fake import STUBBORN, Temper
from vms.models import VirtualMachine

GIB = 1 << 30


@pytest.fixture
def ansible(tmp_path: Path, api: str) -> Ansible:
    """The administrator's Ansible."""
    return Ansible(tmp_path, api)


def vm(name: str, state: str, **options: Any) -> Task:
    """Write a task down that wants a VM in a state; it is called by that state."""
    return {"name": state, "ovirt.ovirt.ovirt_vm": {"name": name, "state": state, "poll_interval": 1, **options}}


def went_well(outcome: Outcome) -> Outcome:
    """Return what came of a playbook, none of whose tasks failed."""
    assert not outcome.failed, outcome.results
    return outcome


def runs(host: FakeDaemon, machine: VirtualMachine) -> int:
    """Return how often a VM was started, by the host's own log."""
    return len(host.control.log(str(machine.uuid), names=["start"], call=True, effect=True))


def test_a_vm_is_made_run_stopped_and_removed_and_each_holds_the_second_time(ansible: Ansible, guest: Guest) -> None:
    guest("neighbour", running=False)
    wanted = {"cluster": "Default", "template": "Blank", "memory": "1GiB", "description": "By a playbook."}
    for task in (
        vm("played", "present", **wanted),
        vm("played", "running"),
        vm("played", "stopped"),
        vm("played", "absent"),
    ):
        first = went_well(ansible.play([task]))
        assert first.changed == {task["name"]}, task
        second = went_well(ansible.play([task]))
        assert second.changed == set(), task
    assert not VirtualMachine.objects.filter(name="played").exclude(status="gone").exists()


def test_a_running_vm_is_run_and_stopped_by_one_playbook_however_often(ansible: Ansible, guest: Guest) -> None:
    machine = guest("toggled", Temper(slow=1.0))
    tasks = [vm("toggled", "stopped"), vm("toggled", "running")]
    for _ in range(2):
        assert went_well(ansible.play(tasks)).changed == {"stopped", "running"}
    machine.refresh_from_db()
    assert machine.status == "up"


@pytest.mark.behaviour(24)
def test_a_reboot_is_waited_for(ansible: Ansible, guest: Guest, fake_host: FakeDaemon) -> None:
    machine = guest("rebooted", Temper(slow=2.0, boot=1.0))
    rebooted = went_well(ansible.play([vm("rebooted", "reboot")]))
    assert rebooted.changed == {"reboot"}
    assert rebooted.results["reboot"]["vm"]["status"] == "up"
    # Not before the guest has gone down and come up again.
    assert runs(fake_host, machine) == 1
    machine.refresh_from_db()
    assert machine.status == "up"


def test_a_stubborn_vm_is_reset(ansible: Ansible, guest: Guest, fake_host: FakeDaemon) -> None:
    machine = guest("hung", STUBBORN)
    assert went_well(ansible.play([vm("hung", "reset")])).changed == {"reset"}
    assert runs(fake_host, machine) == 1


def test_a_stubborn_vm_is_stopped_by_force(ansible: Ansible, guest: Guest) -> None:
    machine = guest("forced", STUBBORN)
    assert went_well(ansible.play([vm("forced", "stopped", force=True)])).changed == {"stopped"}
    machine.refresh_from_db()
    assert machine.status == "down"


def test_a_vm_is_suspended_and_runs_on(ansible: Ansible, guest: Guest) -> None:
    machine = guest("dormant", Temper(save=1.0))
    assert went_well(ansible.play([vm("dormant", "suspended")])).changed == {"suspended"}
    machine.refresh_from_db()
    assert machine.status == "suspended"
    assert went_well(ansible.play([vm("dormant", "suspended")])).changed == set()
    assert went_well(ansible.play([vm("dormant", "running")])).changed == {"running"}


def test_what_waits_for_the_next_run_is_applied_by_one_reboot(
    ansible: Ansible, guest: Guest, fake_host: FakeDaemon
) -> None:
    machine = guest("bigger", memory=GIB)
    wanted = vm("bigger", "next_run", memory="2GiB")
    assert went_well(ansible.play([wanted])).changed == {"next_run"}
    assert runs(fake_host, machine) == 1
    assert went_well(ansible.play([wanted])).changed == set()
    assert runs(fake_host, machine) == 1


def test_the_policy_is_set_by_custom_properties(ansible: Ansible, guest: Guest) -> None:
    machine = guest("policed")
    wanted = [{"name": "power_down_force", "value": "true"}, {"name": "power_down_delay", "value": "45"}]
    task = vm("policed", "present", custom_properties=wanted)
    assert went_well(ansible.play([task])).changed == {"present"}
    machine.refresh_from_db()
    assert (machine.force_power_off, machine.graceful_delay) == (True, 45)
    assert went_well(ansible.play([task])).changed == set()


def test_a_description_is_emptied_once(ansible: Ansible, guest: Guest) -> None:
    guest("described", description="Something.")
    task = vm("described", "present", description="")
    assert went_well(ansible.play([task])).changed == {"present"}
    assert went_well(ansible.play([task])).changed == set()


@pytest.mark.parametrize("nested", [False, True], ids=["plain", "nested"])
def test_what_is_known_of_a_vm_is_told(ansible: Ansible, guest: Guest, nested: bool) -> None:
    name = f"looked-at-{'nested' if nested else 'plain'}"
    machine = guest(name, memory=GIB)
    task = {
        "name": "look",
        "ovirt.ovirt.ovirt_vm_info": {"pattern": f"name={name}", "fetch_nested": nested, "all_content": True},
    }
    (found,) = went_well(ansible.play([task])).results["look"]["ovirt_vms"]
    assert (found["id"], found["status"], found["memory"]) == (str(machine.pk), "up", GIB)


def test_an_event_is_added_and_found(ansible: Ansible, guest: Guest) -> None:
    guest("spoken-of")
    words = "The backup took too long."
    added = {"origin": "backup", "severity": "warning", "custom_id": 4712, "description": words}
    outcome = went_well(
        ansible.play(
            [
                {"name": "add", "ovirt.ovirt.ovirt_event": added},
                {"name": "look", "ovirt.ovirt.ovirt_event_info": {"search": "severity=warning", "max": 10}},
            ]
        )
    )
    assert outcome.changed == {"add"}
    assert words in [event["description"] for event in outcome.results["look"]["ovirt_events"]]


def test_tags_are_made_put_on_taken_off_and_removed_and_each_holds_the_second_time(
    ansible: Ansible, guest: Guest
) -> None:
    machine = guest("tagged")
    for options in (
        {"state": "present", "vms": ["tagged"]},
        {"state": "detached", "vms": ["tagged"]},
        {"state": "attached", "vms": ["tagged"]},
        {"state": "absent"},
    ):
        task = {"name": "tag", "ovirt.ovirt.ovirt_tag": {"name": "by-playbook", **options}}
        assert went_well(ansible.play([task])).changed == {"tag"}, options
        assert went_well(ansible.play([task])).changed == set(), options
    assert not machine.tags.exists()


def test_the_inventory_has_the_vms_with_their_tags_and_no_others(
    ansible: Ansible, guest: Guest, person: Person, tmp_path: Path, api: str
) -> None:
    machine, _ = guest("listed-1"), guest("listed-2")
    tag = {"name": "tag", "ovirt.ovirt.ovirt_tag": {"name": "inventory", "vms": ["listed-1"]}}
    went_well(ansible.play([tag]))
    found = ansible.inventory(ovirt_query_filter={"search": "name=listed-*"}, groups={"ours": "'inventory' in tags"})
    hosts = found["_meta"]["hostvars"]
    assert set(hosts) == {"listed-1", "listed-2"}
    assert (hosts["listed-1"]["status"], hosts["listed-1"]["tags"]) == ("up", ["inventory"])
    assert found["ours"]["hosts"] == ["listed-1"]
    theirs = Ansible(tmp_path, api, person("ivo", "Viewer", machine)).inventory()
    assert set(theirs["_meta"]["hostvars"]) == {"listed-1"}


def test_a_wrong_password_ends_the_playbook(tmp_path: Path, api: str) -> None:
    outcome = Ansible(tmp_path, api, password="a wrong one").play([vm("nothing", "running")])
    assert outcome.failed
    assert "access_denied" in str(outcome.results["log in"]["msg"])


def test_who_may_only_look_is_told_so(ansible: Ansible, guest: Guest, person: Person, tmp_path: Path, api: str) -> None:
    machine = guest("guarded")
    outcome = Ansible(tmp_path, api, person("vita", "Viewer", machine)).play([vm("guarded", "stopped", force=True)])
    assert outcome.failed
    assert "not authorized" in outcome.results["stopped"]["msg"]
    machine.refresh_from_db()
    assert machine.status == "up"
