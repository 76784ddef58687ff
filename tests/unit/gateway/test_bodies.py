"""Bodies of requests: what is read costs what its length costs, whatever stands in it."""

import pytest

from maestro.errors import InvalidInput
from maestro.gateway.bodies import MAX_BYTES, check_json
from maestro.gateway.problems import Malformed

HALF = MAX_BYTES // 2


@pytest.mark.timeout(60)  # an hour and more, where each quote is looked at once more for each before it
@pytest.mark.parametrize(
    "body",
    [
        b'"' + b'\\"' * HALF,
        b'"' * MAX_BYTES,
        b'"\\' * HALF,
        b"[" * MAX_BYTES,
        b'["' + b"\\\\" * HALF,
        b'{"a": "' + b"x" * MAX_BYTES,
    ],
    ids=["a string that never ends", "quotes", "quotes and escapes", "brackets", "escapes", "a long string"],
)
def test_no_body_takes_longer_than_its_length(body: bytes) -> None:
    with pytest.raises(Malformed):
        check_json(body)


@pytest.mark.parametrize("text", ['"]"', '"\\""', '["[", "{"]', '"' + "[" * 100 + '"', '["\\\\", ["\\\\"]]'])
def test_brackets_in_strings_are_text(text: str) -> None:
    check_json(text.encode())


@pytest.mark.parametrize("body", [b"[" * 65 + b"]" * 65, b'["\\\\"' + b",[" * 64 + b"]" * 65])
def test_b2_deeper_than_64_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed, match="deeper than 64"):
        check_json(body)


def test_b5_a_key_twice_is_named() -> None:
    with pytest.raises(Malformed, match="'a' stands twice"):
        check_json(b'{"b": 1, "a": 1, "a": 2}')


@pytest.mark.parametrize("body", [b"NaN", b"-Infinity", b"1e400", b"9223372036854775808", b'"\\ud800"'])
def test_b7_b11_what_cannot_be_kept_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        check_json(body)
