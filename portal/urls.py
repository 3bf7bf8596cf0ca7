"""The authority on the URL space's outline."""

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

from portal import health
from vms.api.description import views as description
from vms.web import login

handler500 = "portal.errors.server_error"

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("login/", login.Login.as_view(), name="login"),
    path("login/code/", login.login_code, name="login_code"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path("i18n/", include("django.conf.urls.i18n")),
    # Django admin's own would ask for no code.
    path("admin/login/", login.admin_login),
    path("admin/", admin.site.urls),
    # A page, and no page is below the API: clients take what is in HTML for no answer at all.
    path("api/docs", description.docs, name="api_docs"),
    path("ovirt-engine/", include("vms.api.urls")),
    path("", include("vms.web.urls")),
]
