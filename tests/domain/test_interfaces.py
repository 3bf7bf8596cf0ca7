"""What the line of a network interface says."""

from __future__ import annotations

import pytest

from vms.domain.interfaces import Interface

MAC = "52:54:00:aB:cd:01"


@pytest.mark.parametrize(
    ("line", "interface"),
    [
        (f"network default virtio {MAC}", Interface("network", "default", "virtio", MAC)),
        (f"bridge br0 {MAC}", Interface("bridge", "br0", "", MAC)),
        (f"user virtio {MAC}", Interface("user", "", "virtio", MAC)),
        (f"user {MAC}", Interface("user", "", "", MAC)),
        ("network default", Interface("network", "default")),
        (f"network {MAC}", Interface("network", "", "", MAC)),
        ("user", Interface("user")),
        ("", Interface("")),
    ],
)
def test_a_line_says_as_much_as_is_known(line: str, interface: Interface) -> None:
    assert Interface.of(line) == interface
