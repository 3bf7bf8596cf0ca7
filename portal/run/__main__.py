"""`python -m portal.run`: one instance of the portal, from nothing to nothing.

Whatever is set up here is taken down again in the opposite order: on Ctrl+C, SIGTERM, a closed terminal or an error.
After a SIGKILL the supervisor ends with us (the kernel tells it), and the next start clears away what may be left.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from types import FrameType

from portal import env
from portal.run import home, hostd, processes
from portal.run.prepare import prepare_database, prepare_static_files

CONFIGURATION = env.BASE_DIR / "portal" / "supervisord.conf"

#: Seconds. supervisord gives its slowest process 10; the first page after a start takes a few on a busy machine.
STOP_PATIENCE = 25
READY_PATIENCE = 90
#: A supervisor that ends by itself this many times, each time within a minute, is not started again.
MOST_ENDS = 3


class StartError(Exception):
    """The portal cannot start; the message says why and what to do."""


class Stopped(BaseException):
    """Somebody asked the portal to stop. Like KeyboardInterrupt, nothing should catch it in passing."""


def say(text: str = "") -> None:
    """Tell the person at the terminal, if there still is one."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def main() -> int:
    """Run the portal until it is told to stop. The exit status is 0 only then."""
    config = env.load()
    for problem in config.problems:
        if problem.id != env.UNPREPARED_HOME:  # one is about to be made
            say(f"{'error' if problem.fatal else 'warning'}: {problem}")
    if config.errors:
        return 2
    _handle_signals()
    try:
        _run(config)
    except Stopped:
        say("Stopped. Nothing of the portal is left running.")
        return 0
    except (StartError, home.HomeError, hostd.HostError) as error:
        say(f"error: {error}")
        return 1
    return 1


def _handle_signals() -> None:
    """Turn the first request to stop into an exception; later ones must not interrupt the clearing away."""
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def handle(number: int, frame: FrameType | None) -> None:
        for each in wanted:
            signal.signal(each, signal.SIG_IGN)
        say("\nStopping …")
        raise Stopped

    for each in wanted:
        signal.signal(each, handle)


def _run(config: env.Config) -> None:
    os.umask(0o077)
    home.prepare(config)
    with contextlib.ExitStack() as stack:
        stack.enter_context(home.held(config))
        _clear_away(config)
        home.prepare(config)
        _require_free_port(config)
        stack.callback(_clear_away, config)
        home.secret_key(config)
        os.environ.update(_environment(config))
        say("Preparing the database …")
        account = prepare_database(config)
        prepare_static_files(config)
        if config.libvirt_uri == env.LIBVIRT_SYSTEM:
            say("Looking for libvirt …")
        stack.enter_context(hostd.available(config.libvirt_uri))
        if config.demo:
            say("Preparing the demo guests (the first time this takes a minute) …")
            stack.callback(_demo, config, "down")
            _demo(config, "up")
        say("Starting the portal …")
        with _supervised(config) as supervisor:
            _wait_until_ready(config, supervisor)
            _banner(config, account)
            _keep_running(config, supervisor)


def _clear_away(config: env.Config) -> None:
    """End every process of this instance that is left over, here or from a run that was killed."""
    if not processes.stop(lambda: processes.of_instance(config.home), STOP_PATIENCE):
        raise StartError(f"Processes of this instance cannot be ended: {processes.of_instance(config.home)}")
    for name in ("supervisor.sock", "redis.sock", "supervisord.pid"):
        (config.run / name).unlink(missing_ok=True)
    if config.run.parent != config.home:
        shutil.rmtree(config.run, ignore_errors=True)


def _require_free_port(config: env.Config) -> None:
    family = socket.AF_INET6 if ":" in config.bind else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.bind, config.port))
        except OSError as error:
            raise StartError(
                f"Port {config.port} on {config.bind} cannot be used: {error.strerror}. "
                "Set PORTAL_PORT to a free one, for example PORTAL_PORT=8100 ./dev run"
            ) from None


def _environment(config: env.Config) -> dict[str, str]:
    """What the processes and `supervisord.conf` need to know."""
    return {
        processes.MARK: str(config.home),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "PORTAL_ADMIN_PASSWORD": home.admin_password(config),
        "PORTAL_BIND": config.bind,
        "PORTAL_HOME": str(config.home),
        "PORTAL_LIBVIRT_URI": config.libvirt_uri,
        "PORTAL_OWN_REDIS": str(config.own_redis).lower(),
        "PORTAL_PORT": str(config.port),
        "PORTAL_RUN": str(config.run),
        "PORTAL_VENV": sys.prefix,
        "PORTAL_WORKERS": str(config.workers),
        "PORTAL_WORKER_PROCESSES": str(config.worker_processes),
        "PYTHONUNBUFFERED": "1",
    }


def _demo(config: env.Config, verb: str) -> None:
    """Set the demo guests up or remove those this home made. Without them the portal still works."""
    command = [sys.executable, "-m", "vms.demo", verb, "--home", str(config.home), "--uri", config.libvirt_uri]
    with subprocess.Popen(command, cwd=env.BASE_DIR, start_new_session=True, umask=0o022) as demo:
        try:
            status = demo.wait()
        except Stopped:
            demo.terminate()
            raise
    if status:
        say(f"warning: `vms.demo {verb}` failed; the portal goes on without. PORTAL_DEMO=0 leaves the demo guests out.")


def _spawn(config: env.Config) -> subprocess.Popen[bytes]:
    command = [f"{sys.prefix}/bin/supervisord", "--nodaemon", "--silent", "--configuration", str(CONFIGURATION)]
    # A session of its own: Ctrl+C at the terminal is for us, who then stop it. It ends with us even if we are killed.
    return subprocess.Popen(
        command,
        cwd=env.BASE_DIR,
        env={name: value for name, value in os.environ.items() if name != "PORTAL_ADMIN_PASSWORD"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=processes.end_with_parent,  # noqa: PLW1509  (this process has a single thread)
    )


class Supervisor:
    """The running supervisord; replaced by a new one when it ends by itself."""

    def __init__(self, spawn: Callable[[], subprocess.Popen[bytes]]) -> None:
        self._spawn = spawn
        self.process = spawn()

    def restart(self) -> None:
        """Start a new one in place of the one that ended."""
        self.process = self._spawn()

    def stop(self) -> None:
        """Stop it and, through it, the portal's processes."""
        self.process.terminate()
        try:
            self.process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def _supervised(config: env.Config) -> Iterator[Supervisor]:
    supervisor = Supervisor(lambda: _spawn(config))
    try:
        yield supervisor
    finally:
        supervisor.stop()


def _wait_until_ready(config: env.Config, supervisor: Supervisor) -> None:
    def ready() -> bool:
        if supervisor.process.poll() is not None:
            raise StartError(f"The supervisor ended at once. See {config.home}/log/supervisord.log")
        try:
            with urllib.request.urlopen(f"{config.url}readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    if not processes.wait_until(ready, READY_PATIENCE, 0.1):
        raise StartError(f"The portal does not answer at {config.url}. See the logs in {config.home}/log")


def _banner(config: env.Config, account: str) -> None:
    password = home.admin_password(config) if account != "changed" else "(the one you chose in the portal)"
    try_this = (
        "Select demo-slow and press Reboot: you are told what will happen first."
        if config.demo
        else "Select a VM and press Reboot: you are told what will happen first."
    )
    say(
        f"""
  VM Portal is running.

    Open      {config.url}
    Log in    admin  {password}
    Try       {try_this}
    Logs      {config.home}/log
    Stop      Ctrl+C
"""
    )


def _keep_running(config: env.Config, supervisor: Supervisor) -> None:
    """Watch the supervisor, which watches the rest. Returns only by Stopped or StartError."""
    ends: list[float] = []
    while True:
        supervisor.process.wait()
        ends = [end for end in ends if end > time.monotonic() - 60] + [time.monotonic()]
        if len(ends) >= MOST_ENDS:
            raise StartError(
                f"The supervisor ended {MOST_ENDS} times in a minute. See {config.home}/log/supervisord.log"
            )
        say("The supervisor ended unexpectedly; starting it again …")
        _clear_away(config)
        home.prepare(config)
        supervisor.restart()


if __name__ == "__main__":
    sys.exit(main())
