"""Every address that people open. Agents' paths (/sdk, /aap, /v1/data) never reach Django: see warden.asgi."""

from django.conf import settings
from django.urls import include, path
from django.views.generic import RedirectView

from accounts import urls as people
from accounts.views import organization
from approvals import views as approvals
from approvals.views import incident
from warden import habits, health, insights, styleguide
from warden.metrics import metrics

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="inbox"), name="home"),
    path("inbox/", approvals.inbox, name="inbox"),
    path("inbox/live", approvals.live, name="inbox_live"),
    path("approvals/", RedirectView.as_view(pattern_name="inbox")),
    path("approvals/", include("approvals.urls")),
    path("grants/", include("approvals.grant_urls")),
    path("settings/kill-switch/", include("approvals.stops.urls")),
    path("settings/break-glass/", include("approvals.glass.urls")),
    path("settings/", include("notifications.urls")),
    path("", include("approvals.slack.urls")),
    path("health/live", health.live, name="health_live"),
    path("health/ready", health.ready, name="health_ready"),
    path("metrics", metrics, name="metrics"),
    path("accounts/", include(people.allauth)),
    path("settings/", organization.settings_index, name="settings"),
    path("", include(people)),
    path("audit/", include("audit.urls")),
    path("insights/", insights.page, name="insights"),
    path("insights/approvers/", habits.page, name="habits"),
    path("api/", include("warden.api.urls")),
    path("agents/<slug:slug>/incident/", incident.incident, name="incident"),
    path("agents/<slug:slug>/incident/keys/", incident.revoke_all, name="incident_keys"),
    path("agents/<slug:slug>/incident/name/", incident.ban_name, name="incident_name"),
    path("agents/<slug:slug>/incident/evidence/", incident.evidence, name="incident_evidence"),
    path("", include("agents.urls")),
]

if not settings.PRODUCTION:
    urlpatterns.append(path("styleguide", styleguide.styleguide, name="styleguide"))

handler400 = "warden.errors.bad_request"
handler403 = "warden.errors.forbidden"
handler404 = "warden.errors.not_found"
handler429 = "warden.errors.too_many"  # for django-allauth
handler500 = "warden.errors.server_error"
