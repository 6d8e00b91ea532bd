"""Framing: what is no compact JWS in its one spelling, whatever it may say."""

from __future__ import annotations

import base64
import gzip
import json
import random

from tests.corpus.entries import Entry
from tests.corpus.issuers import BASE, ISSUERS, text
from tests.forging import b64

__all__ = ["ENTRIES"]

HS = ISSUERS["hs256"]
GOOD = HS.token({"jti": "framing"})
HEAD, BODY, SIG = GOOD.split(".")

MALFORMED, ENCRYPTED, TOO_LARGE = "token_malformed", "token_encrypted", "token_too_large"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def filled(value: dict[str, object], remainder: int) -> bytes:
    """JSON of a length that leaves this remainder when divided by three."""
    data = text(value)
    return data + b" " * ((remainder - len(data)) % 3)


def respelt(segment: bytes) -> bytes:
    """The same bytes to a lenient decoder: the last character with one of its spare bits set."""
    return segment[:-1] + ALPHABET[ALPHABET.index(chr(segment[-1])) + 1].encode()


def plain(data: bytes) -> bytes:
    """The standard alphabet of base64, without padding."""
    return base64.b64encode(data).rstrip(b"=")


def with_both_alphabets() -> tuple[str, str]:
    """A token whose signature is spelled differently in the two alphabets, and that other spelling."""
    for number in range(100):
        head, _, signature = HS.token({"jti": f"alphabet {number}"}).rpartition(".")
        if "-" in signature and "_" in signature:
            return f"{head}.{signature}", f"{head}.{signature.replace('-', '+').replace('_', '/')}"
    raise AssertionError("no such signature")


def wrapped(raw: str, line: str) -> str:
    return line.join(raw[start : start + 64] for start in range(0, len(raw), 64))


# S15
PARTS = [
    Entry("no characters", "S15", "", MALFORMED, "There is nothing."),
    Entry("one dot", "S15", ".", MALFORMED, "Two empty parts."),
    Entry("two dots", "S15", "..", MALFORMED, "Three empty parts."),
    Entry("one part", "S15", HEAD, MALFORMED, "Only the header."),
    Entry("two parts", "S15", f"{HEAD}.{BODY}", MALFORMED, "The signature is missing with its dot."),
    Entry("empty signature", "S15", f"{HEAD}.{BODY}.", MALFORMED, "The signature is empty."),
    Entry("empty header", "S15", HS.over(b"." + BODY.encode()), MALFORMED, "The header is empty, and signed so."),
    Entry("empty payload", "S15", HS.over(HEAD.encode() + b"."), MALFORMED, "A detached payload (RFC 7515, F)."),
    Entry("only a header", "S15", f"{HEAD}..", MALFORMED, "Payload and signature are empty."),
    Entry("only a payload", "S15", f".{BODY}.", MALFORMED, "Header and signature are empty."),
    Entry("four parts", "S15", f"{GOOD}.AA", MALFORMED, "A part too many."),
    Entry("six parts", "S15", f"{GOOD}.AA.AA.AA", MALFORMED, "Neither a JWS nor a JWE."),
    Entry("dot in front", "S15", f".{GOOD}", MALFORMED, "An empty part in front."),
    Entry("dot behind", "S15", f"{GOOD}.", MALFORMED, "An empty part behind."),
    Entry("doubled dot", "S15", f"{HEAD}..{BODY}.{SIG}", MALFORMED, "An empty part within."),
    Entry("twice the token", "S15", f"{GOOD}.{GOOD}", MALFORMED, "Two good tokens are six parts."),
    Entry("nothing but dots", "S15", "." * 8000, MALFORMED, "Splitting makes thousands of parts."),
    Entry("a thousand short parts", "S15", "a." * 2000 + "a", MALFORMED, "Thousands of parts that are not empty."),
]

# S19
FIVE_PARTS = [
    Entry("good token in five parts", "S19", f"{GOOD}.AA.AA", ENCRYPTED, "A good token and two parts more."),
    Entry("four dots", "S19", "....", ENCRYPTED, "Five empty parts."),
    Entry("five odd parts", "S19", "!.!.!.!.!", ENCRYPTED, "Five parts that nobody could decode."),
]

# S16
ALPHABETS = [
    Entry("padded header", "S16", HS.over(b64(filled(HS.header, 1)) + b"==." + BODY.encode()), MALFORMED, "Padding."),
    Entry("padded payload", "S16", HS.over(HEAD.encode() + b"." + b64(filled(BASE, 2)) + b"="), MALFORMED, "Padding."),
    Entry("padded signature", "S16", f"{GOOD}=", MALFORMED, "Padding, as some encoders leave it."),
    Entry("much padding", "S16", f"{GOOD}====", MALFORMED, "More padding than any base64 has."),
    Entry("escaped padding", "S16", f"{GOOD}%3D", MALFORMED, "Padding, escaped as in a form."),
    Entry(
        "payload in the other alphabet",
        "S16",
        HS.over(HEAD.encode() + b"." + plain(text({**BASE, "x": "?>?>?>?>"}))),
        MALFORMED,
        "The alphabet of plain base64, signed as it stands.",
    ),
    Entry("signature in the other alphabet", "S16", with_both_alphabets()[1], MALFORMED, "Plain base64."),
    Entry("tilde", "S16", f"{GOOD}~", MALFORMED, "A character that credentials may have and base64url has not."),
    Entry("hyphen in place of dots", "S16", GOOD.replace(".", "-"), MALFORMED, "No dot at all."),
    Entry("escaped dots", "S16", GOOD.replace(".", "%2E"), MALFORMED, "The dots are escaped as in an address."),
    Entry("space within", "S16", f"{HEAD}. {BODY}.{SIG}", MALFORMED, "White space that lenient decoders drop."),
    Entry("space in front", "S16", f" {GOOD}", MALFORMED, "White space that is no part of a token."),
    Entry("space behind", "S16", f"{GOOD} ", MALFORMED, "White space that is no part of a token."),
    Entry("tab in front", "S16", f"\t{GOOD}", MALFORMED, "White space that is no part of a token."),
    Entry("tab within", "S16", f"{HEAD}.{BODY}\t.{SIG}", MALFORMED, "White space that lenient decoders drop."),
    Entry("line feed behind", "S16", f"{GOOD}\n", MALFORMED, "What a regular expression's $ overlooks."),
    Entry("line feed in front", "S16", f"\n{GOOD}", MALFORMED, "White space that is no part of a token."),
    Entry("carriage return within", "S16", f"{HEAD}.{BODY}\r.{SIG}", MALFORMED, "A control character."),
    Entry("lines of 64", "S16", wrapped(GOOD, "\n"), MALFORMED, "Wrapped as PEM is."),
    Entry("lines of 64 with carriage returns", "S16", wrapped(GOOD, "\r\n"), MALFORMED, "Wrapped as MIME is."),
    Entry("form feed within", "S16", f"{HEAD}\x0c.{BODY}.{SIG}", MALFORMED, "White space to str.split."),
    Entry("vertical tab behind", "S16", f"{GOOD}\x0b", MALFORMED, "White space to str.strip."),
    Entry("zero byte behind", "S16", f"{GOOD}\x00", MALFORMED, "What a C string ends at."),
    Entry("zero byte within", "S16", f"{HEAD}.{BODY}\x00.{SIG}", MALFORMED, "What a C string ends at."),
    Entry("delete character", "S16", f"{GOOD}\x7f", MALFORMED, "A control character."),
    Entry("double quotes", "S16", f'"{GOOD}"', MALFORMED, "A JSON string, not the token."),
    Entry("single quotes", "S16", f"'{GOOD}'", MALFORMED, "Quoted."),
    Entry("bytes as python shows them", "S16", f"b'{GOOD}'", MALFORMED, "str() of bytes."),
    Entry("angle brackets", "S16", f"<{GOOD}>", MALFORMED, "Bracketed."),
    Entry("comma behind", "S16", f"{GOOD},", MALFORMED, "The beginning of a list."),
    Entry("two with a comma", "S16, S19", f"{GOOD},{GOOD}", ENCRYPTED, "Four dots, though two tokens."),
    Entry("semicolon behind", "S16", f"{GOOD};", MALFORMED, "As in a cookie."),
    Entry("scheme in front", "S16", f"Bearer {GOOD}", MALFORMED, "The scheme a second time."),
    Entry("name in front", "S16", f"access_token={GOOD}", MALFORMED, "As in a form."),
    Entry("byte order mark", "S16", f"\ufeff{GOOD}", MALFORMED, "A byte order mark in front."),
    Entry("full-width dots", "S16", GOOD.replace(".", "\uff0e"), MALFORMED, "What normalisation would make dots."),
    Entry(
        "full-width letter", "S16", GOOD.replace("J", "\uff2a"), MALFORMED, "What normalisation would make a letter."
    ),
    Entry("cyrillic letter", "S16", GOOD.replace("a", "\u0430"), MALFORMED, "It looks the same and is another letter."),
    Entry("zero-width space", "S16", f"{HEAD}.\u200b{BODY}.{SIG}", MALFORMED, "An invisible character."),
    Entry("no-break space", "S16", f"{GOOD}\u00a0", MALFORMED, "White space to Unicode."),
    Entry("arabic digit", "S16", f"{GOOD}\u0661", MALFORMED, "A digit to str.isdigit."),
    Entry("latin-1 byte", "S16", GOOD.encode() + b"\xe9", MALFORMED, "A byte beyond ASCII."),
    Entry("lone surrogate behind", "S16, S27", f"{GOOD}\udc80", MALFORMED, "Text that no encoding can carry."),
    Entry("token in utf-16", "S16, S20", GOOD.encode("utf-16-le"), MALFORMED, "Two bytes for a character."),
]

# S17
HEAD_1, HEAD_2 = b64(filled(HS.header, 1)), b64(filled(HS.header, 2))
BODY_1, BODY_2 = b64(filled(BASE, 1)), b64(filled(BASE, 2))
SPARE = "Spare bits are set: a second spelling, signed as it stands."
SPELLINGS = [
    Entry("spare bits in the header, of four", "S17", HS.over(respelt(HEAD_1) + b"." + BODY_1), MALFORMED, SPARE),
    Entry("spare bits in the header, of two", "S17", HS.over(respelt(HEAD_2) + b"." + BODY_1), MALFORMED, SPARE),
    Entry("spare bits in the payload, of four", "S17", HS.over(HEAD_1 + b"." + respelt(BODY_1)), MALFORMED, SPARE),
    Entry("spare bits in the payload, of two", "S17", HS.over(HEAD_1 + b"." + respelt(BODY_2)), MALFORMED, SPARE),
    Entry(
        "spare bits in the signature", "S17", respelt(GOOD.encode()), MALFORMED, "A second spelling of the signature."
    ),
    Entry(
        "header of an impossible length", "S17", HS.over(b64(filled(HS.header, 0)) + b"A." + BODY_1), MALFORMED, "4n+1."
    ),
    Entry(
        "payload of an impossible length",
        "S17",
        HS.over(HEAD_1 + b"." + b64(filled(BASE, 0)) + b"A"),
        MALFORMED,
        "4n+1.",
    ),
    Entry("signature of an impossible length", "S17", f"{GOOD}AA", MALFORMED, "No base64 has 4n+1 characters."),
    *(
        Entry(
            f"spare bits in the signature of {name}",
            "S17",
            respelt(ISSUERS[name].token({"jti": "spelling"}).encode()),
            MALFORMED,
            "A second spelling of the signature.",
            name,
        )
        for name in ("rs256", "es256", "hs512", "ps256", "eddsa")
    ),
]

FORGED = b64(text({**BASE, "sub": "mallory", "identity": "mallory"})).decode()
FLATTENED = {"protected": HEAD, "payload": BODY, "signature": SIG}
SIGNATURE = {"protected": HEAD, "signature": SIG}
POLYGLOT = f'{{"  {HEAD}.{FORGED}.":"","protected":"{HEAD}","payload":"{BODY}","signature":"{SIG}"}}'

# S18, S29
JSON_FORMS = [
    Entry("flattened", "S18", json.dumps(FLATTENED), MALFORMED, "The flattened JSON serialisation."),
    Entry("general", "S18", json.dumps({"payload": BODY, "signatures": [SIGNATURE]}), MALFORMED, "The general one."),
    Entry(
        "general with two signatures",
        "S18",
        json.dumps({"payload": BODY, "signatures": [{"protected": "e30", "signature": "AA"}, SIGNATURE]}),
        MALFORMED,
        "One signature of two is good.",
    ),
    Entry(
        "flattened with an unprotected header",
        "S18",
        json.dumps({**FLATTENED, "header": {"kid": "x"}}),
        MALFORMED,
        "Parameters that nobody has signed.",
    ),
    Entry("flattened in base64url", "S18", b64(text(FLATTENED)), MALFORMED, "One part that holds all three."),
    Entry("array of a token", "S18", json.dumps([GOOD]), MALFORMED, "JSON around the token."),
    Entry("polyglot", "S18, S29", POLYGLOT, MALFORMED, "One reader finds the forged payload, another the signed one."),
    Entry("token in base64url", "S18", b64(GOOD.encode()), MALFORMED, "One part that holds a good token."),
]

# S7, S25
SIZES = [
    Entry("one character too long", "S7", HS.sized(8193), TOO_LARGE, "The limit is 8,192."),
    Entry("a million characters", "S7", "A" * 1_000_000, TOO_LARGE, "Refused by its length alone."),
    Entry("ten thousand dots", "S7, S15", "." * 10_000, TOO_LARGE, "The length is looked at before the dots."),
    Entry("long header", "S25", HS.sized(4000, 2050), TOO_LARGE, "The limit for headers is 2,048."),
    Entry("very long header", "S25", HS.sized(8000, 7500), TOO_LARGE, "A header of nearly all the token."),
]

# S28
ANYTHING = [
    Entry("null", "S28", "null", MALFORMED, "A client that has no token says so."),
    Entry("undefined", "S28", "undefined", MALFORMED, "A client that has no token says so."),
    Entry("object as text", "S28", "[object Object]", MALFORMED, "A client that sends its session."),
    Entry("empty object", "S28", "{}", MALFORMED, "JSON."),
    Entry("opaque token", "S28", "2YotnFZFEjr1zCsicMWpAA", MALFORMED, "A token of another kind (RFC 6749's example)."),
    Entry("uuid", "S28", "7d444840-9dc0-11d1-b245-5ffdce74fad2", MALFORMED, "A session identifier."),
    Entry("basic credentials", "S28", base64.b64encode(b"alice:secret"), MALFORMED, "Credentials of another scheme."),
    Entry("paseto", "S28", f"v4.public.{b64(text(BASE) + bytes(64)).decode()}", MALFORMED, "A PASETO has three parts."),
    Entry("format string", "S28", "%s%s%n{0.__class__}", MALFORMED, "Text that some loggers would expand."),
    Entry("compressed token", "S28", gzip.compress(GOOD.encode(), mtime=0), MALFORMED, "gzip."),
    Entry("random bytes", "S28", random.Random(15).randbytes(200), MALFORMED, "No text at all."),
    Entry("every byte", "S28", bytes(range(256)), MALFORMED, "Whatever a byte can be."),
]

ENTRIES = [*PARTS, *FIVE_PARTS, *ALPHABETS, *SPELLINGS, *JSON_FORMS, *SIZES, *ANYTHING]
