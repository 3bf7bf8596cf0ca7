"""What waits for the next cold start, and which values can be configured."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from vms.domain.configuration import EDITABLE, MIB, BootDevice, Change, Configuration, Part, checked, pending
from vms.domain.errors import ConfigurationError

STORED = Configuration(
    description="The web server",
    memory=1024 * MIB,
    vcpus=2,
    boot=("hd", "cdrom"),
    cd_image="",
    kernel="/boot/vmlinuz",
    disks=("vda (virtio): /disk.qcow2",),
)


@pytest.mark.behaviour(11)
def test_nothing_waits_while_nothing_runs_or_nothing_differs() -> None:
    assert pending(None, STORED) == ()
    assert pending(replace(STORED), STORED) == ()


@pytest.mark.behaviour(11)
@pytest.mark.parametrize("part", Part)
def test_each_part_that_differs_is_named_with_both_values(part: Part) -> None:
    other: dict[Part, Any] = {
        Part.MEMORY: 2048 * MIB,
        Part.VCPUS: 4,
        Part.BOOT: ("network",),
        Part.DISKS: (),
        Part.INTERFACES: ("network default",),
    }
    running = replace(STORED, **{part.value: other.get(part, "/other")})
    assert pending(running, STORED) == (Change(part, running.value(part), STORED.value(part)),)


def test_a_configuration_comes_back_from_where_it_is_stored() -> None:
    stored = json.loads(json.dumps(STORED.as_json()))
    assert stored == STORED.as_json()
    assert Configuration.of(stored) == STORED
    assert Configuration.of({"memory": MIB, "unheard_of": 1}) == Configuration(memory=MIB)


def test_only_what_differs_is_changed() -> None:
    values: dict[Part, Any] = {Part.MEMORY: STORED.memory, Part.VCPUS: 4, Part.BOOT: STORED.boot}
    assert checked(values, STORED) == {Part.VCPUS: 4}


@pytest.mark.parametrize(
    ("part", "value", "code"),
    [
        (Part.MEMORY, 0, "memory_range"),
        (Part.MEMORY, MIB + 1, "memory_range"),
        (Part.MEMORY, 1 << 60, "memory_range"),
        (Part.MEMORY, True, "memory_range"),
        (Part.MEMORY, "1 GiB", "memory_range"),
        (Part.VCPUS, 0, "vcpus_range"),
        (Part.VCPUS, 1.5, "vcpus_range"),
        (Part.VCPUS, 10_000, "vcpus_range"),
        (Part.BOOT, (), "boot"),
        (Part.BOOT, ("hd", "hd"), "boot"),
        (Part.BOOT, ("tape",), "boot"),
        (Part.CD_IMAGE, "image.iso", "path"),
        (Part.CD_IMAGE, "/a\nb", "path"),
        (Part.CD_IMAGE, "/" + "a" * 5000, "path"),
        (Part.DESCRIPTION, "a\x00b", "text"),
        (Part.DESCRIPTION, "a" * 5000, "text"),
        (Part.DISKS, (), "not_edited_here"),
    ],
)
def test_what_cannot_be_configured_is_refused(part: Part, value: Any, code: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        checked({part: value}, STORED)
    assert (caught.value.part, caught.value.code) == (part, code)


def test_an_image_needs_a_drive() -> None:
    without = replace(STORED, cd_image=None)
    with pytest.raises(ConfigurationError, match="no_drive"):
        checked({Part.CD_IMAGE: "/image.iso"}, without)
    assert checked({Part.CD_IMAGE: "/image.iso"}, STORED) == {Part.CD_IMAGE: "/image.iso"}


def test_what_can_be_configured_is_accepted() -> None:
    values: dict[Part, Any] = {
        Part.DESCRIPTION: "Two\nlines",
        Part.MEMORY: 2048 * MIB,
        Part.VCPUS: 8,
        Part.BOOT: tuple(BootDevice),
        Part.CD_IMAGE: "/var/lib/images/a b.iso",
    }
    assert set(values) == set(EDITABLE)
    assert checked(values, STORED) == values
