"""/api/…"""

from django.urls import path

from warden.api import endpoint
from warden.api.docs import docs
from warden.api.openapi import openapi
from warden.api.policy import policy_schema

app_name = "api"
urlpatterns = [
    path("docs", docs, name="docs"),
    path("openapi.json", openapi, name="openapi"),
    path("policy/schema.json", policy_schema, name="policy_schema"),
    *endpoint.addresses(),
    path("<path:rest>", endpoint.nothing, name="nothing"),
]
