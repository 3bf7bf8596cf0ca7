"""Django's entry point of the application `vms`."""

from django.apps import AppConfig


class VmsConfig(AppConfig):
    """Virtual machines, their power policy and everything that is done to them."""

    name = "vms"
    verbose_name = "Virtual machines"
    default_auto_field = "django.db.models.BigAutoField"
