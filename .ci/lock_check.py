"""Whether the lock files are in step with pyproject.toml: the same direct dependencies, at versions it allows."""

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)")
#: How uv marks what pyproject.toml itself asks for.
DIRECT = re.compile(r"vm-portal \(pyproject\.toml(?::\w+)?\)")


def read_lock(path: Path) -> tuple[dict[str, set[str]], set[str]]:
    """The pinned versions by package (several where they differ by platform), and the packages asked for directly."""
    pins: dict[str, set[str]] = {}
    direct: set[str] = set()
    name = ""
    for line in path.read_text().splitlines():
        if match := PIN.match(line):
            name = canonicalize_name(match[1])
            pins.setdefault(name, set()).add(match[2])
        elif DIRECT.search(line):
            direct.add(name)
    return pins, direct


def problems() -> list[str]:
    """What is out of step, in words."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = [Requirement(text) for text in project["project"]["dependencies"]]
    development = [Requirement(text) for text in project["dependency-groups"]["dev"]]
    ansible = [Requirement(text) for text in project["dependency-groups"]["ansible"]]
    found: list[str] = []
    locks = {}
    for file, wanted in (
        ("requirements.txt", runtime),
        ("requirements-dev.txt", runtime + development),
        ("requirements-ansible.txt", ansible),
    ):
        pins, direct = read_lock(ROOT / file)
        locks[file] = pins
        names = {canonicalize_name(requirement.name) for requirement in wanted}
        found += [f"{file}: {name} is not in pyproject.toml any more" for name in sorted(direct - names)]
        for requirement in wanted:
            versions = pins.get(canonicalize_name(requirement.name), set())
            if not versions or not all(requirement.specifier.contains(version) for version in versions):
                found.append(
                    f"{file}: pyproject.toml wants {requirement}, locked is {', '.join(versions) or 'nothing'}"
                )
    for name, versions in locks["requirements.txt"].items():
        if locks["requirements-dev.txt"].get(name) != versions:
            found.append(f"{name} is locked at different versions in the two files")
    return found


if __name__ == "__main__":
    failures = problems()
    print("\n".join(failures))
    if failures:
        sys.exit("Run `./dev lock`.")
