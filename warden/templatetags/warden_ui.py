"""Template tags and filters of the interface: icons, badges, money, time, agents' text. See static/css/README.md."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import lucide
from django import template
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from warden.templatetags.hostile import draw
from warden.templatetags.payload import draw_payload

register = template.Library()

# state → (icon, word). The word is always there: colour and icon only repeat it.
STATES = {
    "pending": ("hourglass", "Waiting"),
    "approved": ("circle-check", "Approved"),
    "denied": ("circle-x", "Denied"),
    "expired": ("timer-off", "Expired"),
    "cancelled": ("ban", "Cancelled"),
    "claimed": ("badge-check", "Claimed"),
    "allow": ("check", "Allow"),
    "ask": ("hand", "Ask"),
    "deny": ("x", "Deny"),
    "allowed": ("check", "Allowed"),
    "active": ("circle-play", "Active"),
    "suspended": ("circle-pause", "Suspended"),
    "banned": ("ban", "Banned"),
    "revoked": ("circle-slash", "Revoked"),
    "test": ("flask-conical", "Test"),
}
_SAME_LOOK = {"allowed": "allow"}
RISKS = {
    "low": ("signal-low", "Low risk"),
    "medium": ("signal-medium", "Medium risk"),
    "high": ("signal-high", "High risk"),
    "critical": ("octagon-alert", "Critical risk"),
}
_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "CAD": "CA$", "AUD": "A$", "NZD": "NZ$"}
_DECIMALS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "BHD": 3, "KWD": 3, "OMR": 3, "JOD": 3, "TND": 3}


@lru_cache(maxsize=256)
def _icon(name: str, classes: str) -> SafeString:
    svg = lucide._render_icon(name, None, **{"class": classes, "aria-hidden": "true"})
    return mark_safe(re.sub(r"\s*\n\s*", "", svg))  # noqa: S308 - the wheel's own drawing


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """Draw the lucide icon *name*, hidden from screen readers: the words beside it say the same."""
    return _icon(str(name), f"icon {extra}".strip())


@register.filter
def hostile(value: object) -> SafeString:
    """Show what an agent wrote: escaped, never linked, hidden characters drawn, odd words badged."""
    if value is None:
        return SafeString("")
    # bdi and dir keep its direction from reordering the words of the page around it.
    return mark_safe(f'<bdi class="hostile" dir="ltr">{draw(str(value))}</bdi>')  # noqa: S308 - draw() escapes


@register.filter
def payload(value: Any) -> SafeString:
    """Show a JSON value as a foldable tree in which every character can be reached."""
    return mark_safe(draw_payload(value))  # noqa: S308 - draw_payload() escapes


@register.filter
def money(amount: object, currency: str = "") -> SafeString:
    """``{{ amount|money:currency }}`` → $1,500.00. No digit is ever rounded away or cut."""
    if amount is None or amount == "":
        return SafeString("")
    text = format_money(amount, currency)
    return format_html('<span class="amount">{}</span>', SafeString(draw(text)))


def format_money(amount: object, currency: str = "") -> str:
    """Return *amount* (major units) with the sign of *currency*, as plain text, with every digit it has."""
    currency = (currency or "").upper()
    try:
        number = amount if isinstance(amount, Decimal) else Decimal(str(amount))
    except InvalidOperation:
        return f"{amount} {currency}".strip()
    if not number.is_finite() or not -30 < number.adjusted() < 30:
        return f"{number} {currency}".strip()
    sign, size = ("-" if number < 0 else ""), number.copy_abs()  # abs() would round to the context's 28 digits
    _, digits, exponent = size.as_tuple()
    written = "".join(map(str, digits))
    zeros = len(written) - len(written.rstrip("0"))
    decimals = max(_DECIMALS.get(currency, 2), -(int(exponent) + zeros) if number else 0)
    shown = f"{size:,.{decimals}f}"
    symbol = _SYMBOLS.get(currency)
    if symbol:
        return f"{sign}{symbol}{shown}"
    return f"{sign}{shown} {currency}".strip()


@register.filter
def ago(moment: datetime | None) -> SafeString:
    """A past moment in words, with the exact time in its title; kept fresh by time.js."""
    if moment is None:
        return SafeString("")
    moment = _aware(moment)
    return _time(moment, "ago", ago_words(timezone.now() - moment))


@register.filter
def until(moment: datetime | None) -> SafeString:
    """The time left until a moment, counted down by time.js; ``past`` once it is over."""
    if moment is None:
        return SafeString("")
    moment = _aware(moment)
    return _time(moment, "until", left_words(moment - timezone.now()))


@register.filter
def lasting(seconds: float) -> str:
    """How long something has lasted: ``12 s``, ``5 min``, ``3 h``, ``2 d``."""
    return f"{seconds:.0f} s" if seconds < 60 else left_words(timedelta(seconds=seconds), exact=False)


def ago_words(delta: timedelta) -> str:
    """``just now``, ``5 min ago``, ``3 h ago``, ``2 d ago``; a moment still ahead is ``in 5 min``."""
    seconds = int(delta.total_seconds())
    if abs(seconds) < 45:
        return "just now"
    words = left_words(timedelta(seconds=abs(seconds)), exact=False)
    return f"{words} ago" if seconds > 0 else f"in {words}"


def left_words(delta: timedelta, *, exact: bool = True) -> str:
    """``2 d 4 h``, ``3 h 12 min``, ``14 min``, ``9:41``; time.js says the same words."""
    seconds = int(delta.total_seconds())
    if seconds <= 0:
        return "past"
    days, hours, minutes = seconds // 86400, seconds % 86400 // 3600, seconds % 3600 // 60
    if days:
        return f"{days} d {hours} h" if exact and hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if exact and minutes else f"{hours} h"
    if minutes >= 10 or not exact:
        return f"{max(minutes, 1)} min"
    return f"{minutes}:{seconds % 60:02d}"


def _aware(moment: datetime) -> datetime:
    return moment if timezone.is_aware(moment) else moment.replace(tzinfo=UTC)


def _time(moment: datetime, kind: str, words: str) -> SafeString:
    local = timezone.localtime(moment)
    title = f"{local:%a} {local.day} {local:%b %Y, %H:%M:%S %Z}"
    return format_html(
        '<time datetime="{}" title="{}" data-{}>{}</time>', moment.isoformat(), title, SafeString(kind), words
    )


@register.simple_tag
def state_badge(state: object, word: str = "") -> SafeString:
    """The badge of an approval's state, a decision, an effect or an agent's status: icon and word."""
    key = str(state)
    drawn, label = STATES.get(key, ("circle-dot", key.replace("_", " ").capitalize()))
    return _badge(f"badge-{_SAME_LOOK.get(key, key)}" if key in STATES else "", drawn, word or label)


@register.simple_tag
def risk_badge(risk: object) -> SafeString:
    """The badge of a risk, from low to critical."""
    key = str(risk)
    drawn, label = RISKS.get(key, ("signal-zero", key.capitalize() or "No risk set"))
    return _badge(f"risk-{key}" if key in RISKS else "", drawn, label)


def _badge(css: str, drawn: str, label: str) -> SafeString:
    return format_html('<span class="badge {}">{} {}</span>', css, _icon(drawn, "icon"), label)


@register.simple_tag
def sparkline(values: Iterable[float | None], label: str = "") -> SafeString:
    """A small line of *values*, oldest first, that says its range to those who cannot see it."""
    numbers = [float(value or 0) for value in values]
    if not numbers:
        return SafeString("")
    low, high = min(0.0, *numbers), max(numbers)
    span, step = (high - low) or 1.0, 100 / max(len(numbers) - 1, 1)
    points = [f"{i * step:.2f},{30 - (number - low) / span * 28:.2f}" for i, number in enumerate(numbers)]
    if len(points) == 1:
        points.append("100" + points[0][points[0].index(",") :])
    said = f"from {numbers[0]:g} to {numbers[-1]:g}, lowest {min(numbers):g}, highest {high:g}"
    said = f"{label}: {said}" if label else said
    line = " ".join(points)
    return format_html(
        '<svg class="spark" viewBox="0 0 100 32" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<polygon points="0,32 {} 100,32"/><polyline points="{}"/></svg>',
        said, line, line,
    )  # fmt: skip


@register.inclusion_tag("_empty.html")
def empty_state(
    title: str,
    text: str = "",
    icon: str = "inbox",
    kind: str = "none",
    href: str = "",
    action: str = "",
    snippet: str = "",
) -> dict[str, str]:
    """What stands where rows would be. *kind*: ``none`` yet, none ``match``, ``forbidden`` or ``failed`` to load."""
    icons = {"match": "search-x", "forbidden": "lock", "failed": "cloud-off"}
    return {
        "title": title, "text": text, "icon_name": icons.get(kind, icon), "kind": kind,
        "href": href, "action": action, "snippet": snippet,
    }  # fmt: skip


@register.inclusion_tag("_pages.html", takes_context=True)
def pagination(context: template.Context, page: Any) -> dict[str, Any]:
    """Links to the neighbours of a numbered page, or of a keyset page (``previous_cursor``, ``next_cursor``)."""
    if hasattr(page, "paginator"):
        older = {"page": page.next_page_number()} if page.has_next() else None
        newer = {"page": page.previous_page_number()} if page.has_previous() else None
        total = page.paginator.count
        said = f"{page.start_index():,}–{page.end_index():,} of {total:,}" if total else ""
    else:
        older = {"after": page.next_cursor} if page.next_cursor else None
        newer = {"before": page.previous_cursor} if page.previous_cursor else None
        said = ""
    request = context.get("request")
    cleared = {"page": None, "after": None, "before": None}
    return {
        "params": request.GET if request else {}, "said": said,
        "older": older and cleared | older, "newer": newer and cleared | newer,
    }  # fmt: skip


@register.simple_tag
def copyable(text: object, label: str = "Copy") -> SafeString:
    """A short text in monospace with a button that copies exactly it."""
    return format_html(
        '<span class="copyable"><code>{}</code><button type="button" class="btn btn-quiet btn-small btn-icon" '
        'data-copy="{}" aria-label="{}" title="{}" hidden>{}</button></span>',
        SafeString(draw(str(text))), str(text), label, label, _icon("copy", "icon"),
    )  # fmt: skip


_SECTIONS = {
    "approvals": "inbox",
    "agents": "agents",
    "audit": "audit",
    "accounts": "settings",
    "notifications": "settings",
}


@register.inclusion_tag("_nav_item.html", takes_context=True)
def nav_item(
    context: template.Context, key: str, url_name: str, label: str, drawn: str, count: int = 0
) -> dict[str, Any]:
    """One place in the rail; current when the page's ``nav`` or the address says so, absent when it has no address."""
    try:
        href = reverse(url_name)
    except NoReverseMatch:
        href = ""
    current = key == _section(context)
    return {"href": href, "key": key, "label": label, "drawn": drawn, "count": count, "current": current}


def _section(context: template.Context) -> str:
    if nav := context.get("nav"):
        return str(nav)
    match = getattr(context.get("request"), "resolver_match", None)
    if match is None:
        return ""
    if match.view_name == "agents:permissions":
        return "permissions"
    name = match.url_name or ""
    if name.startswith(("account_", "mfa_", "usersessions_", "socialaccount_")):
        return "settings"
    return _SECTIONS.get(match.namespace, name)


@register.inclusion_tag("_account_tab.html", takes_context=True)
def account_tab(context: template.Context, url_name: str, label: str) -> dict[str, Any]:
    """One tab of a person's own pages; absent when it has no address."""
    try:
        href = reverse(url_name)
    except NoReverseMatch:
        href = ""
    match = getattr(context.get("request"), "resolver_match", None)
    here = match.view_name if match else ""
    current = here == url_name or (url_name.startswith("mfa_") and here.startswith("mfa_"))
    return {"href": href, "label": label, "current": current}


@register.filter
def field_kind(field: Any) -> str:
    """How ``_field.html`` lays a bound field out: ``check``, ``group`` or ``plain``."""
    if field.widget_type == "checkbox":
        return "check"
    return "group" if field.use_fieldset else "plain"
