"""What a simulated guest shows on its screen: its name, its state and its agent, on a ground of its own."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from vms.domain.observation import DomainState
from vms.hypervisor import png
from vms.hypervisor.base import HypervisorError

WIDTH, HEIGHT = 320, 200
#: Pixels of the screen for one of a letter's, and between the tops of two lines.
_SCALE, _LINE = 4, 32
_LEFT, _TOP = 16, 40
#: Letters of 3 by 5 pixels: a digit a row, whose three bits are its pixels.
_FONT = """
A=25755 B=65656 C=34443 D=65556 E=74647 F=74644 G=34553 H=55755 I=72227 J=11152 K=55655 L=44447 M=57755
N=65555 O=25552 P=65644 Q=25573 R=65655 S=34216 T=72222 U=55557 V=55552 W=55775 X=55255 Y=55222 Z=71247
0=75557 1=26227 2=71747 3=71717 4=55711 5=74717 6=74757 7=71122 8=75757 9=75717 -=00700 _=00007 .=00002
"""
_LETTERS = dict(letter.split("=") for letter in _FONT.split())
_BLANK, _INK = "00000", b"\xff\xff\xff"


def picture(seen: dict[str, Any]) -> str:
    """Return the screen of a running domain as PNG, in base64."""
    if seen["state"] == DomainState.DOWN:
        raise HypervisorError("Requested operation is not valid: domain is not running")
    # Dark enough for white letters.
    ground = bytes(byte // 2 for byte in hashlib.sha256(seen["name"].encode()).digest()[:3])
    rows = [bytearray(ground * WIDTH) for _ in range(HEIGHT)]
    agent = "agent connected" if seen["agent_connected"] else "no agent"
    for number, line in enumerate((seen["name"], str(seen["state"]), agent)):
        _write(rows, _TOP + number * _LINE, line.upper())
    return base64.b64encode(png.write(WIDTH, HEIGHT, b"".join(rows))).decode()


def _write(rows: list[bytearray], top: int, line: str) -> None:
    fitting = (WIDTH - 2 * _LEFT) // (4 * _SCALE)
    for column, letter in enumerate(line[:fitting]):
        for number, bits in enumerate(_LETTERS.get(letter, _BLANK)):
            for pixel in (pixel for pixel in range(3) if int(bits) & 4 >> pixel):
                left = 3 * (_LEFT + (column * 4 + pixel) * _SCALE)
                for row in rows[top + number * _SCALE : top + (number + 1) * _SCALE]:
                    row[left : left + 3 * _SCALE] = _INK * _SCALE
