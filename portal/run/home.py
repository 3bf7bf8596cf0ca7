"""The authority on what lies in PORTAL_HOME, who may read it, and that one instance at a time uses it."""

import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management.utils import get_random_secret_key

from portal.env import Config


class HomeError(Exception):
    """PORTAL_HOME cannot be used; the message says why and what to do."""


def prepare(config: Config) -> None:
    """Make the directories. Everything in them is the owner's alone, except what QEMU's own user must reach."""
    try:
        config.home.mkdir(parents=True, exist_ok=True)
        # Guest images are read by QEMU, which libvirt runs as another user: it may pass through, not look around.
        config.home.chmod(0o711)
        for name in ("log", "redis"):
            _private_directory(config.home / name)
        _private_directory(config.run)
        if config.run.parent != config.home:
            _link(config.home / "run", config.run)
    except OSError as error:
        raise HomeError(
            f"PORTAL_HOME {config.home} cannot be used: {error}. Name a directory you may write to."
        ) from error


def _private_directory(path: Path) -> None:
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise HomeError(f"{path} is not a directory of yours. Remove it, or choose another PORTAL_HOME.")
    path.chmod(0o700)


def _link(link: Path, target: Path) -> None:
    """Let `home/run` lead to the sockets although they lie elsewhere."""
    if link.is_symlink():
        link.unlink()
    if not link.exists():
        link.symlink_to(target)


@contextmanager
def held(config: Config) -> Iterator[None]:
    """Hold the home for this process. The kernel lets go when the process ends, however it ends.

    Raises HomeError when another process holds it.
    """
    with (config.home / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "another process"
            raise HomeError(
                f"The portal in {config.home} is running already ({owner}). "
                "Stop that one, or set PORTAL_HOME and PORTAL_PORT for a second one."
            ) from None
        lock.seek(0)
        lock.truncate()
        lock.write(f"process {os.getpid()}, {config.url}\n")
        lock.flush()
        yield
        lock.truncate(0)


def secret_key(config: Config) -> str:
    """The instance's secret key, made at the first start."""
    return _kept(config.home / "secret-key", get_random_secret_key)


def admin_password(config: Config) -> str:
    """The administrator's first password: the one given, else one made at the first start and kept."""
    return config.admin_password or _kept(config.home / "admin-password", lambda: secrets.token_urlsafe(12))


def _kept(path: Path, make: Callable[[], str]) -> str:
    """The line in a file that only its owner may read; made when there is none."""
    try:
        kept = path.read_text().strip()
    except FileNotFoundError:
        kept = ""
    if kept:
        return kept
    made = make()
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(made + "\n")
    draft.replace(path)
    return made
