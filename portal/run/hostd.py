"""libvirt's daemons on a machine where nothing else starts them.

With systemd, libvirtd is its business. Without (a container, a chroot), the portal runs virtlogd and libvirtd under a
small supervisor of their own, shared by all instances on the machine: each holds a shared lock, and the last one to
let go stops what was started. A libvirtd that somebody else started is used, and left alone.

`python -m portal.run.hostd COMMAND …` runs a command with the daemons up.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from portal.env import LIBVIRT_SYSTEM, load
from portal.run.processes import marked, running, stop, wait_until

RUN = Path("/run/vm-portal")
MARK_OF_HOST = "VM_PORTAL_HOST_DAEMONS"
CONFIGURATION = Path(__file__).resolve().parent.parent / "supervisord-libvirt.conf"

QEMU_CONFIGURATION = Path("/etc/libvirt/qemu.conf")
NO_NAMESPACES = "namespaces = []  # VM Portal: / is no mount point here; taken out when the portal stops libvirtd\n"

#: Seconds. libvirtd takes about one to start, ten on a machine that is busy.
START_PATIENCE = 40
STOP_PATIENCE = 20


class HostError(Exception):
    """There is no libvirt to talk to; the message says why and what to do."""


@contextlib.contextmanager
def available(uri: str) -> Iterator[None]:
    """Have `uri` answer while the context lasts, as far as that is the portal's to arrange.

    Raises HostError when the machine's own libvirt cannot be brought to answer.
    """
    if uri != LIBVIRT_SYSTEM or os.geteuid() != 0 or Path("/run/systemd/system").is_dir():
        if uri == LIBVIRT_SYSTEM and not _answers():
            _start_with_systemd()
        yield
        return
    RUN.mkdir(mode=0o700, exist_ok=True)
    with (RUN / "users.lock").open("a") as users:
        with _one_at_a_time():
            fcntl.flock(users, fcntl.LOCK_SH)
            if not _answers():
                _start()
        try:
            yield
        finally:
            with _one_at_a_time():
                _leave(users)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    with (RUN / "change.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _answers() -> bool:
    """Whether the machine's libvirt answers, asked the way everybody asks it."""
    try:
        asked = subprocess.run(
            ["virsh", "--quiet", "--connect", LIBVIRT_SYSTEM, "uri"], capture_output=True, timeout=10, check=False
        )
    except (subprocess.TimeoutExpired, FileNotFoundError):
        return False
    return asked.returncode == 0


def _start_with_systemd() -> None:
    command = ["systemctl", "start", "libvirtd.service"]
    if os.geteuid() != 0:
        command.insert(0, "sudo")
    if subprocess.run(command, check=False).returncode or not wait_until(_answers, START_PATIENCE, 0.5):
        raise HostError(
            f"{LIBVIRT_SYSTEM} does not answer. Look at `systemctl status libvirtd`, add yourself to the group "
            "libvirt, or name another host with PORTAL_LIBVIRT_URI."
        )


def _start() -> None:
    _stop()  # a supervisor whose libvirtd does not answer is of no use to anybody
    if not _root_is_mounted():
        with QEMU_CONFIGURATION.open("a") as configuration:
            configuration.write(NO_NAMESPACES)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
    supervisord = Path(sys.executable).with_name("supervisord")
    # Becomes a daemon: it serves other instances too, and may outlive the one that started it.
    subprocess.run(
        [supervisord, "--configuration", CONFIGURATION, "--silent"],
        env=clean | {MARK_OF_HOST: "1"},
        cwd="/",
        check=True,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        umask=0o022,  # QEMU's user must find its way into libvirt's directories
    )
    if not wait_until(_answers, START_PATIENCE, 0.2):
        _stop()
        raise HostError(f"libvirtd does not answer. Its last words are in {RUN}/libvirtd.log and {RUN}/virtlogd.log.")


def _root_is_mounted() -> bool:
    """Whether / is a mount point, which it is not in a plain chroot. There libvirt cannot give a guest its own /dev."""
    return any(line.split()[4] == "/" for line in Path("/proc/self/mountinfo").read_text().splitlines())


def _leave(users: IO[str]) -> None:
    """Stop what was started, unless another instance still holds the lock."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(users, fcntl.LOCK_UN)
        return
    if _stop():
        for path in RUN.glob("*.log*"):
            path.unlink(missing_ok=True)
    fcntl.flock(users, fcntl.LOCK_UN)


def _ours() -> list[int]:
    """The daemons the portal started, whether or not their supervisor still lives. Guests are not among them."""
    return [pid for pid in marked(MARK_OF_HOST, "1") if _program(pid) in ("supervisord", "libvirtd", "virtlogd")]


def _probes() -> list[int]:
    """QEMUs that libvirtd started to learn what QEMU can do. One that ends in the middle of it leaves them behind."""
    return [pid for pid in running() if b"/var/lib/libvirt/qemu/qmp-" in _command(pid)]


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _program(pid: int) -> str:
    """What the kernel calls the process: a Python script goes by the script's name."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _stop() -> bool:
    """Stop the daemons the portal started. False when there were none."""
    if not _ours():
        return False
    stop(_ours, STOP_PATIENCE)
    stop(_probes, 1)
    text = QEMU_CONFIGURATION.read_text()
    if NO_NAMESPACES in text:
        QEMU_CONFIGURATION.write_text(text.replace(NO_NAMESPACES, ""))
    return True


def main() -> int:
    """Run a command with the daemons up; its exit status is ours."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    try:
        with available(load().libvirt_uri), subprocess.Popen(sys.argv[1:]) as command:
            while True:
                try:
                    return command.wait()
                except KeyboardInterrupt:
                    continue  # the terminal sent it to the command as well, which is cleaning up
                except SystemExit:
                    command.terminate()
                    raise
    except HostError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    if not shutil.which("virsh"):
        sys.exit("virsh is missing: install the package libvirt-clients.")
    sys.exit(main())
