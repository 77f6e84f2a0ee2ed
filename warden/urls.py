"""Every address that people open. Agents' paths (/sdk, /aap, /v1/data) never reach Django: see warden.asgi."""

from django.urls import include, path

from warden import health

urlpatterns = [
    path("health/live", health.live, name="health_live"),
    path("health/ready", health.ready, name="health_ready"),
    path("accounts/", include("allauth.urls")),
    path("audit/", include("audit.urls")),
]

handler400 = "warden.errors.bad_request"
handler403 = "warden.errors.forbidden"
handler404 = "warden.errors.not_found"
handler500 = "warden.errors.server_error"
