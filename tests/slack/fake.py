"""A server that behaves as Slack documents it, as far as Warden uses Slack; tried through slack-sdk's own client.

It checks tokens, required arguments and the limits of Block Kit, names messages as Slack does, and answers in Slack's
shapes. `fail` makes the next call of a method go wrong; `calls` is all that was asked, in order.
"""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.slack.sockets import Line, shake_hands

Answer = dict[str, Any]


class Error(Exception):
    """`{"ok": false, "error": …}`, or another status with headers."""

    def __init__(
        self, code: str, *, status: int = 200, headers: dict[str, str] | None = None, cut: bool = False
    ) -> None:
        super().__init__(code)
        self.code, self.status, self.headers, self.cut = code, status, headers or {}, cut


@dataclass
class FakeSlack:
    """One workspace, T1, with one channel and one bot."""

    bot_token: str = "xoxb-fake"
    app_token: str = "xapp-fake"
    signing_secret: str = "8f742231b10e8888abcd99yyyzzz85a5"
    team: str = "T0ACME"
    enterprise: str = ""
    client: tuple[str, str] = ("1.2", "client-secret")
    channels: set[str] = field(default_factory=lambda: {"C0OPS"})
    archived: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=lambda: {"C0OPS"})
    users: dict[str, Answer] = field(default_factory=dict)
    messages: dict[str, dict[str, Answer]] = field(default_factory=lambda: defaultdict(dict))
    whispers: list[Answer] = field(default_factory=list)
    views: list[Answer] = field(default_factory=list)
    triggers: set[str] = field(default_factory=set)
    calls: list[tuple[str, Answer]] = field(default_factory=list)
    failures: dict[str, list[Error | Callable[[], None]]] = field(default_factory=lambda: defaultdict(list))
    slow: dict[str, float] = field(default_factory=dict)  # seconds for which a method, or `response`, says nothing
    lines: list[Line] = field(default_factory=list)
    url: str = ""
    _clock: int = 1_700_000_000_000_000
    _lock: threading.RLock = field(default_factory=threading.RLock)

    # For tests

    def user(self, name: str, **facts: Any) -> str:
        """A member of the workspace, or what `facts` make of them."""
        ordinary = {"deleted": False, "is_bot": False, "is_restricted": False, "is_ultra_restricted": False}
        self.users[name] = {
            "id": name,
            "team_id": self.team,
            "name": name.lower(),
            "real_name": name,
            **ordinary,
        } | facts
        return name

    def fail(self, method: str, *failures: Error | Callable[[], None]) -> None:
        self.failures[method] += failures

    def posted(self, channel: str = "C0OPS") -> list[Answer]:
        return list(self.messages[channel].values())

    def called(self, method: str) -> list[Answer]:
        return [arguments for name, arguments in self.calls if name == method]

    # The methods

    def answer(self, method: str, token: str, given: Answer) -> Answer:
        with self._lock:
            self.calls.append((method, given))
            after: Callable[[], None] | None = None
            if self.failures[method]:
                failure = self.failures[method].pop(0)
                if isinstance(failure, Error) and not failure.cut:
                    raise failure
                after = failure if callable(failure) else _cut
            handle = getattr(self, "do_" + method.replace(".", "_"), None)
            if handle is None:
                raise Error("unknown_method")
            if method not in ("oauth.v2.access",):
                self._check_token(method, token)
            result: Answer = {"ok": True, **handle(given)}
        if after:
            after()
        return result

    def _check_token(self, method: str, token: str) -> None:
        wanted = self.app_token if method == "apps.connections.open" else self.bot_token
        if not token:
            raise Error("not_authed")
        if token != wanted:
            raise Error("invalid_auth")

    def do_auth_test(self, given: Answer) -> Answer:
        enterprise = {"enterprise_id": self.enterprise} if self.enterprise else {}
        return {
            "url": "https://acme.slack.com/", "team": "Acme", "user": "warden", "team_id": self.team,
            "user_id": "U0BOT", "bot_id": "B0BOT", "is_enterprise_install": False,
        } | enterprise  # fmt: skip

    def do_chat_postMessage(self, given: Answer) -> Answer:
        channel = self._channel(given)
        check_blocks(given.get("blocks", []))
        if not given.get("text") and not given.get("blocks"):
            raise Error("no_text")
        self._clock += 1_000_123
        ts = f"{self._clock // 1_000_000}.{self._clock % 1_000_000:06d}"
        self.messages[channel][ts] = {"type": "message", "ts": ts, "bot_id": "B0BOT", **given}
        return {"channel": channel, "ts": ts, "message": {"text": given.get("text", ""), "ts": ts}}

    def do_chat_update(self, given: Answer) -> Answer:
        channel, ts = self._channel(given), given.get("ts", "")
        check_blocks(given.get("blocks", []))
        if ts not in self.messages[channel]:
            raise Error("message_not_found")
        self.messages[channel][ts] |= given
        return {"channel": channel, "ts": ts, "text": given.get("text", "")}

    def do_chat_postEphemeral(self, given: Answer) -> Answer:
        channel = self._channel(given)
        if channel not in self.members:
            raise Error("not_in_channel")
        if given.get("user") not in self.users:
            raise Error("user_not_in_channel")
        check_blocks(given.get("blocks", []))
        self.whispers.append(given)
        return {"message_ts": "1.000001"}

    def do_views_open(self, given: Answer) -> Answer:
        if given.get("trigger_id") not in self.triggers:
            raise Error("invalid_trigger_id")
        self.triggers.discard(given["trigger_id"])  # once; Slack's own live for three seconds
        view = given["view"]
        check_blocks(view["blocks"])
        if len(view["private_metadata"]) > 3_000 or any(
            len(view[name]["text"]) > 24 for name in ("title", "submit", "close")
        ):
            raise Error("invalid_arguments")
        self.views.append(view)
        return {"view": {"id": f"V{len(self.views)}", **view}}

    def do_users_info(self, given: Answer) -> Answer:
        if given.get("user") not in self.users:
            raise Error("user_not_found")
        return {"user": self.users[given["user"]]}

    def do_conversations_history(self, given: Answer) -> Answer:
        channel = self._channel(given)
        if channel not in self.members:
            raise Error("not_in_channel")
        all_of_them = given.get("include_all_metadata") in ("1", "true", True)
        found = [
            message if all_of_them else {name: value for name, value in message.items() if name != "metadata"}
            for message in reversed(self.messages[channel].values())
        ]
        return {"messages": found[: int(given.get("limit", 100))], "has_more": False}

    def do_oauth_v2_access(self, given: Answer) -> Answer:
        if (given.get("client_id"), given.get("client_secret")) != self.client:
            raise Error("bad_client_secret")
        if given.get("code") != "good-code":
            raise Error("invalid_code")
        return {
            "access_token": self.bot_token, "token_type": "bot", "scope": "chat:write,commands",
            "bot_user_id": "U0BOT", "app_id": "A0APP", "team": {"id": self.team, "name": "Acme"}, "enterprise": None,
        }  # fmt: skip

    def do_apps_connections_open(self, given: Answer) -> Answer:
        return {"url": self.url.replace("http:", "ws:") + "/line?ticket=1"}

    def _channel(self, given: Answer) -> str:
        channel = str(given.get("channel", ""))
        if channel not in self.channels:
            raise Error("channel_not_found")
        if channel in self.archived:
            raise Error("is_archived")
        return channel


def _cut() -> None:
    raise Error("cut", cut=True)


def check_blocks(blocks: list[Answer]) -> None:
    """The limits of Block Kit that a message can run into: docs.slack.dev/reference/block-kit; that of all blocks
    together is in no reference: github.com/slackapi/bolt-js/issues/2509.
    """
    if len(blocks) > 50:
        raise Error("invalid_blocks")
    if len(json.dumps(blocks, ensure_ascii=False)) > 13_000:
        raise Error("msg_blocks_too_long")
    for block in blocks:
        match block["type"]:
            case "section":
                texts = [(block["text"], 3_000)] if "text" in block else []
                texts += [(text, 2_000) for text in block.get("fields", [])]
                fits = 0 < len(texts) <= 11 and _buttons_fit([block["accessory"]] if "accessory" in block else [])
            case "context":
                texts, fits = [(text, 3_000) for text in block["elements"]], len(block["elements"]) <= 10
            case "actions":
                texts, fits = [], 0 < len(block["elements"]) <= 25 and _buttons_fit(block["elements"])
            case "input":
                texts, fits = [(block["label"], 2_000)], block["element"].get("max_length", 3_000) <= 3_000
            case _:
                raise Error("invalid_blocks")
        if not fits or not all(0 < len(text["text"]) <= limit for text, limit in texts):
            raise Error("invalid_blocks")


def _buttons_fit(buttons: list[Answer]) -> bool:
    names = [button["action_id"] for button in buttons]
    return len(set(names)) == len(names) and all(
        len(button["text"]["text"]) <= 75
        and len(button.get("value", "")) <= 2_000
        and len(button.get("url", "")) <= 3_000
        and len(button.get("confirm", {}).get("text", {}).get("text", "")) <= 300
        for button in buttons
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    slack: FakeSlack

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        method = self.path.removeprefix("/api/").partition("?")[0]
        is_response = self.path.startswith("/response/")
        time.sleep(self.slack.slow.get("response" if is_response else method, 0.0))
        if is_response:
            self.slack.whispers.append(json.loads(body))
            return self._send(200, b"ok", {})
        is_json = self.headers.get("Content-Type", "").startswith("application/json")
        given = json.loads(body or "{}") if is_json else dict(parse_qsl(body, keep_blank_values=True))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            answer = self.slack.answer(method, token, given)
        except Error as error:
            if error.cut:  # done, but the answer is lost
                self.close_connection = True
                return None
            return self._send(error.status, json.dumps({"ok": False, "error": error.code}).encode(), error.headers)
        return self._send(200, json.dumps(answer).encode(), {})

    def do_GET(self) -> None:
        self.close_connection = True
        if self.headers.get("Upgrade") == "websocket":
            line = shake_hands(self)
            self.slack.lines.append(line)
            line.hold()
            return
        asked = dict(parse_qsl(urlsplit(self.path).query))
        if urlsplit(self.path).path == "/oauth/v2/authorize" and asked.get("client_id") == self.slack.client[0]:
            back = urlencode({"code": "good-code", "state": asked["state"]})  # whoever is asked says yes
            self._send(302, b"", {"Location": f"{asked['redirect_uri']}?{back}"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Says nothing."""


class Server:
    """`with Server() as slack:` the fake, on a port of its own."""

    def __enter__(self) -> FakeSlack:
        slack = FakeSlack()
        handler = type("Handler", (_Handler,), {"slack": slack})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        slack.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        self._slack = slack
        return slack

    def __exit__(self, *_: object) -> None:
        for line in self._slack.lines:
            line.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
