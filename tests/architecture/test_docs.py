"""What the documentation says is so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from portal import env
from vms.domain.operation import Stage, diagram
from vms.engine.records import Code

ROOT = Path(__file__).parents[2]
RECORDS = (ROOT / "docs" / "records.md").read_text()
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()


def test_the_state_diagram_is_the_one_of_the_code() -> None:
    found = re.search(r"```mermaid\n(.*?)\n```", ARCHITECTURE, re.DOTALL)
    assert found is not None
    assert found.group(1).splitlines() == list(diagram())


def test_every_stage_is_explained() -> None:
    explained = {
        word for row in re.findall(r"^\| ([a-z_, ]+) \|", ARCHITECTURE, re.MULTILINE) for word in row.split(", ")
    }
    assert {str(stage) for stage in Stage if stage is not Stage.ENDED} <= explained


def test_the_readme_lists_every_setting() -> None:
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE))
    assert listed == {*env.SETTINGS, "DATABASE_URL", "EMAIL_URL", "REDIS_URL"}


@pytest.mark.parametrize("document", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md")), ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_every_command_the_readme_names_exists() -> None:
    usage = subprocess.run([ROOT / "dev"], capture_output=True, text=True, check=True).stdout
    for command in set(re.findall(r"\./dev (\w+)", README)):
        assert re.search(rf"^  {command}\b", usage, re.MULTILINE), command


@pytest.mark.behaviour(32)
def test_event_codes_are_named_as_they_are() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \| ([`A-Z_, ]+) \|", RECORDS, re.MULTILINE)
    named = [
        pair for numbers, names in rows for pair in zip(numbers.split(", "), re.findall(r"[A-Z_]+", names), strict=True)
    ]
    assert len(named) >= 24
    assert named == [(str(int(Code[name])), name) for _, name in named]


def test_paths_in_the_layout_exist() -> None:
    for path in re.findall(r"^(vms/[a-z_./]+|portal/)", ARCHITECTURE, re.MULTILINE):
        assert (ROOT / path).exists(), path
