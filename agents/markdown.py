"""Agents' documentation: Markdown in, harmless HTML out."""

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

_DEEPEST = 6
_BELOW = 2  # the page's own headings end where the document's begin
_parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a"),
    *("h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}


def render(text: str) -> SafeString:
    """CommonMark with tables. Raw HTML is shown as text; pictures are left out, since they would call other servers.

    Links lead to http, https and mailto only, and tell nobody where they were followed from.
    """
    tokens = _parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + _BELOW, _DEEPEST)}"
        if token.children:
            token.children = [_without_picture(child) for child in token.children]
    html = _parser.renderer.render(tokens, _parser.options, {})
    return mark_safe(  # noqa: S308 - cleaned by nh3
        nh3.clean(
            html,
            tags=_TAGS,
            attributes={"a": {"href", "title"}, "ol": {"start"}},
            url_schemes={"http", "https", "mailto"},
            link_rel="nofollow noopener noreferrer",
        )
    )


def _without_picture(token: Token) -> Token:
    if token.type != "image":
        return token
    return Token("text", "", 0, content=f"[picture: {token.content}]")
