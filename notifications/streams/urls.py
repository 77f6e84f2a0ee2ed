"""/settings/streams…, within notifications.urls."""

from django.urls import path

from notifications.publishing import stamps
from notifications.streams import views

urlpatterns = [
    path("", views.streams, name="streams"),
    path("new/<str:kind>", views.stream_new, name="stream_new"),
    path("timestamps/<str:mode>/<int:size>", stamps.time_stamp, name="timestamp"),
    path("<str:str_id>", views.stream, name="stream"),
    path("<str:str_id>/edit", views.stream_edit, name="stream_edit"),
    path("<str:str_id>/move", views.stream_move, name="stream_move"),
    path("<str:str_id>/secret", views.stream_rotate, name="stream_rotate"),
    path("<str:str_id>/delete", views.stream_delete, name="stream_delete"),
    path("<str:str_id>/switch", views.stream_switch, name="stream_switch"),
    path("<str:str_id>/test", views.stream_test, name="stream_test"),
]
