"""The authority on PostgreSQL servers for tests: each one private, disposable and killable.

`python -m tests.support.postgres COMMAND …` runs a command, pytest for example, with DATABASE_URL naming a server of
its own. A test that stops the server takes one for itself: `PrivatePostgres`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.support.waiting import wait_until

#: PostgreSQL refuses to run as root. Debian's package makes this user.
_UNPRIVILEGED = "postgres"
_SUPERUSER = "postgres"
_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 20.0


class PostgresError(RuntimeError):
    """The server did not do what it must; the message holds the end of its log."""


class Stop(Enum):
    """How a server is stopped, by the signal that says so."""

    FAST = signal.SIGINT
    """Transactions are rolled back, clients sent away, and everything is written down."""
    IMMEDIATE = signal.SIGQUIT
    """As in a crash: the next start recovers from the log."""


class PrivatePostgres:
    """A PostgreSQL of one's own. Use as a context manager, or call `start()` and, whatever happens, `remove()`.

    It listens on a unix socket in a directory that only its user and root may enter, and there it trusts everybody.

    Args:
        durable: Whether a commit is on the disk before it is answered; tests that stop no server do without.
    """

    def __init__(self, *, durable: bool = False) -> None:
        # A short path: a socket's has at most 107 characters.
        self.directory = Path(tempfile.mkdtemp(prefix="vmp-pg-"))
        self._durable = durable
        self._user = pwd.getpwnam(_UNPRIVILEGED) if os.geteuid() == 0 else None
        self._log = self.directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._create()
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def url(self, database: str) -> str:
        """Return what DATABASE_URL names one of its databases by."""
        return f"postgres://{_SUPERUSER}@/{self.directory}/{database}"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        durability = "on" if self._durable else "off"
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.directory),
            "fsync": durability,
            "full_page_writes": durability,
            "max_connections": "200",
        }
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            process = self._process = self._spawn("postgres", "-D", str(self._data), *options, output=log.fileno())

        def answers() -> bool:
            if process.poll() is not None:
                raise PostgresError(f"PostgreSQL ended at once:\n{self.log_tail()}")
            try:
                psycopg.connect(_parameters(self.url("postgres"))).close()
            except psycopg.OperationalError:
                return False
            return True

        wait_until(answers, "PostgreSQL answers", _START_TIMEOUT, 0.05)

    def stop(self, how: Stop = Stop.FAST) -> None:
        """Stop the server, and wait until it has ended. Its databases stay."""
        if self._process is None:
            return
        self._process.send_signal(how.value)
        self._process.wait(_STOP_TIMEOUT)
        self._process = None

    def remove(self) -> None:
        """Stop the server, and leave no file behind. May be called in any state, and again."""
        try:
            self.stop(Stop.IMMEDIATE)
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def log_tail(self, lines: int = 20) -> str:
        """Return the end of the server's log, for messages of failed tests."""
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _create(self) -> None:
        if self._user is not None:
            os.chown(self.directory, self._user.pw_uid, self._user.pw_gid)
        options = [
            "--username",
            _SUPERUSER,
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--locale",
            "C.UTF-8",
            "--no-sync",
        ]
        with self._log.open("wb") as log:
            process = self._spawn("initdb", "--pgdata", str(self._data), *options, output=log.fileno())
        if process.wait(_START_TIMEOUT) != 0:
            raise PostgresError(f"initdb failed:\n{self.log_tail()}")

    def _spawn(self, program: str, *arguments: str, output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [_program(program), *arguments],
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl+C in the terminal is for the tests, which then stop the server
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
            extra_groups=[] if self._user else None,
        )


def _program(name: str) -> str:
    """Return the path of one of the server's programs. Debian keeps those of each version in a directory of its own."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    path = shutil.which(name, path=os.pathsep.join([*map(str, reversed(versions)), os.environ["PATH"]]))
    if path is None:
        raise PostgresError(f"{name} is not installed: apt-get install postgresql")
    return path


def _parameters(url: str) -> str:
    """Return what DATABASE_URL says as libpq takes it: the socket's directory stands before the name there."""
    parts = urlsplit(url)
    directory, _, database = parts.path.rpartition("/")
    given = {"host": directory[1:] or parts.hostname, "user": parts.username, "password": parts.password}
    known = {name: unquote(value) for name, value in given.items() if value}
    return make_conninfo(dbname=database, port=parts.port, **known)


def is_postgres(url: str) -> bool:
    """Say whether a DATABASE_URL names a PostgreSQL server."""
    return urlsplit(url).scheme.startswith(("postgres", "pgsql"))


@contextlib.contextmanager
def new_database(server: str) -> Iterator[str]:
    """Make a database on the server of a DATABASE_URL, and yield the URL of it; at the end it is dropped."""
    name = f"portal_{secrets.token_hex(6)}"
    _execute(server, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield f"{server.rpartition('/')[0]}/{name}"
    finally:
        _execute(server, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _execute(url: str, statement: sql.Composed) -> None:
    # A connection for each: the server may have been stopped in between.
    with psycopg.connect(_parameters(url), autocommit=True) as connection:
        connection.execute(statement)


def main() -> int:
    """Run a command with a server of its own; its exit status is ours."""
    with PrivatePostgres() as server:
        environment = {**os.environ, "DATABASE_URL": server.url("postgres")}
        with subprocess.Popen(sys.argv[1:], env=environment) as command:
            while True:
                try:
                    return command.wait()
                except KeyboardInterrupt:
                    continue  # the terminal sent it to the command as well, which is cleaning up


if __name__ == "__main__":
    sys.exit(main())
