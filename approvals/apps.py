from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "approvals"
    verbose_name = "Approvals"

    def ready(self) -> None:
        from approvals import comment_news, measures, news
        from approvals.slack import card
        from notifications import registry

        measures.connect()
        registry.register("approval.", news.ApprovalTopic(), news.EVENTS)
        registry.register("comment.", comment_news.CommentTopic())
        registry.register_digest(news.waiting)
        registry.register_card("approval.", card.card)
