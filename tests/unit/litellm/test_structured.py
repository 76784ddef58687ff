"""Reading an object out of what a model said."""

import pytest

from maestro.adapters.litellm.structured import JsonObject, NotAnObject, read_object, schema_in, schema_instruction

SCHEMA: JsonObject = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.parametrize(
    "text",
    [
        '{"n": 1}',
        ' {"n": 1} and that is all',
        '```json\n{"n": 1}\n```',
        'As {curly} as it gets: {"n": 1}',
        '{"n":1}{"n":2}',
    ],
)
def test_an_object_is_found_whatever_stands_around_it(text: str):
    assert read_object(text, SCHEMA) == '{"n":1}'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("no", "holds no JSON object"),
        ("[1]", "holds no JSON object"),
        ("{'n': 1}", "cannot be read"),
        ('{"n": 1', "cannot be read"),
        ('{"n": NaN}', "NaN is no JSON number"),
        ('{"n": "1"}', r"at \$\.n: '1' is not of type 'integer'"),
        ("{}", "'n' is a required property"),
        ('{"n":' + "[" * 100_000, "cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_text_for_the_model(text: str, complaint: str):
    with pytest.raises(NotAnObject, match=complaint):
        read_object(text, SCHEMA)


def test_the_instruction_can_be_read_back():
    system = f"be brief\n\n{schema_instruction(SCHEMA)}\nthanks"
    assert schema_in(system) == (SCHEMA, "be brief\n\n\nthanks")
    assert schema_in("be brief") == (None, "be brief")
