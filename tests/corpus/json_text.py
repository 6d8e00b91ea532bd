"""JSON: every text that is refused, once as the header and once as the payload, under a true signature."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.corpus.entries import Entry
from tests.corpus.issuers import BASE, ISSUERS, text

__all__ = ["ENTRIES"]

HS = ISSUERS["hs256"]
HEADER = text(HS.header)
PAYLOAD = text(BASE)
MALFORMED = "token_malformed"


class Wrong(NamedTuple):
    """A way to spoil JSON.

    Attributes:
        name: Short and unique.
        items: Of the checklist.
        member: What is added to an object, or all of the text instead of the object.
        why: What is wrong.
        alone: Whether `member` is all of the text.
    """

    name: str
    items: str
    member: bytes
    why: str
    alone: bool = False


def member(name: str, items: str, text: bytes, why: str) -> Wrong:
    return Wrong(name, items, text, why)


def whole(name: str, items: str, text: bytes, why: str) -> Wrong:
    return Wrong(name, items, text, why, alone=True)


WRONG = [
    # S20
    member("latin-1", "S20", b'"x":"\xe9"', "A byte that begins no UTF-8 sequence that ends."),
    member("overlong slash", "S20", b'"x":"\xc0\xaf"', "A character in more bytes than it needs."),
    member("cut sequence", "S20", b'"x":"\xe2\x82"', "A UTF-8 sequence without its end."),
    member("surrogates in utf-8", "S20, S27", b'"x":"\xed\xa0\xbd\xed\xb8\x80"', "A pair in three bytes each."),
    member("beyond unicode", "S20", b'"x":"\xf4\x90\x80\x80"', "A code point beyond U+10FFFF."),
    # S21
    member("repeated name", "S21", b'"x":1,"x":2', "Which of them counts?"),
    member("repeated name with equal values", "S21", b'"x":1,"x":1', "Equal values make it no better."),
    member("repeated name with an escape", "S21", b'"x":1,"\\u0078":2', "The same name, spelled in two ways."),
    member("repeated name within", "S21", b'"x":{"y":1,"y":2}', "One level down."),
    member("repeated name in an array", "S21", b'"x":[{"y":1,"y":2}]', "Two levels down."),
    member("repeated empty name", "S21", b'"":1,"":2', "An empty name is a name."),
    # S22
    member("nan", "S22", b'"x":NaN', "No JSON."),
    member("infinity", "S22", b'"x":Infinity', "No JSON."),
    member("minus infinity", "S22", b'"x":-Infinity', "No JSON."),
    member("1e400", "S22", b'"x":1e400', "Infinity to a float."),
    member("minus 1e400", "S22", b'"x":-1e400', "Minus infinity to a float."),
    member("1.8e308", "S22", b'"x":1.8e308', "A little more than a float can hold."),
    # S23
    member("2**53 and 1", "S23", b'"x":9007199254740993', "Not the same integer in every parser."),
    member("minus 2**53 and 1", "S23", b'"x":-9007199254740993', "Not the same integer in every parser."),
    member("2**64", "S23", b'"x":18446744073709551616', "Beyond any machine integer."),
    member("a thousand digits", "S23", b'"x":' + b"9" * 1000, "A long integer."),
    member("a thousand decimals", "S23", b'"x":0.' + b"1" * 1000, "A number no two parsers round alike."),
    # S24
    member("17 arrays", "S24", b'"x":' + b"[" * 16 + b"]" * 16, "One level too many."),
    member("17 objects", "S24", b'"x":' + b'{"x":' * 16 + b"0" + b"}" * 16, "One level too many."),
    member("mixed to level 17", "S24", b'"x":' + b'[{"x":' * 8 + b"0" + b"}]" * 8, "One level too many."),
    member("depth behind a quote", "S24", b'"\\"x":"\\\\","y":' + b"[" * 16 + b"]" * 16, "Escapes hide no bracket."),
    whole("a thousand open arrays", "S24", b"[" * 1000, "A recursive parser runs out of stack."),
    whole("open objects", "S24", b'{"x":' * 250, "A recursive parser runs out of stack."),
    # S26
    whole("array", "S26", b"[]", "No object."),
    whole("array of pairs", "S26", b'[["alg","HS256"],["sub","alice"]]', "What dict() would take."),
    whole("string", "S26", b'"alg"', "No object, though it holds the name."),
    whole("number", "S26", b"1", "No object."),
    whole("null text", "S26", b"null", "No object."),
    whole("true", "S26", b"true", "No object."),
    whole("white space", "S26", b" ", "No value."),
    # S27
    member("high surrogate", "S27", b'"x":"\\ud83d"', "Half of a pair."),
    member("low surrogate", "S27", b'"x":"\\ude00"', "Half of a pair."),
    member("pair in the wrong order", "S27", b'"x":"\\ude00\\ud83d"', "Two halves that are no pair."),
    member("surrogate in a name", "S27", b'"\\udfff":1', "Half of a pair."),
    member("surrogate further down", "S27", b'"x":[{"y":"\\uD800"}]', "Half of a pair, capital letters."),
    # S20: what is no JSON (RFC 8259), although one parser or another takes it
    member("single quotes in json", "S20", b"'x':'y'", "Strings have double quotes."),
    member("trailing comma", "S20", b'"x":[1,]', "A comma without a value."),
    member("comment", "S20", b'"x":1/* y */', "JSON has no comments."),
    member("name without quotes", "S20", b"x:1", "Names are strings."),
    member("python literal", "S20", b'"x":True', "No literal of JSON."),
    member("leading zero", "S20", b'"x":01', "No number of JSON."),
    member("leading plus", "S20", b'"x":+1', "No number of JSON."),
    member("leading point", "S20", b'"x":.5', "No number of JSON."),
    member("trailing point", "S20", b'"x":1.', "No number of JSON."),
    member("hexadecimal", "S20", b'"x":0x10', "No number of JSON."),
    member("underscore in a number", "S20", b'"x":1_000', "int() takes it."),
    member("arabic digits", "S20", '"x":1\u0661'.encode(), "int() takes them."),
    member("only a minus", "S20", b'"x":-', "No number of JSON."),
    member("line feed in a string", "S20", b'"x":"\n"', "Control characters must be escaped."),
    member("zero byte in a string", "S20", b'"x":"\x00"', "Control characters must be escaped."),
    member("unknown escape", "S20", b'"x":"\\x41"', "No escape of JSON."),
    member("short escape", "S20", b'"x":"\\u12"', "An escape without all its digits."),
    member("signed escape", "S20", b'"x":"\\u+041"', "int() takes it."),
    member("open string", "S20", b'"x":"', "The string does not end."),
    member("no-break space in json", "S20", '"x":\u00a01'.encode(), "No white space of JSON."),
    member("form feed", "S20", b'"x":\x0c1', "No white space of JSON."),
    whole("xml", "S20", b"<sub>alice</sub>", "No JSON."),
    whole("form", "S20", b"alg=HS256&sub=alice", "No JSON."),
    whole("cbor", "S20", b"\xa1\x01\x05", "A COSE header."),
]

ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")


def spoilt(wrong: Wrong, good: bytes) -> bytes:
    return wrong.member if wrong.alone else good[:-1] + b"," + wrong.member + b"}"


def both(name: str, items: str, header: bytes, payload: bytes, why: str) -> Iterator[Entry]:
    """One entry with such a header, one with such a payload."""
    yield Entry(f"header: {name}", items, HS.seal(header, PAYLOAD), MALFORMED, why)
    yield Entry(f"payload: {name}", items, HS.seal(HEADER, payload), MALFORMED, why, signed=True)


def entries() -> Iterator[Entry]:
    for wrong in WRONG:
        yield from both(wrong.name, wrong.items, spoilt(wrong, HEADER), spoilt(wrong, PAYLOAD), wrong.why)
    # S20
    for encoding in ENCODINGS:
        header, payload = (data.decode().encode(encoding) for data in (HEADER, PAYLOAD))
        yield from both(encoding, "S20", header, payload, "Only UTF-8 without a byte order mark is JSON here.")
    for name, ending in (("second object", b"{}"), ("bracket behind", b"}"), ("zero behind", b"\x00")):
        yield from both(name, "S20, S29", HEADER + ending, PAYLOAD + ending, "Something follows the object.")
    yield from both("first half", "S20", HEADER[:-5], PAYLOAD[:-5], "The object does not end.")
    # S21, S29: the names that decide something
    for name, header in (
        ("alg", b'{"alg":"none","alg":"HS256"}'),
        ("alg the other way", b'{"alg":"HS256","alg":"none"}'),
        ("kid", b'{"alg":"HS256","kid":"x","kid":"y"}'),
        ("typ with an escape", b'{"alg":"HS256","typ":"JWT","t\\u0079p":"dpop+jwt"}'),
    ):
        why = "Two readers may obey two different values."
        yield Entry(f"header: repeated {name}", "S21, S29", HS.seal(header, PAYLOAD), MALFORMED, why)
    for name, addition in (
        ("sub", b'"sub":"mallory"'),
        ("exp", b'"exp":9999999999'),
        ("type", b'"type":"access"'),
        ("sub with an escape", b'"\\u0073ub":"mallory"'),
        ("user_claims", b'"user_claims":{},"user_claims":{"admin":true}'),
    ):
        why = "Two readers may believe two different values."
        raw = HS.seal(HEADER, PAYLOAD[:-1] + b"," + addition + b"}")
        yield Entry(f"payload: repeated {name}", "S21, S29", raw, MALFORMED, why, signed=True)
    for name, claim in (
        ("nan", b"NaN"),
        ("1e999", b"1e999"),
        ("2**63", b"9223372036854775808"),
        ("minus zero digits", b"-"),
    ):
        payload = PAYLOAD.replace(b'"exp": 1800000900', b'"exp": ' + claim)
        why = "A time that is no number every parser reads alike."
        yield Entry(f"payload: exp {name}", "S22, S23, S49", HS.seal(HEADER, payload), MALFORMED, why, signed=True)


ENTRIES = list(entries())
