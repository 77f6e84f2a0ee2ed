"""What a malicious agent might write, and how to see that a page stayed itself."""

import re

TEXTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</textarea></title></style><svg onload=alert(1)>",
    "{{ 7|add:7 }}{% csrf_token %}",
    "javascript:alert(1)",
    "https://evil.example/click?approve=1",
    "[approve](https://evil.example)",
    "a\u202eb\u202dc\u2066d\u2069e\u200ff",
    "zero\u200bwidth\u200d\ufeff\u2060\u00ad",
    "nul\x00 esc\x1b[31m bell\x07 del\x7f c1\x85",
    "line\u2028para\u2029sep\r\nX-Evil: yes",
    "tag\U000e0041\U000e007f variation\ufe0f",
    "pаypal сus_АВС",  # Cyrillic letters in Latin words
    "Z̴̡̢̛̗̘̙̜̝̞a̴̡̢̛̗l̴̡̢g̴̡̢o̴̡̢",
    "&lt;b&gt;&#x202e;&amp;",
    "A" * 20_000,
    "\u0430" * 300,
    " ",
]
# Drawn, never printed: they would hide or reorder what a person reads.
INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufe0f\U000e0000-\U000e007f]"
)


def problems(html: str) -> list[str]:
    """What of TEXTS came alive in a page: markup, links, or characters that cannot be seen."""
    alive = ("<script>alert", "onerror=alert(1)>", "<svg onload", 'href="javascript:', 'href="https://evil', ">14<")
    found = [markup for markup in alive if markup in html]
    found += [f"U+{ord(character):04X}" for character in set(INVISIBLE.findall(html))]
    return found
