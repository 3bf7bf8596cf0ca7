"""Ansible as its users run it: a playbook or an inventory, from an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portal.env import BASE_DIR
from tests.acceptance.instance import PASSWORD

#: Made by `./dev test`.
_BIN = BASE_DIR / ".venv-ansible" / "bin"
Task = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What came of a playbook.

    Attributes:
        results: Of each task that has a name, by it.
        failed: Some task has failed.
    """

    results: dict[str, dict[str, Any]]
    failed: bool

    @property
    def changed(self) -> set[str]:
        """Names of the tasks that changed something."""
        return {name for name, result in self.results.items() if result.get("changed")}


class Ansible:
    """Somebody who logs in to a portal by Ansible.

    Args:
        directory: Of its own, for playbooks and whatever Ansible keeps.
    """

    def __init__(self, directory: Path, api: str, name: str = "admin@internal", password: str = PASSWORD) -> None:
        self._directory = directory
        self._login = {"url": api, "username": name, "password": password, "insecure": True}

    def play(self, tasks: Sequence[Task]) -> Outcome:
        """Log in, carry out tasks in their order up to the first that fails, and log out."""
        login = {"name": "log in", "ovirt.ovirt.ovirt_auth": self._login}
        logout = {"ovirt.ovirt.ovirt_auth": {"state": "absent", "ovirt_auth": "{{ ovirt_auth }}"}}
        carried_out = {"block": [_with_login(task) for task in tasks], "always": [logout]}
        whole = [
            {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [login, carried_out]},
        ]
        path = self._directory / "playbook.yml"
        path.write_text(json.dumps(whole))
        ran = self._run("ansible-playbook", "--inventory=localhost,", str(path))
        try:
            told = json.loads(ran.stdout)
        except ValueError:
            raise AssertionError(f"Ansible said: {ran.stdout[-2000:]}{ran.stderr[-2000:]}") from None
        played = [task for play in told["plays"] for task in play["tasks"]]
        results = {task["task"]["name"]: task["hosts"]["localhost"] for task in played if task["hosts"]}
        return Outcome(results, ran.returncode != 0)

    def inventory(self, **options: Any) -> dict[str, Any]:
        """Return what the inventory plugin makes of the portal."""
        login = {f"ovirt_{key}": value for key, value in self._login.items()}
        path = self._directory / "ovirt.yml"
        path.write_text(json.dumps({"plugin": "ovirt.ovirt.ovirt", **login, **options}))
        ran = self._run("ansible-inventory", "--list", f"--inventory={path}")
        if ran.returncode:
            raise AssertionError(f"Ansible said: {ran.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(ran.stdout)
        return found

    def _run(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        if not (_BIN / command).exists():
            raise AssertionError(f"{_BIN / command} is missing: `./dev test` installs Ansible")
        environment = {
            **os.environ,
            "ANSIBLE_HOME": str(self._directory / "ansible"),
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PYTHON_INTERPRETER": str(_BIN / "python"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "LC_ALL": "C.UTF-8",
        }
        return subprocess.run(
            [str(_BIN / command), *options],
            cwd=self._directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def _with_login(task: Task) -> Task:
    return {
        key: {**value, "auth": "{{ ovirt_auth }}"} if key.startswith("ovirt.ovirt.") else value
        for key, value in task.items()
    }
