"""The one spelling of a token: framing, base64url and JSON, each rule with what breaks it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from asgi_jwt_claims.errors import EncryptedTokenError, MalformedTokenError, TokenTooLargeError
from asgi_jwt_claims.jose.compact import MAX_HEADER_SIZE, b64url_decode, b64url_encode
from asgi_jwt_claims.jose.strict_json import (
    MAX_JSON_DEPTH,
    MAX_SAFE_INTEGER,
    dump_json,
    has_lone_surrogate,
)
from tests.forging import b64
from tests.framing import load_json, load_segment, split_compact
from tests.support import for_each

WHITE_SPACE = "white space; leave the scheme (Bearer) and line ends away"
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def reason_of(error: pytest.ExceptionInfo[MalformedTokenError]) -> str:
    reason: str = error.value.evidence["reason"]
    return reason


@pytest.mark.parametrize("raw", ["eyJ9.e30.AQID", b"eyJ9.e30.AQID"], ids=["str", "bytes"])
def test_three_parts_are_framed(raw: str | bytes) -> None:
    """A compact JWS falls into its parts, with the signature decoded, from str and bytes alike."""
    assert (b"eyJ9", b"{}", b"\x01\x02\x03", b"eyJ9.e30") == tuple(split_compact(raw, 100))


@for_each(
    ("raw", "reason"),
    [
        # S15
        ("", "not three parts"),
        ("e30", "not three parts"),
        ("e30.e30", "not three parts"),
        ("e30.e30.AQID.AQID", "not three parts"),
        ("....." * 100, "not three parts"),
        (".e30.AQID", "empty part"),
        ("e30..AQID", "empty part"),
        ("e30.e30.", "empty part"),
        ("..", "empty part"),
        # S16
        ("e30=.e30.AQID", "not base64url"),
        ("e30.e30.AQ==", "not base64url"),
        (" e30.e30.AQID", WHITE_SPACE),
        ("Bearer e30.e30.AQID", WHITE_SPACE),
        ("bearer e30", WHITE_SPACE),
        ("JWT e30.e30", WHITE_SPACE),
        ("e30.e30.AQID\r\n", WHITE_SPACE),
        ("\te30.e30.AQID", WHITE_SPACE),
        ("e30 .e30.AQID", WHITE_SPACE),
        ("e30.e30.AQID\n", WHITE_SPACE),
        ("e30.e30.AQI\n", WHITE_SPACE),
        ("e30.e30.AQI\x00", "not base64url"),
        ("e30.e3 0.AQID", WHITE_SPACE),
        ("e30.e30.AQ+D", "not base64url"),
        ("e30.e30.AQ/D", "not base64url"),
        ("e30.e3/0.AQID", "not base64url"),
        ("e+30.e300.AQID", "not base64url"),
        ("b'e30.e30.AQID'", "impossible base64url length"),
        ('"e30.e30.AQID"', "impossible base64url length"),
        (b"e30.e30.AQ\xc3\xa4", "not base64url"),
        ("e30.e30.AQIä", "not ASCII"),
        ("e30.e30.AQI\u0661", "not ASCII"),
        ("e30.e30.AQI\udc80", "not ASCII"),
        # S17
        ("e30.e30.AQIDA", "impossible base64url length"),
        ("e30.e30.AR", "non-canonical base64url"),
        ("e30.e30.AQJ", "non-canonical base64url"),
        ("e30.e31.AQID", "non-canonical base64url"),
        ("e31.e30.AQID", "non-canonical base64url"),
        # S18
        ('{"payload":"e30","signatures":[{"protected":"e30","signature":"AQID"}]}', "not three parts"),
        ('{"payload":"e30.","protected":"e30","signature":"AQID."}', "impossible base64url length"),
    ],
)
def test_anything_else_is_malformed(raw: str | bytes, reason: str) -> None:
    """What is not three non-empty canonical parts is refused, with the reason for the log."""
    with pytest.raises(MalformedTokenError) as error:
        load_segment(split_compact(raw, 8192).header)
    assert reason == reason_of(error)
    assert type(error.value) is MalformedTokenError


# S28
@pytest.mark.parametrize("raw", [None, 1, bytearray(b"e30.e30.AQID"), memoryview(b"e30.e30.AQID"), ["e30"], object()])
def test_what_is_no_text_is_malformed(raw: Any) -> None:
    """Neither str nor bytes is our error, not a TypeError."""
    with pytest.raises(MalformedTokenError) as error:
        split_compact(raw, 100)
    assert "neither str nor bytes" == reason_of(error)


# S19
@pytest.mark.parametrize("raw", ["a.b.c.d.e", "e30..e30.e30.e30", b"....", "{....}"])
def test_five_parts_are_an_encrypted_token(raw: str | bytes) -> None:
    """A JWE is refused under a name of its own."""
    with pytest.raises(EncryptedTokenError) as error:
        split_compact(raw, 100)
    assert {"reason": "five parts"} == error.value.evidence


# S7
@pytest.mark.parametrize("raw", ["e30.e30.AQIDAQIDA", "é" * 17, "." * 17, b"\xff" * 17])
def test_the_length_is_looked_at_first(raw: str | bytes) -> None:
    """A token over the limit is refused as too large, whatever it consists of."""
    with pytest.raises(TokenTooLargeError) as error:
        split_compact(raw, 16)
    assert {"size": 17, "max_size": 16} == error.value.evidence


def test_a_token_of_exactly_the_limit_is_framed() -> None:
    """The limit itself is acceptable."""
    assert b"\x01\x02\x03" == split_compact("e30.e30.AQID", 12).signature


# S25
def test_the_header_has_a_limit_of_its_own() -> None:
    """A header of 2,048 characters is framed, one of 2,049 is too large."""
    assert MAX_HEADER_SIZE == len(split_compact("A" * 2048 + ".e30.AQID", 8192).header)
    with pytest.raises(TokenTooLargeError) as error:
        split_compact("A" * 2049 + ".e30.AQID", 8192)
    assert {"header_size": 2049, "max_size": 2048} == error.value.evidence


# S15
def test_a_million_dots_cost_no_more_than_their_length() -> None:
    """Dots are counted, never split at."""
    with pytest.raises(TokenTooLargeError):
        split_compact("." * 1_000_000, 8192)
    with pytest.raises(MalformedTokenError):
        split_compact(b"." * 1_000_000, 2_000_000)


@for_each("size", range(40))
def test_encoding_is_that_of_the_standard_library(size: int) -> None:
    """Encoding is base64url without padding, and decoding takes it back."""
    data = bytes(range(255, 255 - size, -1))
    encoded = b64url_encode(data)
    assert base64.urlsafe_b64encode(data).rstrip(b"=") == encoded
    assert data == b64url_decode(encoded)


# S17
@pytest.mark.parametrize("prefix", [b"", b"AAAA"])
@pytest.mark.parametrize(("length", "step"), [(2, 16), (3, 4)])
def test_only_zero_trailing_bits_decode(prefix: bytes, length: int, step: int) -> None:
    """Of all last characters of an incomplete quantum exactly those without stray bits are accepted."""
    segments = [prefix + b"A" * (length - 1) + bytes([last]) for last in ALPHABET]
    for segment in segments[::step]:
        assert segment == b64url_encode(b64url_decode(segment))
    for segment in set(segments) - set(segments[::step]):
        with pytest.raises(MalformedTokenError) as error:
            b64url_decode(segment)
        assert "non-canonical base64url" == reason_of(error)


@pytest.mark.parametrize(
    ("segment", "reason"),
    [
        (b"A", "impossible base64url length"),
        (b"AAAAA", "impossible base64url length"),
        (b"AA==", "not base64url"),
        (b"AA\n", WHITE_SPACE),
        (b"AA\n\n", WHITE_SPACE),
        (b"A+A/", "not base64url"),
        (b"\x80AAA", "not base64url"),
    ],
)
def test_a_segment_that_is_no_base64url_is_malformed(segment: bytes, reason: str) -> None:
    """Padding, white space, foreign characters and impossible lengths are refused."""
    with pytest.raises(MalformedTokenError) as error:
        b64url_decode(segment)
    assert reason == reason_of(error)


def test_the_empty_segment_decodes_to_nothing() -> None:
    """No characters are no bytes."""
    assert b"" == b64url_decode(b"")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a":1}', {"a": 1}),
        (b' {"a" : [1, -2, 1.5, true, false, null, "x"]}\r\n', {"a": [1, -2, 1.5, True, False, None, "x"]}),
        ('{"ä":"ü𝄞"}'.encode(), {"ä": "ü𝄞"}),
        (rb'{"\u00e4":"\ud834\udd1e\n"}', {"ä": "𝄞\n"}),
        (b'{"n":9007199254740992}', {"n": 2**53}),
        (b'{"n":-9007199254740992}', {"n": -(2**53)}),
        (b'{"n":1e3}', {"n": 1000.0}),
        (b'{"n":-0.0}', {"n": 0.0}),
        (b'{"n":0.' + b"1" * 30 + b"}", {"n": 1 / 9}),
        (b"[]", []),
        (b'"x"', "x"),
    ],
)
def test_strict_json_is_parsed(text: bytes, value: Any) -> None:
    """JSON that every parser reads alike is read."""
    assert value == load_json(text)


@for_each(
    ("text", "reason"),
    [
        # S20
        (b'\xef\xbb\xbf{"a":1}', "not JSON"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8"),
        ('{"a":1}'.encode("utf-16-le"), "not JSON"),
        ('{"a":1}'.encode("utf-16-be"), "not JSON"),
        ('{"a":1}'.encode("utf-32"), "not UTF-8"),
        ('{"a":1}'.encode("utf-32-be"), "not JSON"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":"\xc0\xaf"}', "not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a":"\xe4"}', "not UTF-8"),
        # S21
        (b'{"a":1,"a":1}', "repeated member name"),
        (rb'{"sub":"a","\u0073ub":"b"}', "repeated member name"),
        (b'{"a":{"b":[{"c":1,"c":2}]}}', "repeated member name"),
        # S22
        (b'{"a":NaN}', "JSON constant NaN"),
        (b'{"a":Infinity}', "JSON constant Infinity"),
        (b'{"a":-Infinity}', "JSON constant -Infinity"),
        (b'{"a":1e400}', "number out of range"),
        (b'{"a":-1e400}', "number out of range"),
        (b'{"a":0.' + b"1" * 31 + b"}", "number out of range"),
        # S23
        (b'{"a":9007199254740993}', "integer out of range"),
        (b'{"a":-9007199254740993}', "integer out of range"),
        (b'{"a":' + b"9" * 5000 + b"}", "integer out of range"),
        (b'{"a":-' + b"9" * 17 + b"}", "integer out of range"),
        # S27
        (rb'{"a":"\ud800"}', "lone surrogate"),
        (rb'{"a":"\udc00\ud800"}', "lone surrogate"),
        (rb'{"\udfff":1}', "lone surrogate"),
        (rb'{"a":[{"b":"x\uD83D"}]}', "lone surrogate"),
        # and whatever is no JSON at all
        (b"", "not JSON"),
        (b"   ", "not JSON"),
        (b"{", "not JSON"),
        (b"{}x", "not JSON"),
        (b"{}{}", "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b'{"a":1,}', "not JSON"),
        (b'{"a":01}', "not JSON"),
        (b'{"a":+1}', "not JSON"),
        (b'{"a":1.}', "not JSON"),
        (b'{"a":"\n"}', "not JSON"),
        (b'{"a":"\x00"}', "not JSON"),
        (b'{"a":1}\x00', "not JSON"),
        (b'{"a":"' + b"x" * 10, "not JSON"),
        (b'{"a":"\\', "not JSON"),
        (b'{/**/"a":1}', "not JSON"),
        (b"{a:1}", "not JSON"),
        ('{"a":\u0661}'.encode(), "not JSON"),
        ('\u00a0{"a":1}'.encode(), "not JSON"),
    ],
)
def test_any_other_text_is_malformed(text: bytes, reason: str) -> None:
    """JSON that some parser would read otherwise, or that is none, is refused."""
    with pytest.raises(MalformedTokenError) as error:
        load_json(text)
    assert reason == reason_of(error)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["arrays", "objects"])
def test_sixteen_levels_are_the_limit(opening: str, closing: str) -> None:
    """Sixteen levels parse and seventeen are refused, before the parser has seen them."""
    # S24
    deepest = opening * MAX_JSON_DEPTH + "1" + closing * MAX_JSON_DEPTH
    assert json.loads(deepest) == load_json(deepest.encode())
    with pytest.raises(MalformedTokenError) as error:
        load_json((opening * 17 + "1" + closing * 17).encode())
    assert "nested too deeply" == reason_of(error)


# S24
@pytest.mark.parametrize("before", ["[],", "{},", "[[]],", '[{"a":[]}],', "[],[],"])
def test_what_is_closed_before_takes_nothing_off(before: str) -> None:
    """Arrays and objects that are over leave the count where they began, wherever they stand."""
    for outer in range(1, MAX_JSON_DEPTH - 3):
        inner = MAX_JSON_DEPTH - outer
        text = "[" * outer + before + "[" * inner + "]" * MAX_JSON_DEPTH
        assert json.loads(text) == load_json(text.encode())
        with pytest.raises(MalformedTokenError) as error:
            load_json(("[" * outer + before + "[" * (inner + 1) + "]" * (MAX_JSON_DEPTH + 1)).encode())
        assert "nested too deeply" == reason_of(error)


# S24
@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b'[{"a":' * 50_000])
def test_nesting_without_end_is_no_recursion_error(text: bytes) -> None:
    """Nesting deep enough to exhaust the stack is counted, not parsed."""
    with pytest.raises(MalformedTokenError) as error:
        load_json(text)
    assert "nested too deeply" == reason_of(error)


@pytest.mark.parametrize(
    "value",
    [
        ["[" * 40, '"[{', "\\", '\\"' + "{" * 40, "[\n{" * 20],
        [[]] * 40,
        [{"a": {}}] * 40,
        {"]" * 40: "}" * 40},
    ],
    ids=["brackets in strings", "side by side", "objects side by side", "brackets in names"],
)
def test_only_real_nesting_counts(value: Any) -> None:
    """Brackets in strings and brackets side by side are no depth."""
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=2)):
        assert value == load_json(text.encode())


# S151
@pytest.mark.parametrize("tail", ['"' + '\\"' * 10**6, '"' + "\\\\" * 10**6, '"' + "x" * 10**6, '""' * 10**6])
def test_counting_the_levels_is_linear(tail: str) -> None:
    """Millions of characters made against the scanner are refused; a quadratic scan would not end within the day."""
    with pytest.raises(MalformedTokenError):
        load_json(("[" * 16 + "]" * 16 + "[" + tail).encode())


def test_an_object_segment_is_decoded() -> None:
    """A segment becomes the object it encodes."""
    assert {"a": [1]} == load_segment(b64(b'{"a":[1]}'))


@pytest.mark.parametrize(
    ("expected", "text"), [(False, ""), (False, "ä𝄞"), (True, "\ud800"), (True, "a\udfff"), (True, "\udc00\ud800")]
)
def test_half_of_a_pair_is_noticed(expected: bool, text: str) -> None:
    """Only text that UTF-8 cannot carry has a lone surrogate."""
    assert expected is has_lone_surrogate(text)


def test_json_is_written_compactly_as_utf_8() -> None:
    """What is written has no white space, no escapes it does not need, and reads back the same."""
    value = {"sub": "Zoë", "n": [1, 1.5, None, True], "q": '"\\'}
    assert '{"sub":"Zoë","n":[1,1.5,null,true],"q":"\\"\\\\"}'.encode() == dump_json(value)
    assert value == load_json(dump_json(value))


def test_json_that_does_not_exist_is_not_written() -> None:
    """NaN cannot be written even by mistake."""
    # S146
    with pytest.raises(ValueError, match="JSON compliant"):
        dump_json({"a": float("nan")})


def test_limits_are_those_documented() -> None:
    """The documented limits are the ones in force."""
    assert (2048, 16, 2**53) == (MAX_HEADER_SIZE, MAX_JSON_DEPTH, MAX_SAFE_INTEGER)
