"""Signatures of every kind that are none of the key over these bytes; `asymmetric` has what belongs to one kind."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from tests.corpus.entries import Entry
from tests.corpus.issuers import ISSUERS, OTHER_KEYS, Issuer, text
from tests.corpus.signers import Signer, hmac_sha
from tests.forging import b64
from tests.support import SECRET

__all__ = ["ENTRIES"]

INVALID = "invalid_signature"


def flipped(signature: bytes, bit: int) -> bytes:
    changed = bytearray(signature)
    changed[bit // 8] ^= 128 >> bit % 8
    return bytes(changed)


# S47: the length is wrong. S48: for ECDSA there is one.
LENGTHS: dict[str, Callable[[bytes], bytes]] = {
    "a byte shorter": lambda signature: signature[:-1],
    "without its first byte": lambda signature: signature[1:],
    "a byte longer": lambda signature: signature + b"\x00",
    "a zero byte in front": lambda signature: b"\x00" + signature,
    "half of it": lambda signature: signature[: len(signature) // 2],
    "twice": lambda signature: signature * 2,
    "one byte": lambda signature: signature[:1],
    "base64url of itself": b64,
    "hexadecimal text": lambda signature: signature.hex().encode(),
}
BITS: dict[str, Callable[[bytes], bytes]] = {
    "first bit": lambda signature: flipped(signature, 0),
    "a bit in the middle": lambda signature: flipped(signature, len(signature) * 4),
    "last bit": lambda signature: flipped(signature, len(signature) * 8 - 1),
    "zeros": lambda signature: bytes(len(signature)),
    "ones": lambda signature: b"\xff" * len(signature),
    "backwards": lambda signature: signature[::-1],
    "halves exchanged": lambda signature: signature[len(signature) // 2 :] + signature[: len(signature) // 2],
}
MESSAGES: dict[str, Callable[[bytes], bytes]] = {
    "the payload alone": lambda signing_input: signing_input.partition(b".")[2],
    "the header alone": lambda signing_input: signing_input.partition(b".")[0],
    "a trailing dot": lambda signing_input: signing_input + b".",
    "no dot": lambda signing_input: signing_input.replace(b".", b""),
    "a line feed behind": lambda signing_input: signing_input + b"\n",
    "the hash of it": lambda signing_input: hashlib.sha256(signing_input).digest(),
    "nothing": lambda signing_input: b"",
}


def for_every_key(issuer: Issuer) -> Iterator[Entry]:
    name, items = issuer.name, "S47, S48" if issuer.name == "es256" else "S47"
    good = issuer.token({"jti": f"signature {name}"})
    head, _, _ = good.rpartition(".")
    signature = issuer.sign(head.encode())
    for what, change in LENGTHS.items():
        raw = f"{head}.{b64(change(signature)).decode()}"
        yield Entry(f"{name}: signature, {what}", items, raw, INVALID, "A signature of the wrong length.", name)
    for what, change in BITS.items():
        raw = f"{head}.{b64(change(signature)).decode()}"
        yield Entry(f"{name}: signature, {what}", "S46", raw, INVALID, "A signature of the right length.", name)
    for what, part in MESSAGES.items():
        raw = issuer.over(head.encode(), lambda message, part=part: issuer.sign(part(message)))
        yield Entry(f"{name}: signed, {what}", "S29", raw, INVALID, "Signed are other bytes.", name)
    header, payload = text(issuer.header), text(issuer.claims)
    foreign = good.rpartition(".")[2]
    swaps = {
        "another subject": (header, text({**issuer.claims, "sub": "mallory", "identity": "mallory"})),
        "later expiry": (header, text({**issuer.claims, "exp": 9_999_999_999})),
        "another spelling of the claims": (header, payload.replace(b": ", b":")),
        "another spelling of the header": (header.replace(b": ", b":"), payload),
        "a parameter more": (text({**issuer.header, "x": 1}), payload),
    }
    for what, (head_bytes, body) in swaps.items():
        raw = f"{b64(head_bytes).decode()}.{b64(body).decode()}.{foreign}"
        yield Entry(f"{name}: {what}", "S46, S29", raw, INVALID, "The signature is another token's.", name)
    raw = issuer.token(sign=OTHER_KEYS[name])
    yield Entry(f"{name}: another key", "S45", raw, INVALID, "Signed with a key of the same kind.", name)


def hmacs() -> Iterator[Entry]:
    """HMAC with wrong secrets, and what is no HMAC with the right one."""
    issuer = ISSUERS["hs256"]
    key = SECRET.encode()
    # S33
    secrets = ("", "secret", "changeme", SECRET + "\n", SECRET.upper(), SECRET[:-1], "HS256")
    for number, secret in enumerate(secrets):
        raw = issuer.token(sign=hmac_sha(secret))
        yield Entry(f"secret {number} of a guesser", "S33", raw, INVALID, "A secret that somebody might try.")
    # S47
    tags: dict[str, Signer] = {
        "cut to 128 bits": lambda message: hmac_sha(key)(message)[:16],
        "sha-1": hmac_sha(key, "sha1"),
        "sha-512": hmac_sha(key, "sha512"),
        "sha-512 cut": lambda message: hmac_sha(key, "sha512")(message)[:32],
        "sha3-256": hmac_sha(key, "sha3_256"),
        "no key at all": lambda message: hashlib.sha256(message).digest(),
        "secret in front": lambda message: hashlib.sha256(key + message).digest(),
        "secret behind": lambda message: hashlib.sha256(message + key).digest(),
        "the secret itself": lambda message: key,
        "the secret hashed": lambda message: hashlib.sha256(key).digest(),
    }
    for name, tag in tags.items():
        yield Entry(f"hmac: {name}", "S47", issuer.token(sign=tag), INVALID, "Not HMAC with SHA-256.")


ENTRIES = [*(entry for name in OTHER_KEYS for entry in for_every_key(ISSUERS[name])), *hmacs()]
