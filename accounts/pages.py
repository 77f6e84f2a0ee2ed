"""The settings pages: a register that rooms to the right add theirs to, in AppConfig.ready()."""

from dataclasses import dataclass

from django.urls import NoReverseMatch, reverse

from accounts.models import Membership


@dataclass(frozen=True, slots=True)
class Page:
    """One entry of the settings index. `ability` is what a role must have to open it; none: every member may."""

    url_name: str
    title: str
    text: str
    icon: str
    ability: str = ""
    place: int = 50  # lower comes first


_pages: dict[str, Page] = {}


def register(page: Page) -> None:
    """Adds a page; one with the same address is replaced."""
    _pages[page.url_name] = page


def pages_for(membership: Membership) -> list[tuple[Page, str]]:
    """The pages that this member may open, each with its address, in order."""
    found = []
    for page in sorted(_pages.values(), key=lambda page: (page.place, page.title)):
        if page.ability and not membership.may(page.ability):
            continue
        try:
            found.append((page, reverse(page.url_name)))
        except NoReverseMatch:  # a room that is not in this installation's addresses
            continue
    return found


for _page in (
    Page(
        "accounts:organization",
        "Organization",
        "Name, environments, how long answers hold.",
        "building-2",
        "settings:read",
        10,
    ),
    Page("accounts:members", "Members", "Who belongs here, their roles, invitations.", "users", "members:read", 20),
    Page("accounts:teams", "Teams", "Groups that own agents and decide.", "users-round", "members:read", 30),
    Page("agents:rules", "Approval rules", "Who decides, how many must, and by when.", "scale", "agents:read", 40),
    Page(
        "agents:external_opa",
        "External OPA",
        "One more gate after the tiers, which can only tighten.",
        "shield-check",
        "agents:read",
        45,
    ),
    Page("agents:banned", "Banned SPIFFE IDs", "Names that nobody here may be, or act on.", "ban", "agents:read", 48),
    Page("agents:keys", "Keys", "What agents show to prove who they are.", "key-round", "agents:read", 50),
    Page(
        "agents:privacy",
        "Privacy",
        "What is stored withheld or encrypted, and erasing a subject.",
        "lock-keyhole",
        "settings:read",
        55,
    ),
    Page(
        "notifications:deliveries",
        "Deliveries",
        "Mail and messages that went out, or did not.",
        "send",
        "settings:read",
        60,
    ),
):
    register(_page)
