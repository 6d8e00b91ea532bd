"""What is said of keys that cannot be loaded, and what is not: errors name the remedy and hold no secret."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from asgi_jwt_claims import Key, KeySet
from asgi_jwt_claims.errors import KeyConfigurationError, SettingError
from asgi_jwt_claims.jwks import JWKSEndpoint, RemoteKeySet
from asgi_jwt_claims.jwks._documents import read_jwks
from asgi_jwt_claims.keys import KeyRing, _loading
from asgi_jwt_claims.keys import key as _key
from asgi_jwt_claims.tokens import verify_jws

PEM = serialization.Encoding.PEM
PKCS8, TRADITIONAL, OPENSSH = (
    serialization.PrivateFormat.PKCS8,
    serialization.PrivateFormat.TraditionalOpenSSL,
    serialization.PrivateFormat.OpenSSH,
)
PRIVATE = ec.generate_private_key(ec.SECP256R1())
LOCK = serialization.BestAvailableEncryption(b"the right password")
OPEN = serialization.NoEncryption()
PLAIN = PRIVATE.private_bytes(PEM, PKCS8, OPEN).decode()
PUBLIC = PRIVATE.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize("form", [PKCS8, TRADITIONAL], ids=["PKCS #8", "traditional"])
def test_a_wrong_password_is_called_one(form: serialization.PrivateFormat) -> None:
    """An encrypted key that is read with another password is not called unreadable PEM."""
    pem = PRIVATE.private_bytes(PEM, form, LOCK)
    with pytest.raises(KeyConfigurationError, match="the password does not open the encrypted PEM key"):
        Key.from_pem(pem, password="the wrong password")
    assert "ES256" == Key.from_pem(pem, password="the right password").algorithm


@pytest.mark.parametrize("pem", [PLAIN, PUBLIC], ids=["private", "public"])
def test_lost_line_breaks_are_recognised(pem: str) -> None:
    """PEM on a single line, as files of environment variables make it, is named with its remedy, which works."""
    with pytest.raises(KeyConfigurationError, match="its line breaks were lost") as refused:
        Key.from_pem(pem.replace("\n", "\\n"))
    assert r'text.replace("\\n", "\n")' in str(refused.value)
    assert "ES256" == Key.from_pem(pem.replace("\n", "\\n").replace("\\n", "\n")).algorithm


@pytest.mark.parametrize(
    "text",
    [
        PRIVATE.private_bytes(PEM, OPENSSH, OPEN),
        PRIVATE.private_bytes(PEM, OPENSSH, OPEN).replace(b"\n", b"\\n"),
        ed25519.Ed25519PrivateKey.generate().private_bytes(PEM, OPENSSH, OPEN),
        PRIVATE.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH),
        b"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----\n",
        b"PuTTY-User-Key-File-3: ecdsa-sha2-nistp256\n",
    ],
    ids=["private", "private on one line", "Ed25519", "public", "SSH2", "PuTTY"],
)
def test_keys_of_ssh_are_recognised(text: bytes) -> None:
    """A key in a format of SSH is called that, with the command that converts it."""
    with pytest.raises(KeyConfigurationError, match="a format of SSH, not PEM: ssh-keygen -p -m PKCS8"):
        Key.from_pem(text, password="the right password")


@pytest.mark.parametrize(
    "name",
    [
        "private.pem",
        "/etc/keys/private.pem\n",
        "./key",
        "../keys/key",
        "~/key",
        "C:\\keys\\key",
        "my keys/a.key",
        b"/run/k",
    ],
)
def test_a_file_name_is_no_key(name: str | bytes) -> None:
    """The name of a file is recognised, and leads to the advice to pass the text of the file."""
    with pytest.raises(
        KeyConfigurationError, match=r"the name of a file; pass the text.*Path\(\.\.\.\)\.read_text\(\)$"
    ):
        Key.from_pem(name)


@pytest.mark.parametrize(
    "text", ["", "secret", "MIIEvQIBADANBgkqhkiG9w0BAQ/EFAAS.C==", "one\ntwo.pem", "x" * 5000 + ".pem"]
)
def test_other_text_is_no_file_name(text: str) -> None:
    """Any other text is said to be no PEM, and is not quoted."""
    with pytest.raises(KeyConfigurationError, match="the key is not PEM that can be read; it begins with") as caught:
        Key.from_pem(text)
    assert not text or text not in str(caught.value)


def unbuilt(kind: type[Any]) -> Any:
    return kind.__new__(kind)


@pytest.mark.parametrize("kind", [Key, KeySet, KeyRing, RemoteKeySet], ids=lambda kind: kind.__name__)
def test_what_is_half_built_has_a_repr(kind: type[Any]) -> None:
    """Error reporters print the local variables of a constructor that has raised."""
    assert f"<{kind.__name__}, not built>" == repr(unbuilt(kind))


HIDDEN = "hidden-4711"
LOCKED_PEM = PRIVATE.private_bytes(PEM, PKCS8, LOCK).decode()
BAD_JWK = {"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": HIDDEN, "p": HIDDEN}


@pytest.mark.parametrize(
    "load",
    [
        lambda: Key.from_secret(HIDDEN),
        lambda: Key.from_pem(HIDDEN),
        lambda: Key.from_pem(f"-----BEGIN PRIVATE KEY-----\n{HIDDEN}\n-----END PRIVATE KEY-----"),
        lambda: Key.from_pem(LOCKED_PEM, password=HIDDEN),
        lambda: Key.from_jwk(f'{{"kty": "oct", "k": "{HIDDEN}"'),
        lambda: Key.from_jwk({"kty": "oct", "k": f"{HIDDEN}!"}),
        lambda: Key.from_jwk(dict(BAD_JWK)),
        lambda: KeySet.from_jwks(f'{{"keys": [{{"kty": "oct", "k": "{HIDDEN}"}}'),
        lambda: KeySet.from_jwks({"keys": [dict(BAD_JWK)]}),
    ],
)
def test_errors_hold_no_secret(load: Callable[[], Any]) -> None:
    """Neither the message, nor an error before it, nor a local variable of this package's frames has the secret."""
    with pytest.raises(KeyConfigurationError) as refused:
        load()
    error = refused.value
    assert (None, None) == (error.__context__, error.__cause__)
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=False).format_exception_only())
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "asgi_jwt_claims" in frame.f_code.co_filename:
            shown += repr(frame.f_locals)
    assert HIDDEN not in shown


def test_a_kind_of_key_that_openssl_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenSSL was built without Ed448, such a key is refused by our error, and a set is used without it."""
    jwk = Key.generate("Ed448", kid="ed448").public_jwk()
    good = Key.generate("ES256", kid="good").public_jwk()

    class Missing:
        @staticmethod
        def from_public_bytes(_: bytes) -> Any:
            raise UnsupportedAlgorithm("ed448 is not supported by this version of OpenSSL.")

    def generate() -> Any:
        raise UnsupportedAlgorithm("ed448 is not supported by this version of OpenSSL.")

    curve = _loading._EDWARDS_BY_NAME["Ed448"]
    monkeypatch.setitem(_loading._EDWARDS_BY_NAME, "Ed448", curve._replace(public=Missing))
    monkeypatch.setitem(_key._GENERATORS, "Ed448", generate)
    with pytest.raises(KeyConfigurationError, match="this build of OpenSSL does not support"):
        Key.from_jwk(jwk)
    with pytest.raises(KeyConfigurationError, match="this build of OpenSSL does not support Ed448"):
        Key.generate("Ed448")
    keys, skipped = read_jwks(json.dumps({"keys": [jwk, good]}).encode(), (), 64, None)
    assert (["good"], 1) == ([key.kid for key in keys], len(skipped))


def test_keys_in_the_wrong_place_are_refused() -> None:
    """One key where several are wanted, and several where a set is, lead to errors that show how to write it."""
    key = Key.generate("ES256")
    for keys in (key, "a secret", b"a secret", 7):
        with pytest.raises(KeyConfigurationError, match=r"KeySet\(\[key\]\)"):
            KeySet(keys)  # type: ignore[arg-type]
    with pytest.raises(KeyConfigurationError, match=r"KeySet\(\[key\]\)"):
        JWKSEndpoint(key)  # type: ignore[arg-type]
    for keys in (key, [key]):
        with pytest.raises(SettingError, match=r"verify_jws\(raw, KeySet\(\[key\]\)\)"):
            verify_jws("a.b.c", keys)  # type: ignore[arg-type]
    ring = KeyRing(key)
    with pytest.raises(SettingError, match="seconds since the epoch"):
        ring.add(Key.generate("ES256"), starts_at="2030-01-01")  # type: ignore[arg-type]
