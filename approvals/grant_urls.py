from django.urls import path

from approvals.views import grants

app_name = "grants"
urlpatterns = [
    path("", grants.grant_list, name="list"),
    path("<str:grt_id>", grants.grant_detail, name="detail"),
    path("<str:grt_id>/revoke", grants.grant_revoke, name="revoke"),
]
