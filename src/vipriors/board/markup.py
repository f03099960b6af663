"""Markdown of people's long texts as HTML that is safe to put into a page."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

SCHEMES = {"http", "https", "mailto"}
TAGS = {
    *("p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "a"),
    *("ul", "ol", "li", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}

# Images are left out: one from elsewhere would be fetched, one from here is not copied.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
_ANY_LINK = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
_ANY_LINK.validateLink = lambda url: True  # type: ignore[method-assign]


def is_link(url: str) -> bool:
    """Whether a link leads to another site or to a mailbox, and to nothing else."""
    if not url.isprintable() or any(character in url for character in " \\\"'<>`"):
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return parts.scheme == "mailto" if not host else parts.scheme in ("http", "https")


def wrong_links(text: str) -> list[str]:
    """Links of a Markdown text that are none (`is_link`)."""
    hrefs = [
        str(token.attrs["href"]) for token in _all_tokens(_ANY_LINK.parse(text)) if token.type == "link_open"
    ]
    return [href for href in hrefs if not is_link(href)]


def html(text: str) -> Markup:
    """A Markdown text as HTML: no raw HTML, no images, links to other sites and mailboxes alone.

    Headings start at the third level, since pages and their sections have the first two.
    """
    tokens = _MARKDOWN.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
    rendered = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    return Markup(
        nh3.clean(
            rendered,
            tags=TAGS,
            attributes={"a": {"href"}, "ol": {"start"}},
            url_schemes=SCHEMES,
            url_relative="deny",
            link_rel="noopener noreferrer",
        )
    )


def inline_html(text: str) -> Markup:
    """`html` of a text of one paragraph, without the paragraph."""
    return Markup(html(text).strip().removeprefix("<p>").removesuffix("</p>"))


def _all_tokens(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _all_tokens(token.children or [])
