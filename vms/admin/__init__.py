"""Django admin: the same models with the same rules.

History is read-only. What may be changed is changed through `vms.actions`, and a power action leads to the very
confirmation that the pages show: what it will do, the reason, the one-time override, and nobody's rule but the one.
"""

from vms.admin import history, hosts, machines, people, webhooks

__all__ = ["history", "hosts", "machines", "people", "webhooks"]
