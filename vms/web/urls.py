"""The portal's addresses. A fragment's address is named like its template and its root element."""

from __future__ import annotations

from django.urls import path, register_converter

from vms.domain.power import Action
from vms.web import (
    account,
    api_tokens,
    bulk,
    event,
    host,
    learned,
    operation,
    preferences,
    shortcuts,
    two_factor,
    vm_action,
    vm_console,
    vm_edit,
    vm_list,
    vm_look,
    vm_page,
    vm_pending,
    vm_roles,
    vm_run_once,
)


class ActionConverter:
    """A power action in an address, with hyphens for its underscores."""

    regex = "|".join(action.value.replace("_", "-") for action in Action)

    def to_python(self, value: str) -> Action:
        """Read it."""
        return Action(value.replace("-", "_"))

    def to_url(self, value: Action) -> str:
        """Write it."""
        return value.value.replace("_", "-")


register_converter(ActionConverter, "action")

urlpatterns = [
    path("", vm_list.vm_list, name="vm_list"),
    path("vms/board/", vm_list.vm_board, name="vm_board"),
    path("vms/toolbar/", vm_list.vm_toolbar, name="vm_toolbar"),
    path("vms/<uuid:vm_id>/", vm_page.vm_detail, name="vm_detail"),
    path("vms/<uuid:vm_id>/header/", vm_page.vm_header, name="vm_header"),
    path("vms/<uuid:vm_id>/facts/", vm_page.vm_facts, name="vm_facts"),
    path("vms/<uuid:vm_id>/screen/", vm_look.vm_screen, name="vm_screen"),
    path("vms/<uuid:vm_id>/screen.png", vm_look.vm_screen_picture, name="vm_screen_picture"),
    path("vms/<uuid:vm_id>/guest/", vm_look.vm_guest, name="vm_guest"),
    path("vms/<uuid:vm_id>/usage/", vm_look.vm_usage, name="vm_usage"),
    path("vms/<uuid:vm_id>/samples/", vm_look.vm_samples, name="vm_samples"),
    path("vms/<uuid:vm_id>/definition/", vm_look.vm_definition, name="vm_definition"),
    path("vms/<uuid:vm_id>/definition/text/", vm_look.vm_definition_text, name="vm_definition_text"),
    path("vms/<uuid:vm_id>/operations/", vm_page.vm_operations, name="vm_operations"),
    path("vms/<uuid:vm_id>/operations/list/", vm_page.vm_operation_list, name="vm_operation_list"),
    path("vms/<uuid:vm_id>/events/", vm_page.vm_events, name="vm_events"),
    path("vms/<uuid:vm_id>/events/table/", vm_page.vm_event_table, name="vm_event_table"),
    path("vms/<uuid:vm_id>/permissions/", vm_roles.vm_permissions, name="vm_permissions"),
    path("vms/<uuid:vm_id>/permissions/give/", vm_roles.vm_give_role, name="vm_give_role"),
    path("vms/<uuid:vm_id>/permissions/<int:assignment_id>/take/", vm_roles.vm_take_role, name="vm_take_role"),
    path("vms/<uuid:vm_id>/menu/", vm_list.vm_menu, name="vm_menu"),
    path("vms/<uuid:vm_id>/console/", vm_console.vm_console, name="vm_console"),
    path("vms/<uuid:vm_id>/console/refusal/", vm_console.vm_console_refusal, name="vm_console_refusal"),
    path("vms/<uuid:vm_id>/console/ticket/", vm_console.vm_console_ticket, name="vm_console_ticket"),
    path("vms/<uuid:vm_id>/edit/", vm_edit.vm_edit, name="vm_edit"),
    path("vms/<uuid:vm_id>/learned/", learned.vm_learned, name="vm_learned"),
    path("vms/<uuid:vm_id>/pending/", vm_pending.vm_pending, name="vm_pending"),
    path("vms/<uuid:vm_id>/pending/changes/", vm_pending.vm_pending_changes, name="vm_pending_changes"),
    path("vms/<uuid:vm_id>/pending/revert/", vm_pending.vm_revert, name="vm_revert"),
    # Before the other actions: their page knows no options of a run.
    path("vms/run-once/", vm_run_once.vm_run_once, name="vm_run_once"),
    path("vms/run-once/plan/", vm_run_once.vm_run_once_plan, name="vm_run_once_plan"),
    path("vms/<action:action>/", vm_action.vm_action, name="vm_action"),
    path("vms/<action:action>/plan/", vm_action.vm_action_plan, name="vm_action_plan"),
    path("defaults/", vm_edit.portal_defaults, name="portal_defaults"),
    path("account/", account.account, name="account"),
    path("account/preferences/", preferences.preferences, name="preferences"),
    path("account/shortcuts/", shortcuts.shortcuts, name="shortcuts"),
    path("account/person/", account.person, name="account_person"),
    path("account/sessions/end/", account.end_sessions, name="end_sessions"),
    path("account/tokens/new/", api_tokens.api_token_make, name="api_token_make"),
    path("account/tokens/<int:token_id>/revoke/", api_tokens.api_token_revoke, name="api_token_revoke"),
    path("account/two-factor/", two_factor.enable, name="two_factor_enable"),
    path("account/two-factor/off/", two_factor.disable, name="two_factor_disable"),
    path("account/two-factor/recovery-codes/", two_factor.recovery_codes, name="recovery_codes"),
    path("account/password/", account.ChangePassword.as_view(), name="change_password"),
    path("operations/", operation.operation_list, name="operation_list"),
    path("operations/table/", operation.operation_table, name="operation_table"),
    path("operations/<uuid:operation_id>/", operation.operation_detail, name="operation_detail"),
    path("operations/<uuid:operation_id>/progress/", operation.operation_progress, name="operation_progress"),
    path("operations/<uuid:operation_id>/screen.png", operation.operation_screen, name="operation_screen"),
    path("operations/<uuid:operation_id>/force-now/", operation.operation_force_now, name="operation_force_now"),
    path("operations/<uuid:operation_id>/extend/", operation.operation_extend, name="operation_extend"),
    path("operations/<uuid:operation_id>/cancel/", operation.operation_cancel, name="operation_cancel"),
    path("bulks/<uuid:bulk_id>/", bulk.bulk_detail, name="bulk_detail"),
    path("bulks/<uuid:bulk_id>/progress/", bulk.bulk_progress, name="bulk_progress"),
    path("bulks/<uuid:bulk_id>/cancel/", bulk.bulk_cancel, name="bulk_cancel"),
    path("events/", event.event_list, name="event_list"),
    path("events/table/", event.event_table, name="event_table"),
    path("events.csv", event.event_csv, name="event_csv"),
    path("hosts/", host.host_list, name="host_list"),
    path("hosts/table/", host.host_table, name="host_table"),
    path("hosts/add/", host.host_add, name="host_add"),
    path("hosts/checks/<uuid:check_id>/", host.host_check, name="host_check"),
    path("hosts/checks/<uuid:check_id>/use/", host.host_check_use, name="host_check_use"),
    path("hosts/<int:host_id>/edit/", host.host_edit, name="host_edit"),
    path("hosts/<int:host_id>/remove/", host.host_remove, name="host_remove"),
]
