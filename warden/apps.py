from django.apps import AppConfig


class WardenConfig(AppConfig):
    name = "warden"
    verbose_name = "Warden"

    def ready(self) -> None:
        from warden import celery, checks, logs, tracing  # noqa: F401 - checks register themselves; tasks find their broker

        logs.configure()
        if tracing.is_wanted() and tracing.is_installed():
            tracing.start()
