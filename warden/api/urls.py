"""/api/…"""

from django.urls import path

from warden.api import endpoint
from warden.api.docs import docs
from warden.api.openapi import openapi

app_name = "api"
urlpatterns = [
    path("docs", docs, name="docs"),
    path("openapi.json", openapi, name="openapi"),
    *endpoint.addresses(),
    path("<path:rest>", endpoint.nothing, name="nothing"),
]
