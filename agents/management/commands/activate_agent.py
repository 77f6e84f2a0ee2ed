from agents.management.commands._status import StatusCommand


class Command(StatusCommand):
    help = "Let an agent act (again)."
    status = "active"
