"""The authority on where the guests' software comes from: the distribution's own packages, fetched with apt and
unpacked into a directory. Nothing is installed on the host and no privilege is needed.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

# Small kernels for virtual machines first; the general ones work as well but are larger to fetch.
KERNEL_METAPACKAGES = ("linux-image-cloud-amd64", "linux-image-virtual", "linux-image-amd64", "linux-image-generic")
_KERNEL_PACKAGE = re.compile(r"linux-image-(unsigned-)?\d")
_KERNEL_PART = re.compile(r"linux-(image|modules|binary)-(unsigned-)?\d")
_DEPENDENCY = re.compile(r"^ [ |](?:Pre)?Depends: (?P<name>[^<\s]+)$")
_PROVIDER = re.compile(r"^    (?P<name>\S+)$")
_TIMEOUT = 600  # seconds; a slow mirror is no error, a dead one is


class PackageError(RuntimeError):
    """A package cannot be found, fetched or unpacked; the message says what to do about it."""


class PackageTree:
    """A directory into which packages are unpacked, each at most once."""

    def __init__(self, work_dir: Path) -> None:
        self.root = work_dir / "root"
        self._downloads = work_dir / "downloads"
        self._unpacked: set[str] = set()
        self.root.mkdir()
        self._downloads.mkdir()

    def add(self, names: Iterable[str]) -> bool:
        """Fetch and unpack the packages not yet here; False when there was nothing to add."""
        wanted = sorted(set(names) - self._unpacked)
        if not wanted:
            return False
        # apt's own download user may not write here; that only costs a warning unless it is told.
        sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
        _run(["apt-get", "download", "-q", *sandbox, *wanted], cwd=self._downloads)
        for archive in sorted(self._downloads.glob("*.deb")):
            _run(["dpkg-deb", "--extract", str(archive), str(self.root)])
            archive.unlink()
        self._unpacked.update(wanted)
        return True


def dependencies(names: Iterable[str]) -> list[str]:
    """The packages that these depend on directly; every alternative and every provider is named."""
    wanted = sorted(set(names))
    if not wanted:
        return []
    only_depends = [
        f"--no-{kind}" for kind in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
    ]
    return parse_dependencies(_run(["apt-cache", "depends", *only_depends, *wanted]))


def parse_dependencies(listing: str) -> list[str]:
    """Package names out of what `apt-cache depends` prints; a virtual package stands for its providers."""
    matches = (_DEPENDENCY.match(line) or _PROVIDER.match(line) for line in listing.splitlines())
    names = [match["name"].removesuffix(":any") for match in matches if match]
    return list(dict.fromkeys(name for name in names if ":" not in name))


def kernel_packages() -> list[str]:
    """The packages that hold this distribution's kernel for virtual machines and its modules."""
    for metapackage in KERNEL_METAPACKAGES:
        try:
            images = [name for name in dependencies([metapackage]) if _KERNEL_PACKAGE.match(name)]
        except PackageError:
            continue
        if images:
            image = images[0]
            return [image, *(name for name in dependencies([image]) if _KERNEL_PART.match(name))]
    raise PackageError(
        "apt knows no kernel package (tried " + ", ".join(KERNEL_METAPACKAGES) + "). "
        "Run `apt-get update` as root and try again. The demo guests need an amd64 Debian or Ubuntu host."
    )


def _run(command: Sequence[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except FileNotFoundError as error:
        raise PackageError(
            f"`{command[0]}` is missing: the demo guests are built from Debian packages with apt"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise PackageError(
            f"`{' '.join(command)}` was given up after {_TIMEOUT} s: is the package mirror up?"
        ) from error
    if done.returncode != 0:
        complaint = done.stderr.strip() or done.stdout.strip()
        raise PackageError(
            f"`{' '.join(command)}` failed: {complaint}\n"
            "Run `apt-get update` as root, check the network, and try again."
        )
    return done.stdout
