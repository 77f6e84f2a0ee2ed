from django.apps import AppConfig
from django.db.models.signals import post_save


class AgentsConfig(AppConfig):
    name = "agents"
    verbose_name = "Agents"

    def ready(self) -> None:
        from accounts.signals import organization_created
        from agents import receivers

        organization_created.connect(receivers.begin)
        post_save.connect(receivers.follow, sender="accounts.Organization")
