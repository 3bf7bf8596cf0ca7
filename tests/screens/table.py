"""The authority on which pages and dialogs there are, and how each is brought up.

Tests open every one of them, and `./dev screenshots` photographs them. A page or dialog that is added to the portal
gets a line here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests.screens.scene import LONG_NAME, NOW, Scene
from vms.domain.power import Action
from vms.models import Host, SecondFactor, VirtualMachine

Step = Callable[[Page, Scene], None]


@dataclass(frozen=True)
class Screen:
    """One page, or one dialog on its page.

    Attributes:
        name: Of its pictures, too.
        address: Where it is found.
        step: What is done there to bring it up, and to wait until it is.
        person: Who looks: an administrator, somebody who may see VMs of which there are none, somebody with two-factor
            login, somebody who was given nothing, or nobody who is logged in.
        shows: What has to be visible before anything is done.
        status: What the server answers.
    """

    name: str
    address: Callable[[Scene], str]
    step: Step | None = None
    person: Literal["admin", "newcomer", "guarded", "outsider", "nobody"] = "admin"
    shows: str = "#main h1"
    status: int = 200


def at(name: str, *arguments: object, query: str = "") -> Callable[[Scene], str]:
    """Return the address of a page that needs nothing of the scene."""
    return lambda _scene: reverse(name, args=arguments) + query


def at_address(address: str) -> Callable[[Scene], str]:
    """Return an address as it stands."""
    return lambda _scene: address


def dialog(address: Callable[[Scene], str], then: Callable[[Page], None] | None = None) -> Step:
    """Open what an address answers as a dialog, as a control that leads there does."""

    def step(page: Page, scene: Scene) -> None:
        page.evaluate("address => htmx.ajax('GET', address, '#dialog-content')", address(scene))
        expect(page.locator("#dialog #dialog-title")).to_be_visible()
        if then is not None:
            then(page)

    return step


def action(asked: Action, *names: str) -> Callable[[Scene], str]:
    """Return the address of the confirmation of a power action on VMs of the scene."""

    def address(scene: Scene) -> str:
        return reverse("vm_action", args=[asked]) + "?" + "&".join(f"vm={scene.vms[name].pk}" for name in names)

    return address


def of_vm(name: str, vm: str) -> Callable[[Scene], str]:
    """Return an address that names one VM of the scene."""
    return lambda scene: reverse(name, args=[scene.vms[vm].pk])


def checked(result: str) -> Callable[[Scene], str]:
    """Return the address of the test of a host's connection that has a result, or has none yet."""
    return lambda scene: reverse("host_check", args=[scene.checks[result].pk])


def run_once(scene: Scene) -> str:
    """Return the address of the dialog of Run once."""
    return f"{reverse('vm_run_once')}?vm={scene.vms['legacy'].pk}"


def pressed(control: str, shows: str) -> Step:
    """Press a control and wait for what it brings."""

    def step(page: Page, _scene: Scene) -> None:
        page.locator(control).first.click()
        expect(page.locator(shows).first).to_be_visible()

    return step


def menu_of(name: str) -> Step:
    """Open the menu of a row."""

    def step(page: Page, scene: Scene) -> None:
        page.locator(f"#vm_more_{scene.vms[name].pk}").click()
        expect(page.locator("#menu [role=menuitem]").first).to_be_visible()

    return step


def sent(field: str, value: str, button: str) -> Callable[[Page], None]:
    """Return the way to a dialog's mistakes: type something wrong and send it."""

    def mistake(page: Page) -> None:
        page.locator(f"#dialog {field}").fill(value)
        page.locator(button).click()
        expect(page.locator("[data-error-summary]")).to_be_focused()

    return mistake


def unfolded(summary: str) -> Callable[[Page], None]:
    """Return the way to what a dialog keeps folded."""
    return lambda page: page.locator(summary).click()


def wrong_delay(page: Page) -> None:
    """Confirm with a delay that is no number."""
    page.locator("#vm_action_options summary").click()
    sent("#id_graceful_delay", "abc", "#vm_action_confirm")(page)


def selected(page: Page, scene: Scene) -> None:
    """Tick two rows."""
    for name in ("web01", "web02"):
        page.locator(f'input[name="vm"][value="{scene.vms[name].pk}"]').check()
    expect(page.locator("#vm_toolbar_count")).to_contain_text("2")


def refused(page: Page, scene: Scene) -> None:
    """Ask for two actions of which one cannot be done."""
    dialog(action(Action.REBOOT, "web01", "legacy"))(page, scene)
    page.locator("#vm_action_confirm").click()
    expect(page.locator("#vm_action_result")).to_be_visible()


def no_code(page: Page, _scene: Scene) -> None:
    """Try to switch two-factor login on without a code."""
    page.locator("#main form button").click()
    expect(page.locator("[data-error-summary]")).to_be_visible()


def second_step(page: Page, _scene: Scene) -> None:
    """Come to the second step of the login, as somebody who has one from now on."""
    ada = User.objects.get(username="ada")
    SecondFactor.objects.get_or_create(user=ada, defaults={"secret": "A" * 32, "used_interval": 0})
    page.fill("#id_username", "ada")
    page.fill("#id_password", "a password")
    page.locator("#main form button").click()
    expect(page.locator("#id_code")).to_be_visible()


def no_name(page: Page, _scene: Scene) -> None:
    """Try to make a token that has no name."""
    page.locator("#main form button").click()
    expect(page.locator("[data-error-summary]")).to_be_focused()


def made_token(page: Page, _scene: Scene) -> None:
    """Have a new token shown."""
    page.fill("#id_name", "Backup script")
    page.fill("#id_password", "a password")
    page.locator("#main form button").click()
    expect(page.locator(".portal-secret")).to_be_visible()


def new_recovery_codes(page: Page, _scene: Scene) -> None:
    """Have new recovery codes shown."""
    page.fill("#id_password", "a password")
    page.locator("#main form button").click()
    expect(page.locator(".portal-codes")).to_be_visible()


def refused_login(page: Page, _scene: Scene) -> None:
    """Log in with a wrong password."""
    page.locator("#id_username").fill("ada")
    page.locator("#id_password").fill("not this one")
    page.locator("button[type=submit]").click()
    expect(page.get_by_role("alert")).to_be_visible()


def asked_for_code(page: Page, _scene: Scene) -> None:
    """Log in as somebody whose password is not enough."""
    page.locator("#id_username").fill("gina")
    page.locator("#id_password").fill("a password")
    page.locator("button[type=submit]").click()
    expect(page.locator("#id_code")).to_be_visible()


def expired(page: Page, _scene: Scene) -> None:
    """Send a form whose token is gone."""
    page.locator("input[name=csrfmiddlewaretoken]").evaluate_all("inputs => inputs.forEach((each) => each.remove())")
    page.locator("#id_username").fill("ada")
    page.locator("#id_password").fill("a password")
    page.locator("button[type=submit]").click()
    expect(page.locator("[data-message]")).to_be_visible()


def no_address(page: Page, _scene: Scene) -> None:
    """Ask for mail without saying where to."""
    notices = page.locator("form:has(.portal-matrix)")
    notices.locator("[type=checkbox]").first.check()
    notices.locator("button[type=submit]").click()
    expect(page.locator("[data-error-summary]")).to_be_focused()


def too_late(page: Page, scene: Scene) -> None:
    """Cancel an operation that has ended."""
    page.evaluate(
        "address => htmx.ajax('POST', address, '#dialog-content')",
        reverse("operation_cancel", args=[scene.forced.pk]),
    )
    expect(page.locator("#operation_refused")).to_be_visible()


def emptied(page: Page, _scene: Scene) -> None:
    """Take all hosts off the portal, and look again."""
    VirtualMachine.objects.update(removed_at=NOW)
    Host.objects.update(removed_at=NOW)
    page.reload()
    expect(page.locator(".pf-v6-c-empty-state")).to_be_visible()


def wrong_password(page: Page, _scene: Scene) -> None:
    """Change the password to one that is too short."""
    page.locator("#id_old_password").fill("a password")
    page.locator("#id_new_password1").fill("short")
    page.locator("#id_new_password2").fill("shorter")
    page.locator("#main button[type=submit]").click()
    expect(page.locator("[data-error-summary]")).to_be_focused()


def banner(element: str) -> Step:
    """Show one of the banners that live.js shows when nothing answers."""
    return lambda page, _scene: page.locator(element).evaluate("each => { each.hidden = false }")


def toasts(page: Page, _scene: Scene) -> None:
    """Say something good and something bad."""
    for level, message in (("success", "Reboot of web01 was accepted."), ("danger", "The portal did not answer.")):
        page.evaluate(
            "detail => document.dispatchEvent(new CustomEvent('portal:toast', { detail }))",
            {"level": level, "message": message},
        )
    expect(page.locator(".portal-toast")).to_have_count(2)


LIST = at("vm_list")
HOSTS = at("host_list")

SCREENS = (
    Screen("login", at("login"), person="nobody", shows="#id_username"),
    Screen("login-refused", at("login"), refused_login, person="nobody", shows="#id_username"),
    Screen("login-code", at("login"), asked_for_code, person="nobody", shows="#id_username"),
    # The list
    Screen("vms", LIST),
    Screen("vms-selected", LIST, selected),
    Screen("vms-menu", LIST, menu_of("web01")),
    Screen("vms-no-match", at("vm_list", query="?filter=name%3Dnothing*")),
    Screen("vms-filter-wrong", at("vm_list", query="?filter=colour%3Dred")),
    Screen("vms-none-given", LIST, person="newcomer"),
    Screen("vms-connection-lost", LIST, banner("#connection-banner")),
    Screen("vms-stream-lost", LIST, banner("#stream-banner")),
    Screen("vms-toasts", LIST, toasts),
    Screen("user-menu", LIST, pressed("#user-menu-button", "#user-menu")),
    # One VM
    *(
        Screen(f"vm-{tab.removeprefix('vm_')}", of_vm(tab, "web01"))
        for tab in ("vm_detail", "vm_operations", "vm_events", "vm_permissions", "vm_definition")
    ),
    Screen("vm-long", of_vm("vm_detail", LONG_NAME)),
    Screen("vm-not-responding", of_vm("vm_detail", "archive")),
    Screen("vm-pending-changes", of_vm("vm_pending", "web02"), shows="#dialog-title, #main h1"),
    Screen("vm-console", of_vm("vm_console", "legacy")),
    # Dialogs of VMs
    Screen("dialog-reboot", LIST, dialog(action(Action.REBOOT, "web01"), unfolded("#vm_action_options summary"))),
    Screen("dialog-reboot-changes", LIST, dialog(action(Action.REBOOT, LONG_NAME))),
    Screen("dialog-reboot-mistake", LIST, dialog(action(Action.REBOOT, "web01"), wrong_delay)),
    Screen("dialog-shut-down", LIST, dialog(action(Action.SHUT_DOWN, "mail"))),
    Screen("dialog-power-off", LIST, dialog(action(Action.POWER_OFF, "db01"))),
    Screen("dialog-power-off-many", LIST, dialog(action(Action.POWER_OFF, "web01", "web02", "mail", "legacy"))),
    Screen("dialog-power-cycle", LIST, dialog(action(Action.POWER_CYCLE, "staging"))),
    Screen("dialog-suspend", LIST, dialog(action(Action.SUSPEND, "web01"))),
    Screen("dialog-remove", LIST, dialog(action(Action.REMOVE, "legacy"))),
    Screen("dialog-edit", LIST, dialog(of_vm("vm_edit", "web01"))),
    Screen("dialog-edit-mistake", LIST, dialog(of_vm("vm_edit", "web01"), sent("#id_memory", "2 GB", "#vm_edit_save"))),
    Screen(
        "dialog-edit-stateless",
        LIST,
        dialog(of_vm("vm_edit", "mail"), lambda page: page.locator("#dialog #id_stateless").check()),
    ),
    Screen("dialog-refused", LIST, too_late),
    Screen("dialog-run-once", LIST, dialog(run_once, unfolded("#vm_run_once_kernel summary"))),
    Screen("dialog-pending", LIST, dialog(of_vm("vm_pending", LONG_NAME))),
    Screen("page-of-a-dialog", of_vm("vm_edit", "web01"), shows="#dialog-title"),
    # Operations and events
    Screen("operations", at("operation_list")),
    Screen("operations-none", at("operation_list"), person="newcomer"),
    Screen("operations-no-match", at("operation_list", query="?outcome=other_hand")),
    Screen("operation-running", lambda scene: scene.running.get_absolute_url()),
    Screen("operation-queued", lambda scene: scene.queued.get_absolute_url()),
    Screen("operation-forced", lambda scene: scene.forced.get_absolute_url()),
    Screen("operation-failed", lambda scene: scene.failed.get_absolute_url()),
    Screen("bulk", lambda scene: scene.bulk.get_absolute_url()),
    Screen("events", at("event_list")),
    Screen("events-none", at("event_list"), person="newcomer"),
    Screen("events-no-match", at("event_list", query="?actor=nobody")),
    # Hosts
    Screen("hosts", HOSTS),
    Screen("hosts-none-given", HOSTS, person="newcomer"),
    Screen("dialog-host-add", HOSTS, dialog(at("host_add"))),
    Screen("dialog-host-edit", HOSTS, dialog(lambda scene: reverse("host_edit", args=[scene.host.pk]))),
    Screen("dialog-host-remove", HOSTS, dialog(lambda scene: reverse("host_remove", args=[scene.host.pk]))),
    *(
        Screen(
            f"dialog-host-{result}",
            HOSTS,
            dialog(checked(result)),
        )
        for result in ("waiting", "passed", "failed")
    ),
    # The portal and oneself
    Screen("portal-defaults", at("portal_defaults")),
    Screen("api", at("api_docs"), pressed("#get-api-vms summary", "#get-api-vms table")),
    Screen("account", at("account")),
    Screen("account-mistake", at("account"), no_address),
    Screen("account-two-factor", at("account"), person="guarded"),
    Screen("api-token-new", at("api_token_make")),
    Screen("api-token-mistake", at("api_token_make"), no_name),
    Screen("api-token-made", at("api_token_make"), made_token),
    Screen("api-token-revoke", lambda scene: reverse("api_token_revoke", args=[scene.token.pk])),
    Screen("person", at("account_person")),
    Screen("shortcuts", LIST, dialog(at("shortcuts"))),
    Screen("two-factor-enable", at("two_factor_enable")),
    Screen("two-factor-disable", at("two_factor_disable"), person="guarded"),
    Screen("recovery-codes-renew", at("recovery_codes"), person="guarded"),
    Screen("sessions-end", at("end_sessions")),
    Screen("password", at("change_password")),
    Screen("end-sessions", at("end_sessions")),
    Screen("two-factor-on", at("two_factor_enable")),
    Screen("two-factor-mistake", at("two_factor_enable"), no_code),
    Screen("two-factor-code", at("login"), second_step, person="nobody", shows="#id_username"),
    Screen("two-factor-off", at("two_factor_disable")),
    Screen("recovery-codes", at("recovery_codes"), new_recovery_codes),
    Screen("password-mistake", at("change_password"), wrong_password),
    # What goes wrong
    Screen("error-400", at("fails", 400), shows="h1", status=400),
    Screen("error-403", LIST, person="outsider", shows="h1", status=403),
    Screen("error-403-csrf", at("login"), expired, person="nobody", shows="h1"),
    Screen("error-404", at_address("/nothing/here/"), shows="h1", status=404),
    Screen("error-500", at("fails", 500), shows="h1", status=500),
    Screen("error-503", at("fails", 503), shows="h1", status=503),
    # Last, because it changes the scene
    Screen("dialog-result", LIST, refused),
    Screen("vms-no-host", LIST, emptied),
    Screen("hosts-none", HOSTS, emptied),
)
