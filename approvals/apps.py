from django.apps import AppConfig
from django.db.models.signals import post_save


class ApprovalsConfig(AppConfig):
    name = "approvals"
    verbose_name = "Approvals"

    def ready(self) -> None:
        from accounts.pages import Page
        from accounts.pages import register as register_page
        from agents.signals import agent_banned, instance_retired
        from approvals import comment_news, containment, grants, measures, news
        from approvals.calls import news as calls
        from approvals.glass import news as glass
        from approvals.slack import card
        from approvals.stops import news as stops
        from notifications import registry

        measures.connect()
        post_save.connect(grants.follow, sender="agents.PolicyVersion")
        post_save.connect(grants.follow, sender="agents.ApprovalRule")
        agent_banned.connect(containment.follow_ban)
        instance_retired.connect(containment.follow_retirement)
        registry.register("approval.", news.ApprovalTopic(), news.EVENTS)
        registry.register("comment.", comment_news.CommentTopic())
        registry.register("stop.", stops.StopTopic(), stops.EVENTS)
        registry.register("glass.", glass.GlassTopic(), glass.EVENTS)
        registry.register_digest(news.waiting)
        registry.register_further(calls.owed)
        registry.register_card("approval.", card.card)
        register_page(
            Page(
                "stops:list",
                "Kill switch",
                "Stop everything, one agent or some actions, at once.",
                "octagon-pause",
                "agents:read",
                15,
            )
        )
        register_page(
            Page(
                "glass:list",
                "Break-glass",
                "What was allowed outside its rule, to be signed off.",
                "hammer",
                "settings:read",
                45,
            )
        )
