"""Webhooks in Django admin: whom the portal posts events to, tests, new secrets, and what was delivered."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from vms import actions, labels, permissions
from vms.admin.common import ReadOnly
from vms.domain import webhook as rules
from vms.models import Webhook, WebhookDelivery

#: So many deliveries are shown with a webhook.
_SHOWN = 20


class WebhookForm(forms.ModelForm):  # type: ignore[type-arg]
    """What somebody chooses of a webhook."""

    class Meta:
        model = Webhook
        fields = ("name", "url", "codes", "severity", "tags", "active")

    codes = forms.TypedMultipleChoiceField(
        label=_("events"),
        choices=lambda: [(code, f"{code} {name}") for code, name in actions.event_kinds()],
        coerce=int,
        required=False,
        help_text=_("None chosen are all."),
        widget=forms.SelectMultiple(attrs={"size": 12}),
    )

    def clean_url(self) -> str:
        """Refuse what the portal does not post to."""
        url: str = self.cleaned_data["url"]
        try:
            rules.target(url)
        except rules.WebhookError as error:
            raise ValidationError(str(labels.WEBHOOK_ERROR[error.code])) from None
        return url


@admin.register(Webhook)
class WebhookAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Webhooks. Each person changes their own, as it tells what they may see; the secret is shown once."""

    form = WebhookForm
    readonly_fields = ("owner", "failing_since", "last_deliveries")
    fields = (*WebhookForm.Meta.fields, *readonly_fields)
    list_display = ("name", "owner", "active", "severity", "failing_since")
    list_filter = ("active", "severity", "tags")
    list_select_related = ("owner",)
    search_fields = ("name", "owner__username")
    actions = ("send_test", "renew_secret")

    def has_change_permission(self, request: HttpRequest, obj: Webhook | None = None) -> bool:
        """Whose it is, and superusers."""
        if obj is None:
            return request.user.has_perm(permissions.CHANGE_WEBHOOK)
        return permissions.may_change_webhook(request.user, obj)

    def get_fields(self, request: HttpRequest, obj: Webhook | None = None) -> Any:
        """Return what this person sees: the URL of somebody else's may hold a key."""
        own = obj is None or permissions.may_change_webhook(request.user, obj)
        return [name for name in self.fields if own or name != "url"]

    def save_model(self, request: HttpRequest, obj: Webhook, form: Any, change: bool) -> None:
        """Have the action add or change it, with its tags."""
        save = actions.change_webhook if change else actions.add_webhook
        save(cast("User", request.user), obj, form.cleaned_data["tags"])

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Do nothing: the tags are set already."""

    def delete_model(self, request: HttpRequest, obj: Webhook) -> None:
        """Have the action remove it."""
        actions.remove_webhook(cast("User", request.user), obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        """Remove several."""
        for webhook in queryset:
            self.delete_model(request, webhook)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Deliveries go with their webhook, whoever removes it."""
        shown, counts, _needed, protected = super().get_deleted_objects(objs, request)
        return shown, counts, set(), protected

    def response_add(self, request: HttpRequest, obj: Webhook, post_url_continue: str | None = None) -> HttpResponse:
        """Show the secret: this once."""
        return self._with_secret(request, obj, obj.secret)

    @admin.action(description=_("Send a test"), permissions=["change"])
    def send_test(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        """Have a test delivered to each that was chosen."""
        for webhook in queryset:
            try:
                actions.send_test(cast("User", request.user), webhook)
            except (actions.Refused, PermissionDenied) as refused:
                self.message_user(request, f"{webhook}: {refused}", messages.WARNING)
            else:
                self.message_user(request, _("%s: a test is on its way. Its answer is shown there.") % webhook)

    @admin.action(description=_("Make a new secret"), permissions=["change"])
    def renew_secret(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> HttpResponse | None:
        """Show a new secret for the one that was chosen: this once."""
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            self.message_user(request, _("Choose one webhook."), messages.WARNING)
            return None
        secret = actions.renew_webhook_secret(cast("User", request.user), chosen[0])
        return self._with_secret(request, chosen[0], secret)

    def _with_secret(self, request: HttpRequest, webhook: Webhook, secret: str) -> HttpResponse:
        context = self.admin_site.each_context(request) | {
            "title": _("Secret of %s") % webhook,
            "opts": self.opts,
            "webhook": webhook,
            "secret": secret,
        }
        return TemplateResponse(request, "admin/vms/webhook/secret.html", context)

    @admin.display(description=_("last deliveries"))
    def last_deliveries(self, webhook: Webhook) -> SafeString:
        """Return the newest deliveries, each with the receiver's last answer."""
        newest = webhook.deliveries.select_related("event")[:_SHOWN]
        rows = format_html_join(
            "",
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            ((_moment(each), _told(each), each.get_state_display(), each.attempts, each.answer) for each in newest),
        )
        if not rows:
            return format_html("{}", _("None yet."))
        heads = format_html_join(
            "",
            "<th scope='col'>{}</th>",
            ((head,) for head in (_("written"), _("event"), _("state"), _("attempts"), _("last answer"))),
        )
        return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", heads, rows)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnly):
    """Deliveries that wait, were taken, or were not. What the events say is left to the page of events."""

    fields = ("key", "webhook", "told", "state", "attempts", "answer", "created_at", "due_at", "delivered_at")
    list_display = ("created_at", "webhook", "told", "state", "attempts", "delivered_at", "answer")
    list_filter = ("state", "webhook")
    list_select_related = ("webhook", "event")
    search_fields = ("key", "answer")
    date_hierarchy = "created_at"

    @admin.display(description=_("event"))
    def told(self, delivery: WebhookDelivery) -> str:
        """Return which event it is."""
        return _told(delivery)


def _told(delivery: WebhookDelivery) -> str:
    return f"{delivery.event.code} (#{delivery.event.pk})" if delivery.event is not None else str(_("test"))


def _moment(delivery: WebhookDelivery) -> str:
    return date_format(localtime(delivery.created_at), "DATETIME_FORMAT")
