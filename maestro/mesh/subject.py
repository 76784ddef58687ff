"""Subjects and patterns: the names by which events find those who want them.

A subject is 1 to 8 tokens joined by dots (`arxiv.cs.AI`). In a pattern `*` stands for exactly one token, and a last `>`
for one or more. Nothing else is special, so that matching takes time linear in the tokens.

Invariant: `candidates(subject)` holds a pattern exactly when `matches(pattern, subject)`. The store keeps one set of
subscribers per pattern and looks up the candidates of an event, so that an event costs what it matches and not how many
sleep: at most 511 look-ups, 15 for a subject of three tokens.

Source: spec/04 section 3; the wildcards of NATS.
"""

import re
from itertools import product

from maestro.errors import InvalidInput

ONE, REST = "*", ">"
MAX_TOKENS = 8  # candidates double with each token: 8 make 511
MAX_TOKEN_CHARS = 64

_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_TOKEN_CHARS}}}")
_TOKEN_HINT = f"use letters, digits, '_' and '-', at most {MAX_TOKEN_CHARS} of them between two dots"


def check_subject(subject: str, field: str = "subject") -> str:
    """`subject` as the name of what happened.

    Raises:
        InvalidInput: not 1 to 8 tokens of letters, digits, '_' and '-'; wildcards have no place here.
    """
    for token in _tokens(subject, field):
        _check_token(token, field, _TOKEN_HINT)
    return subject


def check_pattern(pattern: str, field: str = "pattern") -> str:
    """`pattern` as what a subscriber asks for.

    Raises:
        InvalidInput: a token that is neither a subject's nor `*`, or a `>` before the end.
    """
    *head, last = _tokens(pattern, field)
    for token in head if last == REST else (*head, last):
        if token == REST:
            raise InvalidInput(
                f"{pattern[:80]!r} has '>' before its end", field=field, hint="'>' stands for the rest: put it last"
            )
        if token != ONE:
            _check_token(token, field, f"{_TOKEN_HINT}; '*' for one token, a last '>' for the rest")
    return pattern


def matches(pattern: str, subject: str) -> bool:
    """True when an event of `subject` is one that `pattern` asks for; both are valid."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == REST:
        wanted.pop()
        given, rest = given[: len(wanted)], given[len(wanted) :]
        if not rest:
            return False
    return len(wanted) == len(given) and all(w in (ONE, g) for w, g in zip(wanted, given, strict=True))


def candidates(subject: str) -> tuple[str, ...]:
    """Every pattern that matches `subject`, the subject itself first; 2^(n+1) - 1 for n tokens."""
    tokens = subject.split(".")
    forms = [(token, ONE) for token in tokens]
    whole = (".".join(form) for form in product(*forms))
    rests = (".".join((*form, REST)) for known in reversed(range(len(tokens))) for form in product(*forms[:known]))
    return (*whole, *rests)


def _tokens(text: str, field: str) -> list[str]:
    tokens = text.split(".", MAX_TOKENS)
    if len(tokens) > MAX_TOKENS:
        raise InvalidInput(
            f"{text[:80]!r} has more than {MAX_TOKENS} tokens",
            field=field,
            hint=f"name at most {MAX_TOKENS} levels, such as arxiv.cs.AI",
        )
    return tokens


def _check_token(token: str, field: str, hint: str) -> None:
    if not _TOKEN.fullmatch(token):
        raise InvalidInput(f"{token[:80]!r} is no token of a {field}", field=field, hint=hint)
