"""/settings/kill-switch/…"""

from django.urls import path

from approvals.stops import views

app_name = "stops"
urlpatterns = [
    path("", views.stops, name="list"),
    path("stop", views.stop_new, name="new"),
    path("<str:stop_id>/ask", views.stop_ask, name="ask"),
    path("<str:stop_id>/release", views.stop_release, name="release"),
    path("<str:stop_id>/keep", views.stop_keep, name="keep"),
]
