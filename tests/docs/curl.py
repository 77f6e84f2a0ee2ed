"""Sends what a curl command of the documentation would."""

import shlex

import httpx


def curl(command: str, **names: str) -> httpx.Response:
    """`curl URL [-X METHOD] [-H HEADER]… [-d BODY]`, with $NAME replaced by `names`."""
    for name in sorted(names, key=len, reverse=True):
        command = command.replace(f"${name}", names[name])
    words = shlex.split(command.replace("\\\n", " "))
    assert words.pop(0) == "curl"
    method, url, body, headers = "GET", "", None, {}
    while words:
        match words.pop(0):
            case "-X":
                method = words.pop(0)
            case "-H":
                name, _, value = words.pop(0).partition(": ")
                headers[name] = value
            case "-d":
                body, method = words.pop(0), "POST"
            case word:
                url = word
    return httpx.request(method, url, headers=headers, content=body, timeout=40)
