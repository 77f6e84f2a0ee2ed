"""What alerts hand in when Warden starts."""

from accounts.pages import Page
from accounts.pages import register as register_page
from accounts.signals import organization_created
from audit import lag
from notifications import registry
from notifications.alerts import measures, rules
from notifications.alerts.news import AlertTopic
from notifications.models import Delivery
from notifications.publishing.publish import failing_for
from notifications.streams import lag as streams

NEWEST = 20_000  # messages that are looked at


def delivery_failures(scope: measures.Scope) -> float:
    """Messages made within the window that were tried and did not go out: given up, or to be tried again."""
    recent = Delivery.objects.filter(
        organization_id=scope.organization_id, mode=scope.mode, created_at__gte=scope.since
    ).order_by("-id")[:NEWEST]
    states = recent.values_list("state", "attempts", "error")
    return float(
        sum(state == "failed" or (state == "due" and attempts > 0 and bool(error)) for state, attempts, error in states)
    )


def record_lag(scope: measures.Scope) -> float:
    """Minutes since the oldest event that the sequencer has not put in order."""
    return lag.seconds(scope.now, scope.organization_id) / 60


def record_broken(scope: measures.Scope) -> float:
    """Logs that are not what was signed: the sequencer refuses them, or the last verification found something."""
    return float(lag.broken(scope.organization_id))


def stream_lag(scope: measures.Scope) -> float:
    """Minutes since the oldest event that a stream which is not paused has yet to bring to its receiver."""
    return streams.seconds(scope.now, scope.organization_id, scope.mode) / 60


def unpublished(scope: measures.Scope) -> float:
    """Minutes for which a checkpoint could not be published to a place that the environment names."""
    return failing_for(scope.now, scope.organization_id) / 60


def connect() -> None:
    registry.register("alert.", AlertTopic())
    measures.register(measures.Measure("delivery_failures", "Messages not delivered", delivery_failures))
    measures.register(
        measures.Measure("record_lag", "The record is not put in order", record_lag, "minutes", windowed=False)
    )
    measures.register(
        measures.Measure("stream_lag", "A stream of the record is behind", stream_lag, "minutes", windowed=False)
    )
    measures.register(
        measures.Measure(
            "checkpoints_unpublished", "Checkpoints cannot be published", unpublished, "minutes", windowed=False
        )
    )
    measures.register(measures.Measure("record_broken", "Logs that do not hold", record_broken, windowed=False))
    organization_created.connect(rules.begin)
    register_page(
        Page(
            "notifications:alerts",
            "Alerts",
            "What fires when something is wrong, and who hears.",
            "siren",
            "settings:read",
            54,
        )
    )
