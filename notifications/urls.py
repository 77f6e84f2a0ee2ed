"""/settings/…"""

from django.urls import include, path

from notifications import views

app_name = "notifications"
urlpatterns = [
    path("alerts/", include("notifications.alerts.urls")),
    path("channels", views.channels, name="channels"),
    path("channels/new/<str:transport>", views.channel_new, name="channel_new"),
    path("channels/<str:chn_id>", views.channel, name="channel"),
    path("channels/<str:chn_id>/edit", views.channel_edit, name="channel_edit"),
    path("channels/<str:chn_id>/delete", views.channel_delete, name="channel_delete"),
    path("channels/<str:chn_id>/secret", views.channel_rotate, name="channel_rotate"),
    path("channels/<str:chn_id>/switch", views.channel_switch, name="channel_switch"),
    path("channels/<str:chn_id>/test", views.channel_test, name="channel_test"),
    path("deliveries", views.deliveries, name="deliveries"),
    path("deliveries/<str:dlv_id>", views.delivery, name="delivery"),
    path("deliveries/<str:dlv_id>/retry", views.delivery_retry, name="delivery_retry"),
    path("mail", views.mail, name="mail"),
    path("streams/", include("notifications.streams.urls")),
    path("notifications", views.preferences, name="preferences"),
    path("notifications/unsubscribe/<str:mem_id>", views.unsubscribe, name="unsubscribe"),
]
