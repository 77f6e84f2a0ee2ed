"""/settings/alerts…, within notifications.urls."""

from django.urls import path

from notifications.alerts import views

urlpatterns = [
    path("", views.alerts, name="alerts"),
    path("rules", views.alert_rules, name="alert_rules"),
    path("rules/new", views.alert_rule_new, name="alert_rule_new"),
    path("rules/<str:alr_id>", views.alert_rule, name="alert_rule"),
    path("rules/<str:alr_id>/delete", views.alert_rule_delete, name="alert_rule_delete"),
]
