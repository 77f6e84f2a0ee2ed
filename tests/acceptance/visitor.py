"""Somebody logged in who follows every link, to find out what can be seen from there."""

import html
import re
from collections import Counter
from collections.abc import Iterator

import httpx
from django.conf import settings
from django.test import Client

from accounts.models import User

LINK = re.compile(r'(?:href|action|src|hx-get|data-live-url)="(/[^"#]*)')
NOT_PAGES = ("/static/", "/accounts/logout/", "/api/docs")
PAGES, VARIANTS = 200, 3  # at most: in all, and of one path with different parameters


def cookies_of(who: User, mode: str = "live") -> dict[str, str]:
    """A session of theirs, looking at `mode`."""
    browser = Client()
    browser.force_login(who, backend="allauth.account.auth_backends.AuthenticationBackend")
    session = browser.session
    session["mode"] = mode
    session.save()
    return {settings.SESSION_COOKIE_NAME: str(session.session_key)}


def everything(base_url: str, who: User, mode: str = "live", start: str = "/inbox/") -> Iterator[httpx.Response]:
    """Every page that can be reached by links, and what each answered. No form is sent."""
    queue, seen, variants = [start], {start}, Counter[str]()
    with httpx.Client(base_url=base_url, cookies=cookies_of(who, mode), timeout=60) as browser:
        while queue and sum(variants.values()) < PAGES:
            link = queue.pop(0)
            path = link.partition("?")[0]
            variants[path] += 1
            if variants[path] > VARIANTS:
                continue
            response = browser.get(link)
            assert response.status_code < 500, link
            yield response
            found = [*LINK.findall(response.text), response.headers.get("location", "")]
            for each in map(html.unescape, found):
                if each.startswith("/") and not each.startswith(NOT_PAGES) and each not in seen:
                    seen.add(each)
                    queue.append(each)
