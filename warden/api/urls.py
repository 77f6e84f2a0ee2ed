"""/api/…"""

from django.urls import path

from warden.api import agents, approvals, endpoint, keys, organization, record, rules  # noqa: F401 - they register

app_name = "api"
urlpatterns = [
    *endpoint.addresses(),
    path("<path:rest>", endpoint.nothing, name="nothing"),
]
