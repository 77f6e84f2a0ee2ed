from agents.management.commands._status import StatusCommand


class Command(StatusCommand):
    help = "Deny everything an agent asks, until it is activated."
    status = "suspended"
