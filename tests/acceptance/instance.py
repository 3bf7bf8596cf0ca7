"""An instance of the portal as `./dev run` starts it: its own home and port, every process real.

Tests drive it over HTTP, as a browser does, read its database, and kill its processes.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from uuid import UUID
from xmlrpc.client import ServerProxy

from django.db import connections
from redis import Redis
from supervisor.xmlrpc import SupervisorTransport

from portal.databases import connection_settings
from portal.env import BASE_DIR, load, run_directory
from tests.support.waiting import wait_until
from vms.models import Event, Host, Operation, OperationStep, PortalDefaults, VirtualMachine

#: The alias under which the tests read the instance's database.
DATABASE = "default"
PASSWORD = "acceptance-password"
#: Variables of the tests' own surroundings that mean something to a portal.
_NOT_PASSED_ON = ("PORTAL_", "DJANGO_", "DATABASE_", "REDIS_", "EMAIL_")
_START_TIMEOUT = 120.0
_STOP_TIMEOUT = 40.0


@dataclass(frozen=True)
class Answer:
    """What the portal answered to one request."""

    status: int
    body: str
    url: str


class Browser:
    """A person's session with the portal, without a screen."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._jar = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._jar))

    def get(self, path: str) -> Answer:
        """Ask for a page."""
        return self._open(urllib.request.Request(urllib.parse.urljoin(self._url, path)))

    def post(self, path: str, **fields: object) -> Answer:
        """Send a form, with its CSRF token."""
        token = next((cookie.value for cookie in self._jar if "csrf" in cookie.name), None) or ""
        data = urllib.parse.urlencode({"csrfmiddlewaretoken": token, **fields}, doseq=True).encode()
        request = urllib.request.Request(urllib.parse.urljoin(self._url, path), data)
        return self._open(request)

    def log_in(self, name: str, password: str) -> None:
        """Log in through the login page."""
        self.get("/login/")
        answer = self.post("/login/", username=name, password=password)
        if "/login/" in answer.url:
            raise AssertionError(f"{name} could not log in: {answer.body[:500]}")

    @property
    def cookies(self) -> str:
        """What it sends along as its cookies."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._jar)

    def _open(self, request: urllib.request.Request) -> Answer:
        try:
            with self._opener.open(request, timeout=30) as reply:
                return Answer(reply.status, reply.read().decode(), reply.url)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode(), error.url or "")


class Person(Browser):
    """Somebody who has logged in and knows the portal's forms."""

    def act(self, action: str, machine: VirtualMachine, **fields: object) -> Operation:
        """Confirm an action on one VM, as its dialog does, and return the operation that was accepted."""
        answer = self.try_to(action, machine, **fields)
        if answer.status != HTTPStatus.OK:
            raise AssertionError(f"{action} of {machine.name} was answered {answer.status}: {answer.body[:2000]}")
        return Operation.objects.filter(vm=machine).latest("created_at")

    def set_defaults(self, **changed: int) -> None:
        """Save the portal's defaults as they are but for these."""
        now = PortalDefaults.load()
        fields = {
            "graceful_delay": now.graceful_delay,
            "bulk_in_flight": now.bulk_in_flight,
            "keep_events": now.keep_events,
            "keep_operations": now.keep_operations,
        }
        if now.force:
            fields["force"] = 1
        answer = self.post("/defaults/", **fields | changed)
        if answer.status != HTTPStatus.OK:
            raise AssertionError(f"saving {changed} was answered {answer.status}: {answer.body[:2000]}")

    def try_to(self, action: str, machine: VirtualMachine, **fields: object) -> Answer:
        """Confirm an action on one VM, whatever comes of it."""
        return self.post(f"/vms/{action.replace('_', '-')}/", vm=machine.pk, **fields)

    def steer(self, operation: Operation, verb: str) -> Answer:
        """Press Force now, Extend or Cancel on a running operation."""
        return self.post(f"/operations/{operation.pk}/{verb}/")


class Instance:
    """One running portal.

    Args:
        database_url: Its DATABASE_URL; empty for SQLite in its home.

    Attributes:
        home: Its PORTAL_HOME.
        url: Where it answers.
    """

    def __init__(self, home: Path, libvirt_uri: str, database_url: str = "", **environment: str) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)},
            "DATABASE_URL": database_url,
            "PORTAL_HOME": str(home),
            "PORTAL_PORT": str(self.port),
            "PORTAL_ADMIN_PASSWORD": PASSWORD,
            "PORTAL_LIBVIRT_URI": libvirt_uri,
            "PORTAL_DEMO": "0",
            "PORTAL_WORKERS": "2",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._log = home.parent / f"{home.name}.log"

    # The whole of it.

    def start(self) -> None:
        """Start it, and wait until it says that it runs."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "portal.run"], cwd=BASE_DIR, env=self._environment, stdout=log, stderr=log
            )
        process = self._process

        def says_so() -> bool:
            if process.poll() is not None:
                raise AssertionError(f"the portal did not start:\n{self._log.read_text()}")
            return "VM Portal is running" in self._log.read_text()

        wait_until(says_so, "the portal runs", _START_TIMEOUT, 0.05)

    def stop(self) -> None:
        """Stop it as Ctrl+C does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(_STOP_TIMEOUT)
            self._process = None

    @property
    def output(self) -> str:
        """What it wrote to the terminal."""
        return self._log.read_text()

    def log(self, name: str) -> str:
        """Return the log of one process."""
        return (self.home / "log" / f"{name}.log").read_text()

    # Its processes.

    def pid(self, name: str) -> int:
        """Return the process id of `web`, `worker`, `beat`, `watcher` or `redis`; 0 while it is being restarted."""
        try:
            with self._supervisor() as supervisor:
                # A mapping with, among others, "pid" (0 when it does not run) and "statename".
                process: Any = supervisor.supervisor.getProcessInfo(name)
        except (OSError, HTTPException):
            return 0
        return int(process["pid"])

    def stop_process(self, name: str) -> None:
        """End one process for good, as `supervisorctl stop` does."""
        with self._supervisor() as supervisor:
            supervisor.supervisor.stopProcess(name)

    def start_process(self, name: str) -> None:
        """Start one process again that was ended for good."""
        with self._supervisor() as supervisor:
            supervisor.supervisor.startProcess(name)

    def _supervisor(self) -> ServerProxy:
        # Asked often, while a test waits: a supervisorctl for each question would cost more than what is tested.
        return ServerProxy("http://127.0.0.1", SupervisorTransport(serverurl=f"unix://{self._run}/supervisor.sock"))

    def kill(self, name: str) -> int:
        """SIGKILL one process with its children, as a crash of the machine's part would; returns its process id."""
        pid = wait_until(lambda: self.pid(name), f"{name} runs")
        for victim in (pid, *children(pid)):
            kill(victim)
        return pid

    @contextmanager
    def standing_still(self, name: str) -> Iterator[None]:
        """Let one process with its children do nothing for a while; nobody has to wait for a lock of theirs."""
        pid = wait_until(lambda: self.pid(name), f"{name} runs")
        processes = (pid, *children(pid))

        def signal_all(number: signal.Signals) -> None:
            for each in processes:
                os.kill(each, number)

        def stopped_outside_a_transaction() -> bool:
            signal_all(signal.SIGSTOP)
            if not _any_lock():
                return True
            signal_all(signal.SIGCONT)
            return False

        try:
            wait_until(stopped_outside_a_transaction, f"{name} stands still and holds nothing")
            yield
        finally:
            signal_all(signal.SIGCONT)

    def kill_all(self, names: Sequence[str]) -> None:
        """SIGKILL several processes with their children within the same moment, and wait until all run again."""
        was = {name: wait_until(lambda name=name: self.pid(name), f"{name} runs") for name in names}  # type: ignore[misc]
        for victim in [victim for pid in was.values() for victim in (*children(pid), pid)]:
            kill(victim)
        for name, pid in was.items():
            self.wait_restarted(name, pid)

    def wait_restarted(self, name: str, was: int) -> None:
        """Wait until a process that was killed runs again."""
        wait_until(lambda: self.pid(name) not in (0, was), f"{name} runs again", 15)

    def wait_answers(self) -> None:
        """Wait until the web answers, after it was restarted."""
        browser = Browser(self.url)
        wait_until(lambda: _answers(browser), "the web answers", _START_TIMEOUT, 0.1)

    @contextmanager
    def doubled(self) -> Iterator[Person]:
        """Run every process but Redis a second time, as somebody might by mistake; the web on another port.

        Yields:
            The administrator, logged in to the second web.
        """
        port = free_port()
        with ExitStack() as started:
            for name in ("web", "worker", "beat", "watcher"):
                started.enter_context(self._copy(name, port))
            person = Person(f"http://127.0.0.1:{port}/")
            wait_until(lambda: _answers(person), "the second web answers", _START_TIMEOUT, 0.1)
            person.log_in("admin", PASSWORD)
            yield person

    @contextmanager
    def _copy(self, name: str, port: int) -> Iterator[None]:
        """Run one process a second time: the same command, in the same surroundings."""
        running = Path(f"/proc/{self.pid(name)}")
        command = [os.fsdecode(word) for word in (running / "cmdline").read_bytes().split(b"\0")[:-1]]
        if "--port" in command:
            command[command.index("--port") + 1] = str(port)
        variables = [word.partition(b"=") for word in (running / "environ").read_bytes().split(b"\0") if word]
        environment = {os.fsdecode(variable): os.fsdecode(value) for variable, _, value in variables}
        # Cookies are named for the port that the web itself has.
        environment["PORTAL_PORT"] = str(port)
        with (self.home / "log" / f"{name}-2.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=BASE_DIR, env=environment, stdout=log, stderr=log)
        try:
            yield
            if process.poll() is not None:
                raise AssertionError(f"the second {name} ended: {self.log(f'{name}-2')[-2000:]}")
        finally:
            for pid in (process.pid, *children(process.pid)):
                kill(pid)
            process.wait()

    @property
    def _run(self) -> Path:
        return run_directory(self.home)

    @property
    def redis_socket(self) -> Path:
        """Where its Redis listens."""
        return self._run / "redis.sock"

    def redis(self) -> Redis:
        """Return a connection to its Redis."""
        return Redis(unix_socket_path=str(self.redis_socket))

    # What it says.

    def person(self, name: str = "admin", password: str = PASSWORD) -> Person:
        """Return the session of somebody who has logged in."""
        person = Person(self.url)
        person.log_in(name, password)
        return person

    @contextmanager
    def database(self) -> Iterator[None]:
        """Let the models of this process read and write the instance's database."""
        was = connections.settings[DATABASE]
        # As its own processes connect to it, whatever database these tests run on.
        its = connection_settings(load(self._environment).database)
        _use(connections.configure_settings({DATABASE: its})[DATABASE])
        try:
            yield
        finally:
            _use(was)


def _answers(browser: Browser) -> bool:
    """Say whether a web server answers that its database and broker do."""
    try:
        return browser.get("/readyz").status == HTTPStatus.OK
    except OSError:
        return False


def _any_lock() -> bool:
    """Say whether somebody is in a transaction that keeps others from writing."""
    connection = connections[DATABASE]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            others = "datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
            cursor.execute(f"SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE {others})")
            (found,) = cursor.fetchone()
            return bool(found)
    # A connection of its own, which does not wait.
    with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=0, isolation_level=None)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        database.execute("ROLLBACK")
        return False


def _use(settings: dict[str, Any]) -> None:
    """Have this thread's models, and those of threads to come, use another database."""
    connections[DATABASE].close()
    del connections[DATABASE]
    connections.settings[DATABASE] = settings


def vm(name: str) -> VirtualMachine:
    """Return a VM once the portal has found it on its host."""
    return wait_until(
        lambda: VirtualMachine.objects.select_related("host").filter(name=name).first(), f"{name} was found", 20
    )


def operation(pk: UUID | str) -> Operation:
    """Return an operation as it is now."""
    return Operation.objects.select_related("vm__host").get(pk=pk)


def ended(pk: UUID | str, timeout: float = 60) -> Operation:
    """Wait until an operation has ended, and return it."""
    return wait_until(
        lambda: next((row for row in [operation(pk)] if not row.active), None), "the operation has ended", timeout, 0.05
    )


def wait_step(pk: UUID | str, kind: str, timeout: float = 30, **fields: Any) -> OperationStep:
    """Wait until an operation's journal has a step, and return it."""
    steps = OperationStep.objects.filter(operation_id=pk, kind=kind, **fields)
    return wait_until(steps.first, f"the journal has {kind}", timeout, 0.01)


def wait_status(machine: VirtualMachine, status: str, timeout: float = 60) -> None:
    """Wait until the portal shows a VM in a status."""

    def shown() -> bool:
        machine.refresh_from_db()
        return machine.status == status

    wait_until(shown, f"{machine.name} is {status}", timeout, 0.05)


def messages(machine: VirtualMachine) -> list[str]:
    """Return what the events say of a VM, oldest first."""
    return list(Event.objects.filter(vm=machine).order_by("id").values_list("message", flat=True))


def host() -> Host:
    """Return the only host."""
    return Host.objects.get()


def children(pid: int) -> list[int]:
    """Return the process ids of a process's children."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in task.read_text().split()]
    return found


def kill(pid: int) -> None:
    """SIGKILL a process, if it is still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def free_port() -> int:
    """Return a loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
