from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "gateway"
    verbose_name = "The agents' door"

    def ready(self) -> None:
        from gateway import measures, news
        from notifications import registry

        measures.connect()
        registry.register("log.", news.LogTopic(), news.EVENTS)
