"""The portal's tables, and the rules that the database itself keeps.

What a VM is doing is the hypervisor's to say; these rows hold the last look at it. What we intend with it is said
here: an `Operation` is one durable power action, its `OperationStep`s are its journal, an `Event` is history and never
changes. Everybody imports them from here; which module of the package has a table is its own affair.
"""

from vms.models.additions import Addition
from vms.models.api_tokens import ApiToken, ApiTokenQuerySet
from vms.models.bulks import Bulk, BulkRefusal
from vms.models.defaults import PortalDefaults
from vms.models.events import Event, EventQuerySet
from vms.models.external import ExternalEvent, ExternalJob, ExternalStep
from vms.models.hosts import Host, HostCheck, HostQuerySet
from vms.models.machines import ConfigurationChange, ConfigurationChangeQuerySet, VirtualMachine
from vms.models.notices import Mail, Subscription
from vms.models.operations import SCREEN_LIMIT, Operation, OperationQuerySet, OperationScreen, OperationStep
from vms.models.preferences import Preference
from vms.models.roles import Assignment, Role
from vms.models.samples import Glimpse, Sample
from vms.models.signing_in import Attempts, RecoveryCode, SecondFactor
from vms.models.tags import Tag
from vms.models.webhooks import Webhook, WebhookDelivery

__all__ = [
    "SCREEN_LIMIT",
    "Addition",
    "ApiToken",
    "ApiTokenQuerySet",
    "Assignment",
    "Attempts",
    "Bulk",
    "BulkRefusal",
    "ConfigurationChange",
    "ConfigurationChangeQuerySet",
    "Event",
    "EventQuerySet",
    "ExternalEvent",
    "ExternalJob",
    "ExternalStep",
    "Glimpse",
    "Host",
    "HostCheck",
    "HostQuerySet",
    "Mail",
    "Operation",
    "OperationQuerySet",
    "OperationScreen",
    "OperationStep",
    "PortalDefaults",
    "Preference",
    "RecoveryCode",
    "Role",
    "Sample",
    "SecondFactor",
    "Subscription",
    "Tag",
    "VirtualMachine",
    "Webhook",
    "WebhookDelivery",
]
