"""The ways in which one run may differ."""

from __future__ import annotations

import json

import pytest

from vms.domain.configuration import MIB, BootDevice
from vms.domain.errors import ConfigurationError
from vms.domain.run_options import AS_STORED, RunOptions, check

EVERYTHING = RunOptions(
    boot=BootDevice.CD,
    cd_image="/rescue.iso",
    kernel="/vmlinuz",
    initrd="/initrd.img",
    command_line="console=ttyS0",
    paused=True,
    memory=512 * MIB,
    vcpus=1,
    stateless=True,
)


@pytest.mark.parametrize("options", [AS_STORED, EVERYTHING])
def test_options_come_back_from_where_they_are_stored(options: RunOptions) -> None:
    assert RunOptions.of(json.loads(json.dumps(options.as_json()))) == options


def test_what_differs_is_told_from_what_only_forgets() -> None:
    assert not AS_STORED.overrides
    assert not RunOptions(stateless=True).overrides
    assert RunOptions(paused=True).overrides
    assert EVERYTHING.overrides


def test_what_a_run_can_have_is_accepted() -> None:
    check(AS_STORED, has_cd_drive=False)
    check(RunOptions(cd_image=""), has_cd_drive=False)
    check(EVERYTHING, has_cd_drive=True)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (RunOptions(cd_image="/rescue.iso"), "no_drive"),
        (RunOptions(kernel="vmlinuz"), "path"),
        (RunOptions(kernel="/vmlinuz", initrd="initrd"), "path"),
        (RunOptions(kernel="/vmlinuz", command_line="a\nb"), "text"),
        (RunOptions(initrd="/initrd.img"), "needs_kernel"),
        (RunOptions(command_line="quiet"), "needs_kernel"),
        (RunOptions(memory=5), "memory_range"),
        (RunOptions(vcpus=0), "vcpus_range"),
    ],
)
def test_what_no_run_can_have_is_refused(options: RunOptions, code: str) -> None:
    with pytest.raises(ConfigurationError, match=code):
        check(options, has_cd_drive=False)
