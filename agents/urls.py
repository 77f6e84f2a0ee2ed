"""/agents/…, /permissions/…"""

from django.urls import path, re_path

from agents.views import agents, connect, detail, git, keys, permissions, reviews, rules, tiers

app_name = "agents"
urlpatterns = [
    path("agents/", agents.agent_list, name="list"),
    path("agents/new/", agents.agent_new, name="new"),
    path("connect/", connect.connect_start, name="connect_start"),
    path("agents/<slug:slug>/", detail.detail, name="detail"),
    path("agents/<slug:slug>/about/", detail.about, name="about"),
    path("agents/<slug:slug>/connect/", connect.connect, name="connect"),
    path("agents/<slug:slug>/connect/arrived/", connect.connect_arrived, name="connect_arrived"),
    path("agents/<slug:slug>/keys/", keys.agent_keys, name="agent_keys"),
    path("agents/<slug:slug>/activity/", detail.activity, name="activity"),
    path("agents/<slug:slug>/history/", detail.agent_history, name="history"),
    path("agents/<slug:slug>/edit/", agents.agent_edit, name="edit"),
    path("agents/<slug:slug>/delete/", agents.agent_delete, name="delete"),
    path("agents/<slug:slug>/audited/", agents.agent_audited, name="audited"),
    path("agents/<slug:slug>/status/<slug:verb>/", agents.agent_status, name="status"),
    path("agents/<slug:slug>/tiers/new/", tiers.tier_new, name="tier_new"),
    path("agents/<slug:slug>/tiers/preview/", tiers.tier_preview, name="tier_preview"),
    path("agents/<slug:slug>/tiers/<uuid:pk>/", tiers.tier_edit, name="tier"),
    path("agents/<slug:slug>/tiers/<uuid:pk>/delete/", tiers.tier_delete, name="tier_delete"),
    path("agents/<slug:slug>/review/", reviews.review_start, name="review_start"),
    path("keys/", keys.key_list, name="keys"),
    path("keys/new/", keys.key_new, name="key_new"),
    path("keys/<uuid:pk>/roll/", keys.key_roll, name="key_roll"),
    path("keys/<uuid:pk>/revoke/", keys.key_revoke, name="key_revoke"),
    path("permissions/", permissions.permission_list, name="permissions"),
    path("permissions/check-condition/", tiers.check_condition, name="check_condition"),
    path("permissions/rules/", rules.rule_list, name="rules"),
    path("permissions/rules/new/", rules.rule_new, name="rule_new"),
    path("permissions/rules/preview/", rules.rule_preview, name="rule_preview"),
    path("permissions/rules/<uuid:pk>/", rules.rule_edit, name="rule"),
    path("permissions/rules/<uuid:pk>/delete/", rules.rule_delete, name="rule_delete"),
    path("permissions/git/", git.page, name="git"),
    path("permissions/git/warden.yaml", git.export, name="git_export"),
    path("permissions/git/shadow/end/", git.shadow_end, name="shadow_end"),
    path("permissions/reviews/", reviews.review_list, name="reviews"),
    path("permissions/reviews/<str:review_id>/", reviews.review_page, name="review"),
    path("permissions/reviews/<str:review_id>/items/<int:number>/", reviews.review_decide, name="review_decide"),
    path("permissions/reviews/<str:review_id>/sign/", reviews.review_sign, name="review_sign"),
    re_path(
        r"^permissions/reviews/(?P<review_id>[\w-]+)/record\.(?P<form>md|pdf)$",
        reviews.review_record,
        name="review_record",
    ),
    path("permissions/versions/", permissions.version_list, name="versions"),
    path("permissions/versions/<int:number>/", permissions.version_body, name="version_body"),
]
