"""The authority on configuration: every environment variable the portal reads, its default, and what makes it wrong.

Wrong values do not raise here. They are collected as problems, each with an id and a hint, and replaced by the
default, so that all of them can be reported at once: by `./dev run`, by `manage.py check` and at a server's start.
"""

import difflib
import hashlib
import ipaddress
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management.utils import get_random_secret_key
from django.core.validators import validate_email

from vms.domain import host_uri

BASE_DIR = Path(__file__).resolve().parent.parent

#: What a person may set. `SUPERVISED` is set by `./dev run` for the processes it starts.
SETTINGS = (
    "PORTAL_ADMIN_PASSWORD",
    "PORTAL_ALLOWED_HOSTS",
    "PORTAL_BIND",
    "PORTAL_DEBUG",
    "PORTAL_DEMO",
    "PORTAL_EMAIL_FROM",
    "PORTAL_HOME",
    "PORTAL_HTTPS",
    "PORTAL_LIBVIRT_URI",
    "PORTAL_LOG_FORMAT",
    "PORTAL_LOG_LEVEL",
    "PORTAL_PORT",
    "PORTAL_SECRET_KEY",
    "PORTAL_TRUSTED_ORIGINS",
    "PORTAL_URL",
    "PORTAL_WEBHOOKS_PRIVATE",
    "PORTAL_WORKERS",
)
SUPERVISED = ("PORTAL_INSTANCE", "PORTAL_OWN_REDIS", "PORTAL_RUN", "PORTAL_VENV", "PORTAL_WORKER_PROCESSES")

LOG_FORMATS = ("console", "json")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
DATABASE_SCHEMES = ("sqlite", "postgres", "postgresql", "pgsql")
REDIS_SCHEMES = ("redis", "rediss", "unix")
#: `smtp+tls` begins in the clear and turns TLS on (port 587, usually); `smtp+ssl` speaks TLS from the start (465).
EMAIL_SCHEMES = ("smtp", "smtp+tls", "smtp+ssl")
LIBVIRT_SYSTEM = "qemu:///system"
LIBVIRT_SESSION = "qemu:///session"
LIBVIRT_SOCKETS = ("/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock")

#: A unix socket's path may be 107 bytes long; supervisord binds "supervisor.sock.<pid>" before it renames it.
_LONGEST_SOCKET_DIRECTORY = 107 - len("/supervisor.sock.4194304")

#: The problem of a home that has not been prepared.
UNPREPARED_HOME = "portal.W017"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration, in words for the person who can mend it."""

    id: str
    message: str
    hint: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint} ({self.id})"


@dataclass(frozen=True, slots=True)
class Config:
    """The portal's configuration, every value usable even where a problem was found."""

    home: Path
    run: Path
    port: int
    bind: str
    admin_password: str
    database: dict[str, Any]
    redis_url: str
    own_redis: bool
    demo: bool
    libvirt_uri: str
    workers: int
    debug: bool
    https: bool
    allowed_hosts: list[str]
    trusted_origins: list[str]
    email: dict[str, Any] = field(repr=False)
    email_from: str
    public_url: str
    webhooks_private: bool
    log_format: str
    log_level: str
    secret_key: str = field(repr=False)
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> list[Problem]:
        """The problems that must be mended before anything may start."""
        return [problem for problem in self.problems if problem.fatal]

    @property
    def worker_processes(self) -> int:
        """How many there are: as many as one host may keep busy, and one for the others."""
        return self.workers + 1

    @property
    def broker_url(self) -> str:
        """`redis_url` as Celery's transport spells it: a unix socket has its own scheme there."""
        if self.redis_url.startswith("unix://"):
            return "redis+socket://" + self.redis_url.removeprefix("unix://")
        return self.redis_url

    @property
    def mails(self) -> bool:
        """True when a mail server is configured; people can then be mailed."""
        return bool(self.email)

    @property
    def connect_address(self) -> str:
        """The address at which this machine reaches the web server: the bound one, or loopback for a wildcard."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.bind, self.bind)  # noqa: S104  (compared, not bound)

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the portal."""
        host = f"[{self.connect_address}]" if ":" in self.connect_address else self.connect_address
        return f"http://{host}:{self.port}/"

    def require(self) -> None:
        """Refuse to go on with a configuration that has errors.

        Raises ImproperlyConfigured. For servers, which Django's own commands do not check.
        """
        if self.errors:
            raise ImproperlyConfigured("\n".join(str(problem) for problem in self.errors))


def run_directory(home: Path) -> Path:
    """Where the sockets of the instance at `home` lie: `home/run`, or a short path where that is too long for one."""
    run = home / "run"
    if len(os.fsencode(run)) <= _LONGEST_SOCKET_DIRECTORY:
        return run
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    # Predictable on purpose: every process of the instance must find it. Owner and mode are checked when it is made.
    return Path("/tmp") / f"vm-portal-{os.getuid()}-{digest}"  # noqa: S108


def default_libvirt_uri() -> str:
    """The machine's own libvirt where this user may use it, else the user's own."""
    if os.geteuid() == 0 or any(os.access(path, os.R_OK | os.W_OK) for path in LIBVIRT_SOCKETS):
        return LIBVIRT_SYSTEM
    return LIBVIRT_SESSION


class _Reader:
    """Reads variables one by one and remembers what was wrong with them."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.env = environ.Env()
        self.env.ENVIRON = dict(variables)
        self.problems: list[Problem] = []

    def problem(self, number: int, message: str, hint: str, *, fatal: bool = True) -> None:
        letter = "E" if fatal else "W"
        self.problems.append(Problem(f"portal.{letter}{number:03d}", message, hint, fatal))

    def text(self, name: str, default: str = "") -> str:
        return str(self.env.str(name, default=default)).strip() or default

    def read(self, number: int, name: str, default: T, parse: Callable[[str], T], hint: str) -> T:
        """The variable as `parse` understands it; what `parse` raises as ValueError is a problem."""
        value = self.text(name)
        if not value:
            return default
        try:
            return parse(value)
        except (ValueError, ImproperlyConfigured, ValidationError):
            self.problem(number, f"{name} is {value!r}, which cannot be used.", hint)
            return default

    def flag(self, number: int, name: str, *, default: bool) -> bool:
        return self.read(
            number, name, default, lambda value: {"0": False, "1": True}[_known(value, ("0", "1"))], "Use 0 or 1."
        )

    def names(self, name: str) -> list[str]:
        return [item.strip() for item in self.env.list(name, default=[]) if item.strip()]


def _known(value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(value)
    return value


def _whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        number = int(value)
        if not lowest <= number <= highest:
            raise ValueError(value)
        return number

    return parse


def _url(schemes: tuple[str, ...]) -> Callable[[str], str]:
    def parse(value: str) -> str:
        _known(urlsplit(value).scheme, schemes)
        return value

    return parse


def _libvirt_uri(value: str) -> str:
    return host_uri.parse(value).text


def _address(value: str) -> str:
    return str(ipaddress.ip_address("127.0.0.1" if value == "localhost" else value))


def _origin(value: str) -> str:
    parts = urlsplit(value)
    _known(parts.scheme, ("http", "https"))
    if not parts.netloc or parts.path not in ("", "/"):
        raise ValueError(value)
    return f"{parts.scheme}://{parts.netloc}"


def _mailbox(value: str) -> str:
    validate_email(parseaddr(value)[1])
    return value


def load(variables: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration from `variables`. Never raises; look at `problems`."""
    reader = _Reader(variables)
    home = Path(os.path.abspath(Path(reader.text("PORTAL_HOME", str(BASE_DIR / "var"))).expanduser()))
    run = run_directory(home)
    https = reader.flag(7, "PORTAL_HTTPS", default=False)
    bind = reader.read(
        2, "PORTAL_BIND", "127.0.0.1", _address, "Give an IP address of this machine, for example 127.0.0.1 or 0.0.0.0."
    )
    redis_url = reader.read(
        5, "REDIS_URL", "", _url(REDIS_SCHEMES), "Use redis://HOST:PORT/0, rediss://… or unix:///PATH; or unset it."
    )
    email = _email(reader)
    config = Config(
        home=home,
        run=run,
        port=reader.read(
            1,
            "PORTAL_PORT",
            8000,
            _whole_number(1, 65535),
            "Give a free TCP port between 1 and 65535, for example 8000.",
        ),
        bind=bind,
        admin_password=reader.text("PORTAL_ADMIN_PASSWORD"),
        database=_database(reader, home),
        redis_url=redis_url or "unix://" + quote(str(run / "redis.sock")),
        own_redis=not redis_url,
        demo=reader.flag(6, "PORTAL_DEMO", default=True),
        libvirt_uri=reader.read(
            8,
            "PORTAL_LIBVIRT_URI",
            default_libvirt_uri(),
            _libvirt_uri,
            f"Use a connection URI as docs/hosts.md has them: {LIBVIRT_SYSTEM}, qemu+ssh://USER@HOST/system, …",
        ),
        workers=reader.read(
            9, "PORTAL_WORKERS", 4, _whole_number(1, 256), "Give the number of worker processes, from 1 to 256."
        ),
        debug=reader.flag(10, "PORTAL_DEBUG", default=False),
        https=https,
        allowed_hosts=_allowed_hosts(reader, bind),
        trusted_origins=_trusted_origins(reader),
        email=email,
        email_from=reader.read(
            20, "PORTAL_EMAIL_FROM", "", _mailbox, "Give an address: VM Portal <vm-portal@example.org>"
        ),
        public_url=reader.read(
            21, "PORTAL_URL", "", _origin, "Give scheme and host without a path: https://vms.example.org"
        ),
        webhooks_private=reader.flag(23, "PORTAL_WEBHOOKS_PRIVATE", default=False),
        log_format=reader.read(
            13,
            "PORTAL_LOG_FORMAT",
            "json",
            lambda value: _known(value, LOG_FORMATS),
            f"Use one of {', '.join(LOG_FORMATS)}.",
        ),
        log_level=reader.read(
            14,
            "PORTAL_LOG_LEVEL",
            "INFO",
            lambda value: _known(value.upper(), LOG_LEVELS),
            f"Use one of {', '.join(LOG_LEVELS)}.",
        ),
        secret_key=_secret_key(reader, home),
        problems=(),
    )
    _require_mail_settings(reader, config)
    _unknown(reader, variables)
    object.__setattr__(config, "problems", tuple(reader.problems))
    return config


def _database(reader: _Reader, home: Path) -> dict[str, Any]:
    default: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(home / "portal.sqlite3")}

    def parse(value: str) -> dict[str, Any]:
        _known(urlsplit(value).scheme, DATABASE_SCHEMES)
        database: dict[str, Any] = reader.env.db_url_config(value)
        return database

    return reader.read(
        4,
        "DATABASE_URL",
        default,
        parse,
        "Use postgres://USER:PASSWORD@HOST:5432/NAME or sqlite:////PATH; or unset it.",
    )


def _email(reader: _Reader) -> dict[str, Any]:
    """Django's e-mail settings; none while mail is off."""

    def parse(value: str) -> dict[str, Any]:
        parts = urlsplit(value)
        _known(parts.scheme, EMAIL_SCHEMES)
        if not parts.hostname:
            raise ValueError(value)
        settings: dict[str, Any] = reader.env.email_url_config(value)
        settings["EMAIL_PORT"] = parts.port or {"smtp": 25, "smtp+tls": 587, "smtp+ssl": 465}[parts.scheme]
        return settings

    return reader.read(19, "EMAIL_URL", {}, parse, "Use smtp+tls://USER:PASSWORD@HOST:587, smtp+ssl://… or smtp://…")


def _require_mail_settings(reader: _Reader, config: Config) -> None:
    for name, value, example in (
        ("PORTAL_EMAIL_FROM", config.email_from, "VM Portal <vm-portal@example.org>"),
        ("PORTAL_URL", config.public_url, "https://vms.example.org"),
    ):
        if config.mails and not value and not reader.text(name):
            reader.problem(22, f"EMAIL_URL is set, but {name} is not.", f"Set it, for example {name}={example}")


def _allowed_hosts(reader: _Reader, bind: str) -> list[str]:
    own = ["localhost", "127.0.0.1", "[::1]", socket.gethostname().lower()]
    named = reader.names("PORTAL_ALLOWED_HOSTS")
    if named:
        # Loopback stays, so that the health endpoints answer on the machine itself.
        return list(dict.fromkeys([*named, *own]))
    if ipaddress.ip_address(bind).is_unspecified:
        reader.problem(
            11,
            f"PORTAL_BIND={bind} opens the portal to the network; PORTAL_ALLOWED_HOSTS does not say under which names.",
            "Set it to the names people type, comma-separated: PORTAL_ALLOWED_HOSTS=vms.example.org,192.0.2.7",
        )
    return list(dict.fromkeys([*own, f"[{bind}]" if ":" in bind else bind]))


def _trusted_origins(reader: _Reader) -> list[str]:
    origins = []
    for name in reader.names("PORTAL_TRUSTED_ORIGINS"):
        try:
            origins.append(_origin(name))
        except ValueError:
            reader.problem(
                12,
                f"PORTAL_TRUSTED_ORIGINS contains {name!r}, which is not an origin.",
                "Give scheme and host without a path, comma-separated: https://vms.example.org",
            )
    return origins


def _secret_key(reader: _Reader, home: Path) -> str:
    key = reader.text("PORTAL_SECRET_KEY")
    if key:
        if len(key) < 32:
            reader.problem(
                15,
                "PORTAL_SECRET_KEY is shorter than 32 characters.",
                "Give a longer one, or unset it: one is made for you.",
            )
        return key
    try:
        key = (home / "secret-key").read_text().strip()
    except FileNotFoundError:
        key = ""
    except OSError as error:
        reader.problem(16, f"The secret key cannot be read: {error}.", "Run as the user who owns PORTAL_HOME.")
    if key:
        return key
    reader.problem(
        17,
        f"There is no secret key in {home}: sessions end with this process.",
        "`./dev run` makes one; elsewhere set PORTAL_SECRET_KEY.",
        fatal=False,
    )
    return get_random_secret_key()


def _unknown(reader: _Reader, variables: Mapping[str, str]) -> None:
    known = (*SETTINGS, *SUPERVISED)
    for name in sorted(variables):
        if name.startswith("PORTAL_") and name not in known:
            near = difflib.get_close_matches(name, SETTINGS, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(SETTINGS)}."
            reader.problem(18, f"{name} is not a setting of the portal.", hint, fatal=False)
