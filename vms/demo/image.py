"""The authority on the demo guests' boot image: a Debian or Ubuntu kernel and an initramfs of busybox and qemu-ga.

All guests boot the same image; their temper is on the kernel command line. An image lies in a directory named after
the hash of what it is built from, which appears by one rename: it is whole or not there.
"""

import fcntl
import gzip
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vms.demo import elf
from vms.demo.cpio import Archive
from vms.demo.packages import PackageError, PackageTree, dependencies, kernel_packages

_HERE = Path(__file__).parent
_GUEST_FILES = _HERE / "guest"
_BUILD_INPUTS = ("cpio.py", "elf.py", "image.py", "packages.py")
_BUILD_PREFIX = ".build-"

_LIBRARY_DIRS = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib", "lib", "usr/lib64", "lib64")
_MODULE = re.compile(r"^(?P<name>.+)\.ko(?:\.(?P<compression>xz|zst))?$")
# The agent's channel and the power button; a kernel that has one of them built in needs no module for it.
_MODULES = ("virtio_pci", "virtio_console", "button", "evdev")
# Tells the host that the guest panicked; without it a panic looks like a reset.
_MODULES_IF_THERE = ("pvpanic_mmio",)
# What the guest's scripts need, and what somebody in its shell looks for.
_APPLETS = """
    acpid cat grep hostname insmod ln ls mkdir mkfifo mount poweroff reboot setsid sh sleep stty sync touch
    clear date dmesg free kill ps top uname uptime vi
""".split()  # noqa: SIM905 - a list of words reads best as words


class ImageError(RuntimeError):
    """The image cannot be built; the message says why and what to do."""


@dataclass(frozen=True)
class GuestImage:
    """A bootable kernel and initramfs."""

    kernel: Path
    initrd: Path

    def copy_to(self, directory: Path) -> "GuestImage":
        """The same image in another directory, readable by everyone (QEMU may run as a user of its own)."""
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        copied = GuestImage(directory / self.kernel.name, directory / self.initrd.name)
        for source, target in ((self.kernel, copied.kernel), (self.initrd, copied.initrd)):
            partial = target.with_name(f".{target.name}-{os.getpid()}")
            shutil.copyfile(source, partial)
            partial.chmod(0o644)
            partial.replace(target)
        return copied


def build_guest_image(target_dir: Path) -> GuestImage:
    """The image in `target_dir`, built first unless it is there already. Safe to call from many processes at once.

    Raises `ImageError` when a package lacks what is needed, `PackageError` when a package cannot be had.
    """
    finished = target_dir / f"image-{_input_hash()}"
    image = GuestImage(finished / "vmlinuz", finished / "initrd.img")
    if finished.is_dir():
        return image
    target_dir.mkdir(parents=True, exist_ok=True)
    with _locked(target_dir / ".lock"):
        if finished.is_dir():
            return image
        for leftover in target_dir.glob(f"{_BUILD_PREFIX}*"):  # we hold the lock, so its builder is dead
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_BUILD_PREFIX, dir=target_dir) as work:
            result = _build(Path(work))
            result.chmod(0o755)
            result.rename(finished)
    return image


def _input_hash() -> str:
    digest = hashlib.sha256()
    for path in [*(_HERE / name for name in _BUILD_INPUTS), *sorted(_GUEST_FILES.rglob("*"))]:
        if path.is_file():
            content = path.read_bytes()
            digest.update(f"{path.relative_to(_HERE)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # released by the kernel if this process dies
        yield


def _build(work: Path) -> Path:
    packages = PackageTree(work)
    kernel_names = kernel_packages()
    packages.add([*kernel_names, "busybox-static", "qemu-guest-agent"])
    root = packages.root

    archive = Archive()
    for directory in ("dev", "proc", "sys", "run", "tmp", "etc", "bin", "sbin"):
        archive.directory(directory)
    archive.symlink("var/run", "/run")
    archive.file("bin/busybox", _first_file(root, "usr/bin/busybox", "bin/busybox").read_bytes(), 0o755)
    for applet in _APPLETS:
        archive.symlink(f"bin/{applet}", "busybox")
    _add_agent(archive, packages)
    _add_modules(archive, packages)
    for path in sorted(_GUEST_FILES.rglob("*")):
        if path.is_file():
            archive.file(str(path.relative_to(_GUEST_FILES)), path.read_bytes(), 0o755)

    result = work / "image"
    result.mkdir()
    kernels = sorted(root.glob("boot/vmlinuz-*"))
    if not kernels:
        raise ImageError(f"the package {kernel_names[0]} holds no boot/vmlinuz-*")
    (result / "vmlinuz").write_bytes(kernels[-1].read_bytes())
    (result / "initrd.img").write_bytes(gzip.compress(archive.pack(), compresslevel=9, mtime=0))
    for path in result.iterdir():
        path.chmod(0o644)
    return result


def _first_file(root: Path, *candidates: str) -> Path:
    for candidate in candidates:
        if (root / candidate).is_file():
            return root / candidate
    raise ImageError(f"none of the unpacked packages holds {' or '.join(candidates)}")


def _add_agent(archive: Archive, packages: PackageTree) -> None:
    """qemu-ga and its shared libraries; packages it depends on are unpacked only as far as a library is missing."""
    agent = _first_file(packages.root, "usr/sbin/qemu-ga", "usr/bin/qemu-ga").read_bytes()
    archive.file("sbin/qemu-ga", agent, 0o755)
    pending, added = elf.needed_libraries(agent), set[str]()
    level = ["qemu-guest-agent"]
    while pending:
        name = pending.pop()
        if name in added:
            continue
        library = _library(packages.root, name)
        while library is None:
            level = [package for package in dependencies(level) if package.startswith("lib")]
            if not packages.add(level):
                raise ImageError(f"no package that qemu-guest-agent depends on holds {name}")
            library = _library(packages.root, name)
        data = library.read_bytes()
        archive.file(f"lib/x86_64-linux-gnu/{name}", data, 0o755)
        added.add(name)
        pending.extend(elf.needed_libraries(data))
    # The name of the interpreter is built into every program of this architecture.
    archive.symlink("lib64", "lib/x86_64-linux-gnu")


def _library(root: Path, name: str) -> Path | None:
    for directory in _LIBRARY_DIRS:
        path = root / directory / name
        # An absolute symbolic link would lead out of the tree, to the host's own library.
        if path.is_symlink() and path.readlink().is_absolute():
            path = root / path.readlink().relative_to("/")
        if path.is_file():
            return path
    return None


def _add_modules(archive: Archive, packages: PackageTree) -> None:
    """The kernel modules, uncompressed, and `/etc/modules`: their paths, each after those it depends on."""
    files, builtin = _available_modules(packages.root)
    ordered: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in ordered or name in builtin:
            return
        if name not in files:
            raise ImageError(f"the kernel has no module {name}, neither as a file nor built in")
        data = _decompressed(files[name], packages)
        for dependency in elf.module_dependencies(data):
            add(dependency)
        ordered[name] = data

    for name in (*_MODULES, *(name for name in _MODULES_IF_THERE if name in files)):
        add(name)
    for name, data in ordered.items():
        archive.file(f"lib/modules/{name}.ko", data)
    archive.file("etc/modules", "".join(f"/lib/modules/{name}.ko\n" for name in ordered).encode())


def _available_modules(root: Path) -> tuple[dict[str, Path], set[str]]:
    """The kernel's modules by name, and the names of those that are built into it."""
    files: dict[str, Path] = {}
    builtin: set[str] = set()
    for tree in (path for place in ("usr/lib/modules", "lib/modules") for path in root.glob(f"{place}/*")):
        for path in tree.rglob("*.ko*"):
            if match := _MODULE.match(path.name):
                files[match["name"].replace("-", "_")] = path
        listing = tree / "modules.builtin"
        if listing.is_file():
            builtin.update(Path(line).stem.replace("-", "_") for line in listing.read_text().split())
    if not files:
        raise ImageError("the kernel packages hold no modules")
    return files, builtin


def _decompressed(path: Path, packages: PackageTree) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".zst":
        return _unzstd(data, packages)
    return data


def _unzstd(data: bytes, packages: PackageTree) -> bytes:
    """Python has no zstd before 3.14; where the command is not installed it is fetched like any other package.

    It then runs with the host's own libraries, which apt itself needs and which are therefore there.
    """
    command = shutil.which("zstd")
    if command is None:
        packages.add(["zstd"])
        command = str(_first_file(packages.root, "usr/bin/zstd"))
    try:
        return subprocess.run([command, "-dcq"], input=data, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ImageError(f"cannot decompress a kernel module with {command}: install the package zstd") from error


__all__ = ["GuestImage", "ImageError", "PackageError", "build_guest_image"]
