"""`web.fetch`: one page of the web as a tool, by the same guard as feeds.

A GET changes nothing there, and carries its address out: the tool is pure and outgoing, so that a tick which untrusted
words caused asks a person first. It needs the scope `web`.
"""

import hashlib
from email.message import Message

from pydantic import BaseModel, ConfigDict

from maestro.adapters.web.client import GuardedWeb
from maestro.errors import EgressRefused, ToolDeclined, WebError
from maestro.mesh.egress import Egress
from maestro.mesh.web import Answer, WebLimits
from maestro.tools.calls import failed
from maestro.tools.gifts import gift
from maestro.tools.spec import tool

LIMITS = WebLimits(deadline_ms=30_000, max_bytes=5 << 20, max_redirects=5)
MAX_TEXT_CHARS = 200_000
_TEXTUAL = ("text/", "application/json", "application/xml", "application/xhtml+xml", "application/rss+xml")


class Page(BaseModel):
    """What a server answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    """Where the redirects led."""
    status: int
    media_type: str
    bytes: int
    sha256: str
    text: str = ""
    """Of what is text; of a status other than 200 the body is not read."""
    cut: bool = False
    """True when `text` is only its beginning."""


@tool(name="web.fetch", side_effect="pure", outgoing=True, scopes=("web",), cacheable=True, timeout_s=60)
async def fetch(url: str) -> Page:
    """Fetches the page at an http or https address of the public web; gives its text, cut at 200,000 characters."""
    web = GuardedWeb(Egress.parse(filter(None, gift("egress", "see MAESTRO_EGRESS_ALLOW").split(","))))
    try:
        return _page(await web.get(url, {}, LIMITS))
    except EgressRefused as error:
        raise ToolDeclined(error.message, field=error.field, hint=error.hint) from None
    except WebError as error:
        raise failed("web.fetch", error.message) from None
    finally:
        await web.close()


def _page(answer: Answer) -> Page:
    told = Message()
    told["Content-Type"] = answer.headers.get("content-type", "application/octet-stream")
    kind = told.get_content_type()
    text = _text(answer.body, told.get_content_charset("utf-8")) if kind.startswith(_TEXTUAL) else ""
    return Page(
        url=answer.url, status=answer.status, media_type=kind, bytes=len(answer.body),
        sha256=hashlib.sha256(answer.body).hexdigest(), text=text[:MAX_TEXT_CHARS], cut=len(text) > MAX_TEXT_CHARS,
    )  # fmt: skip


def _text(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset, errors="replace").replace("\x00", "\ufffd")
    except LookupError:  # a charset that nobody knows
        return body.decode(errors="replace")
