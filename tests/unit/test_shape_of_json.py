"""Which JSON counts as nested too deeply, and that its shape does not make this dear to find out."""

from __future__ import annotations

import json
import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asgi_jwt_claims.errors import MalformedTokenError
from asgi_jwt_claims.jose.strict_json import MAX_JSON_DEPTH, load_json

SMALL = st.recursive(
    st.text(st.sampled_from('[]{}"\\a'), max_size=5) | st.none(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.sampled_from('[{"\\]}a'), max_size=4), inner)
    ),
    max_leaves=40,
)


def depth_of(text: str) -> int:
    """The most brackets that are open at once outside of strings, found one character after the other."""
    depth = deepest = 0
    inside = escaped = False
    for character in text:
        if inside:
            inside = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            inside = True
        else:
            depth += (character in "[{") - (character in "]}")
            deepest = max(deepest, depth)
    return deepest


def verdict(text: str) -> str:
    """What is said about the nesting of a text."""
    try:
        load_json(text.encode())
    except MalformedTokenError as error:
        return "too deep" if error.evidence["reason"] == "nested too deeply" else "not JSON"
    return "parsed"


# S24
@given(SMALL, st.integers(0, 2 * MAX_JSON_DEPTH))
def test_the_depth_of_json_is_that_of_its_brackets(value: Any, levels: int) -> None:
    """JSON with any strings and any shape is refused for its depth exactly when more than sixteen levels are open."""
    text = "[" * levels + json.dumps(value) + "]" * levels
    assert ("too deep" if depth_of(text) > MAX_JSON_DEPTH else "parsed") == verdict(text)


# S24
@given(st.text(st.sampled_from('[]{}"\\,:1 '), min_size=MAX_JSON_DEPTH, max_size=90))
@example("[" * 17 + '"')
@example("[" * 16 + '"' + "[" * 9)
@example('"\\\\"' + "[" * 17)
@example('"\\\\\\"' + "[" * 17 + '"')
@example('"\\"[\\"' + "]" * 3 + '"' + "[" * 17)
def test_text_that_is_no_json_never_reaches_the_parser_too_deep(text: str) -> None:
    """Of any text, what a parser would read before it finds the first mistake is at most sixteen levels deep."""
    said = verdict(text)
    if said != "too deep":
        read = len(text)
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            read = error.pos
        assert depth_of(text.strip()[:read]) <= MAX_JSON_DEPTH


def steps(text: str) -> int:
    """How many functions of the module are called to read a text: the same number on every machine."""
    count = 0

    def note(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        count += event == "call" and frame.f_globals["__name__"] == load_json.__module__

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        load_json(text.encode())
    finally:
        sys.setprofile(before)
    return count


# S151
@pytest.mark.parametrize(
    ("one", "objects"),
    [
        ({"roles": ["view", "edit"]}, 1),
        ({"roles [all]": ["view]", 'ed"it', "{\\"]}, 1),
        (["[]", "{}"] * 9, 0),
        ({"a": {"b": {}}}, 3),
        ([[]] * 20, 0),
    ],
)
def test_steps_are_for_objects_and_for_nothing_else(one: Any, objects: int) -> None:
    """Strings and brackets take no step of Python each: a member more takes one step for each of its objects."""
    few, many = (json.dumps({f"client-{number}": one for number in range(count)}) for count in (50, 250))
    assert 200 * objects == steps(many) - steps(few)
