"""/audit/…"""

from django.urls import path

from audit import log_page, views

app_name = "audit"
urlpatterns = [
    path("", views.index, name="list"),
    path("export", views.export, name="export"),
    path("log", log_page.page, name="log"),
    path("log/checkpoint/<str:mode>", log_page.checkpoint, name="checkpoint"),
    path("log/checkpoint/<str:mode>/<int:size>", log_page.checkpoint, name="checkpoint_of"),
    path("log/keys", log_page.keys, name="log_keys"),
    path("<str:evt_id>", views.detail, name="detail"),
    path("<str:evt_id>/body", views.body, name="body"),
    path("<str:evt_id>/proof", log_page.proof, name="proof"),
]
