"""Secrets out of documentation, secrets with a line end, and settings of the environment that say "none"."""

from __future__ import annotations

import logging
import secrets

import pytest

from asgi_jwt_claims import JWTConfig, Key
from asgi_jwt_claims.errors import KeyConfigurationError, SettingError
from tests.support import SECRET

LONG = "Wb8l0nYq3v-7r2Zk5uXcT1hGdPfSaMeJiLoQtR9xC4E"


# S33
@pytest.mark.parametrize(
    ("secret", "algorithm"),
    [
        ("changeme" * 8, "HS256"),
        ("changeme" * 8, "HS512"),
        ("Change-Me!" * 4, "HS256"),
        ("change_this_" * 3, "HS256"),
        ("CHANGETHISCHANGETHISCHANGETHISCHANGETHIS", "HS256"),
        ("replace-me-replace-me-replace-me-", "HS256"),
        ("your-256-bit-secret-your-256-bit-secret", "HS256"),
        ("your-256-bit-secret" + "." * 20, "HS256"),
        ("your-512-bit-secret" * 4, "HS512"),
        ("your-secret-key-your-secret-key-1234", "HS256"),
        ("YOUR_JWT_SECRET_KEY_0123456789_abcdef", "HS256"),
        ("a-string-secret-at-least-256-bits-long", "HS256"),
        ("a-valid-string-secret-that-is-at-least-384-bits-long", "HS384"),
        ("a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long", "HS512"),
        ("09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", "HS256"),
        ("09D25E094FAA6CA2556C818166B7A9563B93F7099F6F0F4CAA6CF63B88E8D3E7\n", "HS256"),
    ],
)
def test_a_secret_out_of_an_example_is_refused(secret: str, algorithm: str) -> None:
    """A secret out of documentation, or nothing but placeholders, is refused with the command for a better one."""
    with pytest.raises(KeyConfigurationError, match=r"one that examples print.*token_urlsafe") as error:
        Key.from_secret(secret, algorithm)
    assert secret not in str(error.value)


# S33
@pytest.mark.parametrize("words", ["changeme", "your-256-bit-secret-", "a-string-secret-at-least-256-bits-long/"])
def test_such_words_do_no_harm_beside_a_secret(words: str) -> None:
    """What is left without them is long enough by itself, so the secret is accepted."""
    assert Key.from_secret(words + LONG).can_sign


def test_random_secrets_are_accepted_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    """Random bytes and random text are neither refused nor warned of, with any byte at the end."""
    with caplog.at_level(logging.WARNING, "asgi_jwt_claims"):
        for last in range(256):
            Key.from_secret(b"\xff" + secrets.token_bytes(40) + bytes([last]))
        for _ in range(50):
            Key.from_secret(secrets.token_urlsafe(64))
        Key.from_secret("\udc80" + LONG)
    assert [] == caplog.messages


# S33
@pytest.mark.parametrize("secret", [LONG + "\n", LONG + "\r\n", " " + LONG, "\t" + LONG + " ", LONG.encode() + b"\n"])
def test_white_space_around_a_secret_is_warned_of(secret: str | bytes, caplog: pytest.LogCaptureFixture) -> None:
    """White space counts, since it would be another secret for others; the log says so without the secret."""
    with caplog.at_level(logging.WARNING, "asgi_jwt_claims"):
        config = JWTConfig.from_mapping({"JWT_SECRET_KEY": secret})
    assert Key.from_secret(LONG).kid != next(iter(config.keys)).kid
    said = "the secret for HS256 begins or ends with white space, which is a part of it; was a line end left there?"
    assert [said] == caplog.messages
    assert LONG not in caplog.text


@pytest.mark.parametrize("text", ["", " ", "none", "None", " NONE "])
def test_no_required_claims_can_be_said_in_the_environment(text: str) -> None:
    """An empty list of required claims is written as nothing, or as none."""
    assert () == JWTConfig.from_env(environ={"JWT_SECRET_KEY": SECRET, "JWT_REQUIRED_CLAIMS": text}).required_claims


def test_an_empty_audience_is_no_audience_at_all() -> None:
    """An audience that is set and empty is a mistake, since tokens would be accepted that are for others."""
    with pytest.raises(SettingError, match="audience"):
        JWTConfig.from_env(environ={"JWT_SECRET_KEY": SECRET, "JWT_AUDIENCE": ""})
