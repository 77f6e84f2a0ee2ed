from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class WardenConfig(AppConfig):
    name = "warden"
    verbose_name = "Warden"

    def ready(self) -> None:
        from warden import celery, checks, grants, logs, tracing  # noqa: F401 - checks register themselves; tasks find their broker

        post_migrate.connect(grants.grant, sender=apps.get_app_config("audit"))  # once, after everything
        logs.configure()
        if tracing.is_wanted() and tracing.is_installed():
            tracing.start()
