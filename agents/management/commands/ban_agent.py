from agents.management.commands._status import StatusCommand


class Command(StatusCommand):
    help = "Deny everything an agent asks, for good."
    status = "banned"
