from django.urls import path

from approvals import views
from approvals.glass import views as glass

app_name = "approvals"
urlpatterns = [
    path("together", views.decide_together, name="together"),
    path("<str:apr_id>", views.detail, name="detail"),
    path("<str:apr_id>/approve", views.decide, {"verdict": "approve"}, name="approve"),
    path("<str:apr_id>/deny", views.decide, {"verdict": "deny"}, name="deny"),
    path("<str:apr_id>/break-glass", glass.use, name="glass"),
    path("<str:apr_id>/grant-words", views.grant_words, name="grant_words"),
    path("<str:apr_id>/change", views.change, name="change"),
    path("<str:apr_id>/context.json", views.context, name="context"),
    path("<str:apr_id>/comments", views.comment, name="comment"),
    path("<str:apr_id>/comments/<str:cmt_id>.txt", views.evidence, name="evidence"),
]
