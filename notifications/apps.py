from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "notifications"
    verbose_name = "Notifications"

    def ready(self) -> None:
        from accounts.pages import Page, register
        from agents.signals import receiver_removed
        from notifications import code, disabling, proposals, registry
        from notifications.alerts import ready as alerts
        from notifications.reviews import news as reviews
        from notifications.services import deliveries
        from notifications.slack import ready

        receiver_removed.connect(deliveries.end)
        registry.register("channel.", disabling.ChannelTopic())
        for page in (
            Page("notifications:preferences", "Your notifications", "What you are mailed, and when.", "bell", "", 5),
            Page(
                "notifications:channels",
                "Channels",
                "Where this organization hears of things: mail, Slack, webhooks.",
                "megaphone",
                "settings:read",
                55,
            ),
            Page(
                "notifications:streams",
                "Streams",
                "The record as it flows to a SIEM, by syslog or webhook.",
                "radio-tower",
                "settings:read",
                57,
            ),
            Page("notifications:mail", "E-mail", "The mail server, and a test of it.", "mail", "settings:read", 58),
        ):
            register(page)
        ready.ready(self)
        alerts.connect()
        reviews.connect()
        code.connect()
        proposals.connect()
