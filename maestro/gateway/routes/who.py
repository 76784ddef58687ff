"""Who asks: log-in and log-out of browsers, and the tokens of programs."""

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from maestro.errors import NotFound
from maestro.gateway.access import RIGHTS, SESSION_MS, Asker, TokenNote
from maestro.gateway.gate import COOKIE, Administrator, Gate, Gated, Looker
from maestro.gateway.once import OnceRoute
from maestro.gateway.problems import NotAllowed
from maestro.gateway.shapes import Login, Me, Token, TokenAsked, TokenMade, Tokens
from maestro.ids import ContinuationId
from maestro.runtime.audit import note

router = APIRouter(route_class=OnceRoute, tags=["who"])


@router.get("/v1/me")
async def me(asker: Looker) -> Me:
    """Who asks, and what they may."""
    return Me(
        id=asker.id,
        name=asker.name,
        role=asker.role,
        tenant=asker.tenant,
        subtree=asker.subtree,
        expires_at_ms=asker.expires_at_ms,
        can=sorted(RIGHTS[asker.role]),
        csrf=asker.csrf,
    )


@router.get("/login", include_in_schema=False)
async def login_by_link(gate: Gated, code: str = "") -> Response:
    """The browser that follows the printed link is logged in, and shown the pane."""
    _, secret = await gate.doorkeeper.log_in(code[:200])
    return _with_cookie(gate, RedirectResponse("/", status_code=303), secret)


@router.post("/v1/login", status_code=204)
async def login(gate: Gated, asked: Login) -> Response:
    """The browser that sends the code is logged in."""
    _, secret = await gate.doorkeeper.log_in(asked.code)
    return _with_cookie(gate, Response(status_code=204), secret)


@router.post("/v1/logout", status_code=204)
async def logout(gate: Gated, asker: Looker) -> Response:
    """This session is over; a token stays."""
    await gate.doorkeeper.log_out(asker)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/")
    return response


@router.get("/v1/tokens")
async def tokens(gate: Gated, asker: Administrator) -> Tokens:
    """All tokens, the oldest first; never themselves. Who has a subtree sees those of its own."""
    return Tokens(items=[_shown(one) for one in await gate.doorkeeper.tokens() if _is_own(gate, asker, one.subtree)])


@router.post("/v1/tokens", status_code=201)
async def make_token(gate: Gated, asker: Administrator, asked: TokenAsked) -> TokenMade:
    """A token, told this once; who has a subtree makes them for its own."""
    if not _is_own(gate, asker, asked.subtree):
        raise NotAllowed("a token with a subtree makes none beyond it", field="subtree", hint=f"say {asker.subtree}")
    made, text = await gate.doorkeeper.create(asked.name, asked.role, asked.expires_in_s, asked.subtree)
    await note(gate.through(asker), "token create", made.id, name=made.name, role=made.role)
    return TokenMade(**_shown(made).model_dump(), token=text)


@router.delete("/v1/tokens/{token}", status_code=204)
async def revoke_token(gate: Gated, asker: Administrator, token: str) -> Response:
    """That token is over."""
    if asker.subtree is not None and token[:60] not in {one.id for one in (await tokens(gate, asker)).items}:
        raise NotFound(f"no token {token[:40]!r}", field="token", hint="see `maestro token list`")
    await gate.doorkeeper.revoke(token[:60])
    await note(gate.through(asker), "token revoke", token[:60])
    return Response(status_code=204)


def _is_own(gate: Gate, asker: Asker, subtree: str | None) -> bool:
    """True where a token of that subtree reaches no further than whoever asks."""
    if asker.subtree is None:
        return True
    return subtree is not None and gate.directory.within(ContinuationId(subtree), asker.subtree)


def _shown(note: TokenNote) -> Token:
    return Token(**note.model_dump(exclude={"hash", "csrf"}))


def _with_cookie(gate: Gate, response: Response, secret: str) -> Response:
    response.set_cookie(
        COOKIE, secret, max_age=SESSION_MS // 1000, path="/", httponly=True, samesite="strict", secure=gate.secure
    )
    return response
