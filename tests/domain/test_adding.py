"""VMs that are to be added: names, configurations, and the host that is chosen."""

from __future__ import annotations

from typing import Any

import pytest

from vms.domain.adding import BLANK, Candidate, check_name, choose, configured
from vms.domain.configuration import MIB, Configuration, Part
from vms.domain.errors import ConfigurationError


@pytest.mark.parametrize("name", ["web01", "a", "0", "Web_01.example-2", ".hidden", "x" * 255])
def test_names_that_clients_can_write_into_addresses(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", "web 01", "web/01", "wéb", "web01\n", "a&b", "<a>", "x" * 256, ".", "..", "\u0661", None, 7]
)
def test_other_names_are_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_name(name)
    assert (refused.value.part, refused.value.code) == ("name", "name_characters")


def test_what_is_not_said_is_a_blank_ones() -> None:
    assert configured({}) == BLANK == Configuration(memory=1024 * MIB, vcpus=1, boot=("hd",), cd_image="")


def test_what_is_said_holds() -> None:
    values = {Part.MEMORY: 512 * MIB, Part.VCPUS: 3, Part.BOOT: ("cdrom", "hd"), Part.DESCRIPTION: "A shop"}
    assert configured(values) == Configuration("A shop", 512 * MIB, 3, ("cdrom", "hd"), "")


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({Part.MEMORY: 3}, "memory_range"),
        ({Part.VCPUS: 0}, "vcpus_range"),
        ({Part.BOOT: ("fd",)}, "boot"),
        ({Part.DESCRIPTION: "\x00"}, "text"),
        ({Part.DISKS: ("vda",)}, "not_edited_here"),
    ],
)
def test_what_no_vm_can_have_is_refused(values: dict[Part, Any], code: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configured(values)
    assert refused.value.code == code


def test_the_host_with_the_fewest_vms_is_chosen_of_those_that_answer() -> None:
    full, free = Candidate(1, "kvm1", True, 7), Candidate(2, "kvm2", True, 2)
    silent, also_free = Candidate(3, "kvm3", False, 0), Candidate(4, "kvm0", True, 2)
    assert choose([full, free, silent]) == free
    assert choose([free, also_free]) == also_free, "the first by name of two that are alike"
    assert choose([silent]) is None
    assert choose([]) is None
