"""Start with `<vm>`: what one run does differently, what changes nothing, and what no run can differ in."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests.api.wire import Wire
from tests.support.scene import MakeVm, configuration
from vms.domain.configuration import BootDevice
from vms.domain.power import Action, VmStatus
from vms.domain.run_options import RunOptions
from vms.models import Operation, VirtualMachine

pytestmark = pytest.mark.django_db
GIB = 1 << 30


@pytest.fixture
def down(make_vm: MakeVm) -> VirtualMachine:
    """A VM that is down: 4 GiB, 2 CPUs, from disk and then the network, an empty CD drive."""
    return make_vm(status=VmStatus.DOWN, stored_configuration=configuration(boot=("hd", "network")))


def devices(*names: str) -> str:
    """Write a boot order."""
    listed = "".join(f"<device>{name}</device>" for name in names)
    return f"<os><boot><devices>{listed}</devices></boot></os>"


@pytest.mark.parametrize(
    ("vm", "rest", "options"),
    [
        (f"<memory>{GIB}</memory>", "", RunOptions(memory=GIB)),
        ("<cpu><topology><cores>2</cores><sockets>2</sockets></topology></cpu>", "", RunOptions(vcpus=4)),
        (devices("cdrom"), "", RunOptions(boot=BootDevice.CD)),
        (devices("network", "hd"), "", RunOptions(boot=BootDevice.NETWORK)),
        (
            "<os><kernel>/boot/vmlinuz</kernel><initrd>/boot/initrd</initrd><cmdline>quiet</cmdline></os>",
            "",
            RunOptions(kernel="/boot/vmlinuz", initrd="/boot/initrd", command_line="quiet"),
        ),
        ('<cdroms><cdrom><file id="/isos/rescue.iso"/></cdrom></cdroms>', "", RunOptions(cd_image="/isos/rescue.iso")),
        ("<stateless>true</stateless>", "", RunOptions(stateless=True)),
        ("", "<pause>true</pause>", RunOptions(paused=True)),
        (f"<memory>{GIB}</memory>", "<volatile>true</volatile>", RunOptions(memory=GIB)),
    ],
)
def test_what_one_run_can_differ_in(
    operator: User, down: VirtualMachine, vm: str, rest: str, options: RunOptions
) -> None:
    answer = Wire(operator).act(down, "start", f"<action><vm>{vm}</vm>{rest}</action>")
    operation = Operation.objects.get()
    assert (answer.status, answer.ref("job")) == (200, str(operation.pk))
    assert (operation.action, operation.run_options) == (Action.RUN_ONCE, options)
    down.refresh_from_db()
    assert down.stored_configuration == configuration(boot=("hd", "network"))


@pytest.mark.parametrize(
    "body",
    [
        "<vm/>",
        "<vm><initialization><nic_configurations/></initialization><os/><placement_policy/><cdroms/></vm>",
        f"<vm><name>web01</name><memory>{4 * GIB}</memory></vm>",
        "<vm><cpu><topology><cores>1</cores><sockets>2</sockets></topology></cpu><stateless>false</stateless></vm>",
        f"<vm>{devices('hd')}</vm>",
        f"<vm>{devices('hd', 'network')}</vm>",
        "<vm><placement_policy><hosts><host><name>kvm1</name></host></hosts></placement_policy></vm>",
        "<volatile>true</volatile><pause>false</pause><use_cloud_init>false</use_cloud_init><filter>true</filter>",
        "<authorized_key/>",
    ],
)
def test_what_changes_nothing_is_a_plain_run(operator: User, down: VirtualMachine, body: str) -> None:
    assert Wire(operator).act(down, "start", f"<action>{body}</action>").status == 200
    assert Operation.objects.get().action == Action.RUN


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("<vm><initialization><host_name>web</host_name></initialization></vm>", "vm.initialization.host_name"),
        ("<vm><display><type>spice</type></display></vm>", "vm.display.type"),
        ("<vm><os><type>windows_11</type></os></vm>", "vm.os.type"),
        ("<vm><custom_properties><custom_property><name>x</name></custom_property></custom_properties></vm>", "custom"),
        ("<vm><placement_policy><hosts><host><name>kvm9</name></host></hosts></placement_policy></vm>", "host.name"),
        ("<use_cloud_init>true</use_cloud_init>", "use_cloud_init"),
        ("<use_sysprep/><use_ignition>true</use_ignition>", ""),
        ("<authorized_key><key>ssh-rsa AAAA</key></authorized_key>", "authorized_key"),
        (f"<vm>{devices('cdrom', 'network')}</vm>", "vm.os.boot"),
        ("<vm><cdroms><cdrom><file id='/a'/></cdrom><cdrom><file id='/b'/></cdrom></cdroms></vm>", "vm.cdroms"),
        ("<vm><cdroms><cdrom><file id='a.iso'/></cdrom></cdroms></vm>", "cd_image"),
        ("<vm><os><cmdline>quiet</cmdline></os></vm>", "kernel"),
        ("<vm><memory>1000</memory></vm>", "memory"),
        ("<vm><memory>lots</memory></vm>", "vm.memory"),
    ],
)
@pytest.mark.parametrize("query", ["", "?dry_run=true"])
def test_what_no_run_can_differ_in_is_named(
    operator: User, down: VirtualMachine, body: str, named: str, query: str
) -> None:
    answer = Wire(operator).act(down, "start", f"<action>{body}</action>", query)
    assert (answer.status, answer.text("status"), answer.text("fault/reason")) == (400, "failed", "Invalid value")
    assert named in answer.detail
    assert not Operation.objects.exists()


def test_one_guest_is_not_initialized_in_two_ways(operator: User, down: VirtualMachine) -> None:
    body = "<action><use_cloud_init>true</use_cloud_init><use_sysprep>true</use_sysprep></action>"
    assert Wire(operator).act(down, "start", body).status == 409


def test_a_drive_that_is_not_there_takes_no_image(operator: User, make_vm: MakeVm) -> None:
    vm = make_vm(status=VmStatus.DOWN, stored_configuration=configuration(cd_image=None))
    body = "<action><vm><cdroms><cdrom><file id='/isos/rescue.iso'/></cdrom></cdroms></vm></action>"
    answer = Wire(operator).act(vm, "start", body)
    assert (answer.status, "no CD drive" in answer.detail) == (400, True)


def test_a_vm_whose_runs_are_all_stateless_has_no_other_run(operator: User, make_vm: MakeVm) -> None:
    vm = make_vm(status=VmStatus.DOWN, stateless=True)
    wire = Wire(operator)
    assert wire.act(vm, "start", "<action><vm><stateless>false</stateless></vm></action>").status == 400
    assert wire.act(vm, "start", "<action><vm><stateless>true</stateless></vm></action>").status == 200
    assert Operation.objects.get().action == Action.RUN


def test_part_of_a_kernel_keeps_the_rest_as_it_is_stored(operator: User, make_vm: MakeVm) -> None:
    stored = configuration(kernel="/boot/vmlinuz", initrd="/boot/initrd", command_line="quiet")
    vm = make_vm(status=VmStatus.DOWN, stored_configuration=stored)
    Wire(operator).act(vm, "start", "<action><vm><os><cmdline>single</cmdline></os></vm></action>")
    assert Operation.objects.get().run_options == RunOptions(
        kernel="/boot/vmlinuz", initrd="/boot/initrd", command_line="single"
    )


def test_a_dry_run_says_that_one_run_differs(operator: User, down: VirtualMachine) -> None:
    body = f"<action><vm><memory>{GIB}</memory></vm></action>"
    answer = Wire(operator).act(down, "start", body, "?dry_run=true")
    assert answer.text("plan/action") == "run_once"
    assert answer.texts("plan/consequences/consequence/kind") == ["differs_once"]


def test_a_run_that_differs_is_shown_as_one(viewer: User, make_vm: MakeVm) -> None:
    assert Wire(viewer).get(make_vm(run_once=True)).text("run_once") == "true"
