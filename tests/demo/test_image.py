"""The boot image: built once, whole or not at all, and of the parts the guests need."""

import gzip
import lzma
import multiprocessing
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest

from vms.demo import elf, image, packages
from vms.demo.cpio import Archive
from vms.demo.image import GuestImage, build_guest_image
from vms.demo.packages import PackageError, PackageTree, parse_dependencies


def _contents(built: GuestImage, into: Path) -> Path:
    """The initramfs unpacked by the real cpio, an independent reader of the format."""
    into.mkdir()
    subprocess.run(
        ["cpio", "--extract", "--make-directories", "--quiet"],
        input=gzip.decompress(built.initrd.read_bytes()),
        cwd=into,
        check=True,
    )
    return into


def test_holds_a_kernel_and_everything_its_programs_link_to(guest_image: GuestImage, tmp_path: Path) -> None:
    root = _contents(guest_image, tmp_path / "root")

    assert guest_image.kernel.read_bytes()[0x202:0x206] == b"HdrS"  # a bootable x86 Linux kernel
    for program in [root / "sbin/qemu-ga", *(root / "lib/x86_64-linux-gnu").iterdir()]:
        for needed in elf.needed_libraries(program.read_bytes()):
            assert (root / "lib/x86_64-linux-gnu" / needed).is_file(), f"{program.name} needs {needed}"
    assert (root / "init").stat().st_mode & stat.S_IXUSR
    assert (root / "bin/sh").resolve() == root / "bin/busybox"


def test_modules_are_listed_after_those_they_need(guest_image: GuestImage, tmp_path: Path) -> None:
    root = _contents(guest_image, tmp_path / "root")
    loaded: set[str] = set()
    for line in (root / "etc/modules").read_text().split():
        data = (root / line.lstrip("/")).read_bytes()
        assert data.startswith(b"\x7fELF"), "busybox loads only uncompressed modules"
        here = {path.stem for path in (root / "lib/modules").iterdir()}
        assert set(elf.module_dependencies(data)) & here <= loaded
        loaded.add(Path(line).stem)


def test_second_build_is_instant_and_the_same(guest_image: GuestImage) -> None:
    before = guest_image.initrd.stat()
    started = time.monotonic()
    again = build_guest_image(guest_image.initrd.parent.parent)
    assert time.monotonic() - started < 0.2
    assert again == guest_image
    assert again.initrd.stat().st_mtime_ns == before.st_mtime_ns


@pytest.fixture
def quick_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that takes a moment and needs no packages; what surrounds the build is what is tested."""

    def build(work: Path) -> Path:
        result = work / "image"
        result.mkdir()
        (result / "vmlinuz").write_text("kernel")
        time.sleep(0.2)
        (result / "initrd.img").write_text(work.name)
        return result

    monkeypatch.setattr(image, "_build", build)


@pytest.mark.usefixtures("quick_build")
def test_two_builds_at_once_make_one_image(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    builders = [context.Process(target=build_guest_image, args=(tmp_path,)) for _ in range(4)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join(30)
    assert [builder.exitcode for builder in builders] == [0] * 4
    assert len(list(tmp_path.glob("image-*"))) == 1
    assert not list(tmp_path.glob(".build-*"))


@pytest.mark.usefixtures("quick_build")
def test_a_killed_build_leaves_no_image_and_is_cleared_away(tmp_path: Path) -> None:
    builder = multiprocessing.get_context("fork").Process(target=build_guest_image, args=(tmp_path,))
    builder.start()
    deadline = time.monotonic() + 10
    while not list(tmp_path.glob(".build-*/image/vmlinuz")):
        assert time.monotonic() < deadline
    builder.kill()
    builder.join()
    assert not list(tmp_path.glob("image-*"))

    built = build_guest_image(tmp_path)
    assert built.initrd.is_file()
    assert not list(tmp_path.glob(".build-*"))


@pytest.mark.usefixtures("quick_build")
def test_a_changed_guest_script_makes_a_new_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build_guest_image(tmp_path)
    scripts = tmp_path / "package/guest"
    shutil.copytree(image._HERE, scripts.parent)
    monkeypatch.setattr(image, "_HERE", scripts.parent)
    monkeypatch.setattr(image, "_GUEST_FILES", scripts)
    assert build_guest_image(tmp_path) == first
    (scripts / "init").write_text("#!/bin/sh\n")
    assert build_guest_image(tmp_path) != first


def test_copy_is_readable_by_another_user(tmp_path: Path) -> None:
    original = GuestImage(tmp_path / "vmlinuz", tmp_path / "initrd.img")
    for path in (original.kernel, original.initrd):
        path.write_text(path.name)
        path.chmod(0o600)
    copied = original.copy_to(tmp_path / "shared")
    assert copied.kernel.read_text() == "vmlinuz"
    assert stat.S_IMODE(copied.initrd.stat().st_mode) == 0o644
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == ["initrd.img", "vmlinuz"]


def test_apt_dependencies_are_read_with_alternatives_and_providers() -> None:
    # As printed by apt 2.6 (Debian 12) and 2.7 (Ubuntu 24.04).
    listing = """\
qemu-guest-agent
  PreDepends: init-system-helpers
  Depends: libc6
 |Depends: libglib2.0-0t64
  Depends: <libglib2.0-0>
    libglib2.0-0t64
  Depends: python3:any
  Depends: libfoo:i386
"""
    assert parse_dependencies(listing) == ["init-system-helpers", "libc6", "libglib2.0-0t64", "python3"]


@pytest.mark.parametrize(
    ("metapackage", "known", "expected"),
    [
        (
            "linux-image-cloud-amd64",
            {
                "linux-image-cloud-amd64": ["linux-image-6.1.0-56-cloud-amd64"],
                "linux-image-6.1.0-56-cloud-amd64": ["kmod"],
            },
            ["linux-image-6.1.0-56-cloud-amd64"],
        ),
        (
            "linux-image-virtual",
            {
                "linux-image-virtual": ["linux-image-6.8.0-71-generic"],
                "linux-image-6.8.0-71-generic": ["kmod", "linux-base", "linux-modules-6.8.0-71-generic"],
            },
            ["linux-image-6.8.0-71-generic", "linux-modules-6.8.0-71-generic"],
        ),
    ],
    ids=["debian", "ubuntu"],
)
def test_the_kernel_behind_the_metapackage_is_found(
    metapackage: str, known: dict[str, list[str]], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dependencies(names: list[str]) -> list[str]:
        if names[0] not in known:
            raise PackageError("No packages found")
        return known[names[0]]

    monkeypatch.setattr(packages, "dependencies", dependencies)
    assert packages.kernel_packages() == expected


def test_without_package_lists_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    (lists / "partial").mkdir(parents=True)
    configuration = tmp_path / "apt.conf"
    configuration.write_text(
        f'Dir::State::lists "{lists}";\nDir::State::status "/dev/null";\nDir::Cache "{tmp_path}";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(configuration))
    with pytest.raises(PackageError, match="Run `apt-get update` as root"):
        packages.kernel_packages()
    with pytest.raises(PackageError, match="Run `apt-get update` as root"):
        PackageTree(tmp_path).add(["busybox-static"])


@pytest.mark.parametrize("compression", ["", ".xz", ".zst"])
def test_compressed_modules_are_unpacked_whatever_the_distribution_uses(compression: str, tmp_path: Path) -> None:
    content = b"\x7fELF module" * 100
    path = tmp_path / f"button.ko{compression}"
    packed = {
        "": lambda: content,
        ".xz": lambda: lzma.compress(content),
        ".zst": lambda: subprocess.run(["zstd", "-cq"], input=content, capture_output=True, check=True).stdout,
    }
    path.write_bytes(packed[compression]())
    assert image._decompressed(path, PackageTree(tmp_path)) == content


def test_zstd_is_fetched_where_it_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = subprocess.run(["zstd", "-cq"], input=b"module", capture_output=True, check=True).stdout
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert image._unzstd(packed, PackageTree(tmp_path)) == b"module"


def test_archive_is_read_back_by_cpio(tmp_path: Path) -> None:
    archive = Archive()
    archive.file("a/b/odd", b"12345", 0o755)
    archive.symlink("link", "a/b/odd")
    subprocess.run(["cpio", "-idm", "--quiet"], input=archive.pack(), cwd=tmp_path, check=True)
    assert (tmp_path / "link").read_bytes() == b"12345"
    assert stat.S_IMODE((tmp_path / "a/b/odd").stat().st_mode) == 0o755
