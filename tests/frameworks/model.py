"""A model whose lines are written beforehand, speaking as OpenAI's and Google's do: no network, no framework's double.

Agents find it where their own libraries look: OPENAI_BASE_URL, GOOGLE_GEMINI_BASE_URL.
"""

import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Use(NamedTuple):
    """The model calls this tool."""

    tool: str
    arguments: dict[str, Any]


type Line = Use | str  # a tool to call, or the last word


class Model:
    """`with Model(lines) as model:` says one line after the other, whoever asks; `read` is what tools told it."""

    def __init__(self, *lines: Line) -> None:
        self.lines = list(lines)
        self.said = 0
        self.read: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> "Model":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def environment(self) -> dict[str, str]:
        """What leads an agent's libraries to it."""
        url = f"http://127.0.0.1:{self._server.server_port}"
        return {
            "OPENAI_BASE_URL": f"{url}/v1",
            "OPENAI_API_KEY": "none",
            "GOOGLE_GEMINI_BASE_URL": url,
            "GOOGLE_API_KEY": "none",
        }

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The next line, in the words of the API that was called. Raises LookupError where there is none."""
        dialect = next(words for end, words in DIALECTS.items() if path.endswith(end))
        told, say = dialect
        results = list(told(body))
        if results:
            self.read.append(results[-1])
        line = self.lines[self.said]
        self.said += 1
        return say(line, f"call_{uuid.uuid4().hex}")


def _handler(model: Model) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                status, answer = 200, model.answer(self.path.partition("?")[0], body)
            except LookupError as error:  # no framework repeats a request after a 400
                status, answer = 400, {"error": {"message": f"nothing was written for this: {error}"}}
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    return Handler


def _told_completions(body: dict[str, Any]) -> Iterator[str]:
    return (_text(each["content"]) for each in body["messages"] if each["role"] == "tool")


def _told_responses(body: dict[str, Any]) -> Iterator[str]:
    items = [each for each in body["input"] if isinstance(each, dict)]
    return (_text(each["output"]) for each in items if each.get("type") == "function_call_output")


def _told_gemini(body: dict[str, Any]) -> Iterator[str]:
    parts = [part for content in body["contents"] for part in content["parts"]]
    return (_text(part["functionResponse"]["response"]) for part in parts if "functionResponse" in part)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _completions(line: Line, call_id: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": line if isinstance(line, str) else None}
    if isinstance(line, Use):
        function = {"name": line.tool, "arguments": json.dumps(line.arguments)}
        message["tool_calls"] = [{"id": call_id, "type": "function", "function": function}]
    choice = {"index": 0, "message": message, "finish_reason": "stop" if isinstance(line, str) else "tool_calls"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {
        "id": call_id,
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [choice],
        "usage": usage,
    }


def _responses(line: Line, call_id: str) -> dict[str, Any]:
    item: dict[str, Any]
    if isinstance(line, Use):
        item = {
            "type": "function_call",
            "id": f"fc_{call_id}",
            "call_id": call_id,
            "name": line.tool,
            "status": "completed",
        }
        item["arguments"] = json.dumps(line.arguments)
    else:
        text = {"type": "output_text", "text": line, "annotations": []}
        item = {
            "type": "message",
            "id": f"msg_{call_id}",
            "role": "assistant",
            "status": "completed",
            "content": [text],
        }
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {
        "id": f"resp_{call_id}", "object": "response", "created_at": 1, "model": "scripted", "status": "completed",
        "output": [item], "parallel_tool_calls": False, "tool_choice": "auto", "tools": [],
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, **details},
    }  # fmt: skip


def _gemini(line: Line, call_id: str) -> dict[str, Any]:
    part: dict[str, Any] = {"text": line}
    if isinstance(line, Use):
        part = {"functionCall": {"name": line.tool, "args": line.arguments}}
    candidate = {"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [part]}}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    return {"candidates": [candidate], "modelVersion": "scripted", "responseId": call_id, "usageMetadata": usage}


DIALECTS = {
    "/chat/completions": (_told_completions, _completions),
    "/responses": (_told_responses, _responses),
    ":generateContent": (_told_gemini, _gemini),
}
