"""Slack's addresses, slack:…: those that Slack calls, and those that people open."""

from django.urls import path

from approvals.slack import views
from notifications.slack import pages

app_name = "slack"
urlpatterns = [
    path("slack/interactions", views.interactions, name="interactions"),
    path("slack/commands", views.commands, name="commands"),
    path("slack/events", views.events, name="events"),
    path("slack/oauth", pages.oauth, name="oauth"),
    path("slack/link/<str:token>", pages.link, name="link"),
    path("settings/slack", pages.settings_page, name="settings"),
    path("settings/slack/install", pages.install, name="install"),
    path("settings/slack/disconnect", pages.disconnect, name="disconnect"),
    path("profile/slack", pages.people, name="people"),
    path("profile/slack/<int:pk>/unlink", pages.unlink, name="unlink"),
]
