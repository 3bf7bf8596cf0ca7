"""The addresses of the API. None redirects, and what is none of them is answered in the client's own form."""

from django.urls import path, re_path

from vms.api.endpoint import NothingHere
from vms.api.resources import vm_actions, vms

urlpatterns = [
    path("api/vms", vms.VmCollection.as_view()),
    path("api/vms/<str:vm_id>", vms.SingleVm.as_view()),
    path("api/vms/<str:vm_id>/start", vm_actions.Start.as_view()),
    path("api/vms/<str:vm_id>/stop", vm_actions.Stop.as_view()),
    path("api/vms/<str:vm_id>/shutdown", vm_actions.ShutDown.as_view()),
    path("api/vms/<str:vm_id>/reboot", vm_actions.Reboot.as_view()),
    path("api/vms/<str:vm_id>/reset", vm_actions.PowerCycle.as_view()),
    path("api/vms/<str:vm_id>/powercycle", vm_actions.PowerCycle.as_view()),
    path("api/vms/<str:vm_id>/suspend", vm_actions.Suspend.as_view()),
    re_path("^.*$", NothingHere.as_view()),
]
