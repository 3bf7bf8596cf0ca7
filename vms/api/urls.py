"""The addresses of the API. None redirects, and what is none of them is answered in the client's own form."""

from django.urls import path, re_path

from vms.api.description.views import OpenApi
from vms.api.endpoint import NothingHere
from vms.api.resources import vms

urlpatterns = [
    path("api/openapi.json", OpenApi.as_view(), name="openapi"),
    path("api/vms", vms.VmCollection.as_view()),
    path("api/vms/<str:vm_id>", vms.SingleVm.as_view()),
    path("api/vms/<str:vm_id>/start", vms.Start.as_view()),
    path("api/vms/<str:vm_id>/stop", vms.Stop.as_view()),
    path("api/vms/<str:vm_id>/shutdown", vms.ShutDown.as_view()),
    path("api/vms/<str:vm_id>/reboot", vms.Reboot.as_view()),
    path("api/vms/<str:vm_id>/reset", vms.PowerCycle.as_view()),
    path("api/vms/<str:vm_id>/powercycle", vms.PowerCycle.as_view()),
    path("api/vms/<str:vm_id>/suspend", vms.Suspend.as_view()),
    re_path("^.*$", NothingHere.as_view()),
]
