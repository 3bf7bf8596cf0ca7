"""The authority on libvirt daemons for tests: each one private, disposable and killable.

A `PrivateLibvirtd` is an unprivileged *session* daemon whose every path (configuration, sockets, state, logs) lies in
a temporary directory of its own, so it knows nothing of the machine's real libvirtd nor of another test's. Started by
root it runs as the user QEMU runs as, because a session daemon of root would be the system's.
"""

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.pki import Authority, Certificate
from vms.demo.image import GuestImage

_QEMU_USERS = ("libvirt-qemu", "nobody")
_START_TIMEOUT = 30.0  # seconds
_STOP_TIMEOUT = 10.0
_PORTS_PER_DAEMON = 50


class LibvirtdError(RuntimeError):
    """The daemon did not do what it must; the message holds the end of its log."""


class PrivateLibvirtd:
    """A libvirtd of one's own. Use as a context manager, or call `start()` and, whatever happens, `stop()`.

    `uri` may be opened by any process of this user or of root, e.g. a worker under test.

    Args:
        tls: Also listen for TLS on a loopback port, as the server with this certificate, for clients of this authority.
    """

    def __init__(self, *, tls: tuple[Authority, Certificate] | None = None) -> None:
        # Directly under /tmp, not pytest's own directory: a socket's path has at most 107 characters.
        self.directory = Path(tempfile.mkdtemp(prefix="vmp-", dir="/tmp"))
        # tests.support.reaper removes what a link in TMPDIR leads to, where we cannot any more.
        self._link = Path(tempfile.gettempdir()) / f"{self.directory.name}.link"
        self._link.symlink_to(self.directory)
        self.log = self.directory / "libvirtd.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._user = next(filter(None, map(_user, _QEMU_USERS))) if os.geteuid() == 0 else None
        self.tls_port = _free_port() if tls else None
        self._configure()
        if tls:
            self._configure_tls(*tls)

    @property
    def socket(self) -> Path:
        return self.directory / "run/libvirt/libvirt-sock"

    @property
    def uri(self) -> str:
        return f"qemu:///session?socket={self.socket}"

    @property
    def pid(self) -> int | None:
        """The daemon's process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the daemon and wait until it accepts connections."""
        if self.pid is not None:
            raise LibvirtdError("this libvirtd runs already")
        command = [
            _program("libvirtd"),
            "--config",
            str(self.directory / "libvirtd.conf"),
            "--pid-file",
            str(self.directory / "libvirtd.pid"),
            *(["--listen"] if self.tls_port else []),
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl+C in the terminal is for the tests, which then stop the daemon
                user=self._user.pw_uid if self._user else None,
                group=self._user.pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
            )
        if not _wait(self._answers, _START_TIMEOUT):
            raise LibvirtdError(f"libvirtd did not start:\n{self.log_tail()}")

    def kill(self) -> None:
        """SIGKILL, as a crash would end it. Its guests live on."""
        if self._process is None or self._process.poll() is not None:
            raise LibvirtdError("this libvirtd does not run")
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Kill the daemon, if it runs, and start it again on the same socket with the same guests."""
        if self.pid is not None:
            self.kill()
        self.start()

    def stop(self) -> None:
        """End the daemon and every guest, and leave no file behind. May be called in any state, and again."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        # Whatever the daemon started names this directory on its command line: QEMU's monitor socket lies in it.
        for pid in self.processes():
            _signal(pid, signal.SIGKILL)
        if not _wait(lambda: not self.processes(), _STOP_TIMEOUT):
            raise LibvirtdError(f"processes {self.processes()} outlived their libvirtd")
        shutil.rmtree(self.directory, ignore_errors=True)
        self._link.unlink(missing_ok=True)

    def processes(self) -> list[int]:
        """Process ids of what runs in this directory: QEMU processes and, while it runs, the daemon."""
        needle = os.fsencode(self.directory) + b"/"
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    command = (entry / "cmdline").read_bytes()  # empty for a zombie, which is gone for our purposes
                except OSError:
                    continue
                if needle in command and command.split(b"\0")[0].rpartition(b"/")[2].startswith((b"qemu", b"libvirtd")):
                    found.append(int(entry.name))
        return found

    def install(self, image: GuestImage) -> GuestImage:
        """A copy of the image where this daemon's QEMU can read it; the original may lie in a private directory."""
        copied = GuestImage(self.directory / "images/vmlinuz", self.directory / "images/initrd.img")
        return copied if copied.initrd.exists() else image.copy_to(self.directory / "images")

    def log_tail(self, lines: int = 20) -> str:
        """The end of the daemon's log, for messages of failed tests."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _answers(self) -> bool:
        if self.pid is None:
            raise LibvirtdError(f"libvirtd ended at once:\n{self.log_tail()}")
        # A process of its own asks: libvirt's client library must not be started in the test's process before it forks.
        asked = subprocess.run(
            [_program("virsh"), "--quiet", "--connect", self.uri, "uri"], capture_output=True, timeout=20, check=False
        )
        return asked.returncode == 0

    def _configure(self) -> None:
        for name in ("home", "run", "config", "config/libvirt", "cache", "data", "images", "serial"):
            (self.directory / name).mkdir()
        (self.directory / "libvirtd.conf").write_text('log_filters="3:event 4:util"\nlog_outputs="3:stderr"\n')
        # Its own range of display ports: two daemons that choose from the same one can pick the same port.
        first_port = 20000 + _PORTS_PER_DAEMON * random.randrange(200)
        (self.directory / "config/libvirt/qemu.conf").write_text(
            'stdio_handler = "file"\n'  # no virtlogd
            'vnc_listen = "127.0.0.1"\n'
            f"remote_display_port_min = {first_port}\n"
            f"remote_display_port_max = {first_port + _PORTS_PER_DAEMON - 1}\n"
        )
        if self._user is not None:
            for path in [self.directory, *self.directory.rglob("*")]:
                os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _configure_tls(self, authority: Authority, server: Certificate) -> None:
        files = {"ca_file": authority.own.certificate, "cert_file": server.certificate, "key_file": server.key}
        lines = ["listen_tls = 1", 'listen_addr = "127.0.0.1"', f'tls_port = "{self.tls_port}"']
        for setting, file in files.items():
            copied = self.directory / file.name
            shutil.copy(file, copied)
            if self._user is not None:
                os.chown(copied, self._user.pw_uid, self._user.pw_gid)
            lines.append(f'{setting} = "{copied}"')
        with (self.directory / "libvirtd.conf").open("a") as configuration:
            configuration.write("\n".join(lines) + "\n")

    def _environment(self) -> dict[str, str]:
        paths = {
            "HOME": "home",
            "XDG_RUNTIME_DIR": "run",
            "XDG_CONFIG_HOME": "config",
            "XDG_CACHE_HOME": "cache",
            "XDG_DATA_HOME": "data",
        }
        return {"PATH": os.environ["PATH"], "LC_ALL": "C"} | {key: str(self.directory / p) for key, p in paths.items()}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _program(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if path is None:
        raise LibvirtdError(f"{name} is not installed: apt-get install libvirt-daemon-system libvirt-clients")
    return path


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait(condition: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
