"""Check secrets for HMAC when they are loaded: long enough, and not an asymmetric key in disguise."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
from collections.abc import Iterator

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from asgi_jwt_claims.errors import KeyConfigurationError
from asgi_jwt_claims.jose.algorithms import hash_length
from asgi_jwt_claims.runtime.log import logger

__all__ = ["COMMAND_FOR_A_SECRET", "check_secret"]

COMMAND_FOR_A_SECRET = 'python -c "import secrets; print(secrets.token_urlsafe(64))"'  # noqa: S105 -- a command
"""Makes a secret that is long enough for each of the algorithms."""

_ARMOUR = re.compile(rb"-{4,5} ?BEGIN |PuTTY-User-Key-File")
_SSH_KEY = re.compile(rb"(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ +AAAA")
_WORDS_ONLY = re.compile(rb"[a-z _.,!-]+|[A-Z _.,!-]+")
_NO_LETTERS_OR_DIGITS = re.compile(rb"[^a-z0-9]+")
# Secrets that documentation and examples print, without letter case and punctuation: placeholders, those of jwt.io and
# that of FastAPI's tutorial. Every reader of those could sign.
_PUBLISHED = re.compile(
    rb"(?:change|replace)(?:me|this)|your(?:\d+bit)?(?:jwt)?secret(?:key)?"
    rb"|a(?:valid)?stringsecret(?:thatis)?atleast\d+bitslong(?:whichisverylong)?"
    rb"|09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"
)
_DER_SEQUENCE = 0x30


def check_secret(secret: bytes, algorithm: str) -> None:
    """Check a secret for HMAC (RFC 7518 section 3.2: at least as long as the hash; RFC 8725 section 3.5).

    A secret that looks guessable, or that has white space around it, is logged as a warning.

    Raises:
        KeyConfigurationError: The secret is too short, also without the words that examples print, or is really an
            asymmetric key, whose public half may be known.
    """
    kind = _asymmetric_kind(secret)
    if kind:
        raise KeyConfigurationError(
            f"the secret for {algorithm} is {kind}: everyone who knows the public key could then sign; "
            "load it with Key.from_pem or Key.from_jwk instead"
        )
    needed, problem = hash_length(algorithm), ""
    unknown, published = _PUBLISHED.subn(b"", _NO_LETTERS_OR_DIGITS.sub(b"", secret.lower()))
    if len(secret) < needed:
        problem = f"has {len(secret)} bytes and needs at least {needed} (RFC 7518 section 3.2)"
    elif published and len(unknown) < needed:
        problem = "is one that examples print, so every reader could sign"
    if problem:
        raise KeyConfigurationError(f"the secret for {algorithm} {problem}; make one with: {COMMAND_FOR_A_SECRET}")
    if _has_space_around(secret):
        logger().warning(
            "the secret for %s begins or ends with white space, which is a part of it; was a line end left there?",
            algorithm,
        )
    if secret in (secret + secret)[1:-1] or _WORDS_ONLY.fullmatch(secret):
        logger().warning("the secret for %s looks guessable; make one with: %s", algorithm, COMMAND_FOR_A_SECRET)


def _has_space_around(secret: bytes) -> bool:
    try:
        text = secret.decode()
    except UnicodeDecodeError:  # random bytes, of which any may be the last
        return False
    return text != text.strip()


def _asymmetric_kind(secret: bytes) -> str | None:
    text = secret.replace(b"\x00", b"").strip()  # UTF-16 text has a zero byte beside every ASCII one
    if _ARMOUR.search(text):
        return "a PEM or otherwise armoured key"
    if _SSH_KEY.search(text):
        return "an SSH key"
    if _is_jwk_text(text):
        return "a JSON Web Key"
    if any(map(_is_der, _binary_forms(secret))):
        return "a DER key or certificate, as it is or as base64 or hexadecimal text"
    return None


def _is_jwk_text(text: bytes) -> bool:
    start = text.find(b"{")
    if start < 0 or b'"k' not in text:
        return False
    try:
        value, _ = json.JSONDecoder().raw_decode(text[start:].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False
    return not {"kty", "keys"}.isdisjoint(value)


def _binary_forms(secret: bytes) -> Iterator[bytes]:
    """Yield the bytes that `secret` may stand for: itself, stripped, and decoded in the usual ways."""
    yield secret
    yield secret.strip()
    compact = b"".join(secret.split())
    with contextlib.suppress(UnicodeError):  # bytes that were once read as Latin-1 text
        yield secret.decode("utf-8").encode("latin-1")
    with contextlib.suppress(binascii.Error):
        standard = compact.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
        yield base64.b64decode(standard + b"=" * (-len(standard) % 4), validate=True)
    with contextlib.suppress(ValueError):
        yield binascii.unhexlify(compact)


def _is_der(data: bytes) -> bool:
    if not data or data[0] != _DER_SEQUENCE:
        return False
    loaders = (
        serialization.load_der_public_key,
        lambda der: serialization.load_der_private_key(der, password=None),
        x509.load_der_x509_certificate,
    )
    for load in loaders:
        try:
            load(data)
        except (TypeError, UnsupportedAlgorithm):
            return True  # an encrypted key, or one of a kind that is not supported here: asymmetric all the same
        except ValueError:
            continue
        return True
    return False
