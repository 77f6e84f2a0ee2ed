"""/audit/…"""

from django.urls import path

from audit import views

app_name = "audit"
urlpatterns = [
    path("", views.index, name="list"),
    path("export", views.export, name="export"),
    path("<str:evt_id>", views.detail, name="detail"),
    path("<str:evt_id>/body", views.body, name="body"),
]
