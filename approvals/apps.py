from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "approvals"
    verbose_name = "Approvals"

    def ready(self) -> None:
        from accounts.pages import Page
        from accounts.pages import register as register_page
        from approvals import comment_news, measures, news
        from approvals.slack import card
        from approvals.stops import news as stops
        from notifications import registry

        measures.connect()
        registry.register("approval.", news.ApprovalTopic(), news.EVENTS)
        registry.register("comment.", comment_news.CommentTopic())
        registry.register("stop.", stops.StopTopic(), stops.EVENTS)
        registry.register_digest(news.waiting)
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
