"""What has been verified before is verified as if it had not: with and without a memory, the same verdicts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from asgi_jwt_claims import (
    JWTConfig,
    Key,
    Token,
    create_access_token,
    create_refresh_token,
    verify_token,
)
from asgi_jwt_claims.errors import TokenError
from asgi_jwt_claims.jose.strict_json import MAX_JSON_DEPTH
from asgi_jwt_claims.tokens import verify_jws
from tests.conftest import NOW, HeldClock
from tests.forging import CLAIMS, forge, sealed
from tests.unit.test_fuzz_core import JSON, TEXT, deeper_than

SECRETS = {kid: bytes([place]) * 16 + bytes(range(16, 64)) for place, kid in enumerate(["first", "second", "third"])}
KEYS = {kid: Key.from_secret(secret, kid=kid) for kid, secret in SECRETS.items()}
SIZES = (1024, 0, 1, 2)
"""The default, none at all, and such as must forget all the time."""


FLAT = {"identity_claim": "identity", "user_claims_claim": None, "type_claim": None, "required_claims": ()}


def verdict(raw: str | bytes, config: JWTConfig, kind: str) -> Any:
    """All that a caller can learn."""
    try:
        token = verify_token(raw, config, type=kind)
    except TokenError as error:
        return type(error), error.code, str(error), error.evidence
    return told(token)


def told(token: Token) -> Any:
    names = ("identity", "user_claims", "type", "fresh", "jti", "issuer", "audience", "scopes", "roles")
    return {name: getattr(token, name) for name in names} | {
        "claims": token.claims,
        "headers": token.headers,
        "times": (token.issued_at, token.expires_at),
    }


# S105, S106, S107, S108, S109
class Memories(RuleBasedStateMachine):
    """The same tokens in the same order, offered to configurations that differ in what they remember."""

    tokens = Bundle("tokens")

    @initialize()
    def begin(self) -> None:
        self.clock = HeldClock()
        self.kids = [*KEYS]
        self.build()

    def build(self) -> None:
        plain = JWTConfig(verification_keys=[KEYS[kid] for kid in self.kids], clock=self.clock)
        self.configs = [plain.replace(signature_cache_size=size) for size in SIZES]
        self.others = [config.replace(issuer="https://issuer.example", max_age=60) for config in self.configs]
        self.flat = [config.replace(**FLAT) for config in self.configs]

    @rule(
        target=tokens,
        kid=st.sampled_from([*KEYS]),
        fresh=st.none() | st.booleans() | st.just(timedelta(seconds=12)),
        identity=st.sampled_from(["alice", "bob"]),
    )
    def mint(self, kid: str, fresh: bool | timedelta | None, identity: str) -> str:
        """A good token: a refresh token when nothing is said of freshness."""
        config = JWTConfig(signing_key=KEYS[kid], clock=self.clock)
        if fresh is None:
            return create_refresh_token(identity, config)
        return create_access_token(identity, config, fresh=fresh, user_claims={"list": [1, {"a": 2}]})

    @rule(
        target=tokens,
        kid=st.sampled_from([*KEYS]),
        named=st.none() | st.sampled_from([*KEYS, "nobody"]),
        change=st.sampled_from(
            [
                {"exp": NOW + 1},
                {"nbf": NOW + 60},
                {"sub": ""},
                {"iss": "https://issuer.example"},
                {"identity": {"id": [1]}, "own": [{}]},
                {},
            ]
        ),
    )
    def forge(self, kid: str, named: str | None, change: dict[str, Any]) -> str:
        return forge(change, {} if named is None else {"kid": named}, secret=SECRETS[kid])

    @rule(target=tokens, payload=st.sampled_from([b"", b"[]", b"null", b'{"sub":"a","sub":"b"}', b"\xff", b"[" * 50]))
    def seal(self, payload: bytes) -> str:
        return sealed(b'{"alg":"HS256","kid":"first"}', payload, SECRETS["first"])

    @rule(
        target=tokens,
        raw=tokens,
        place=st.floats(0, 1, exclude_max=True),
        character=st.sampled_from("AQgwz9-_.= \x00é"),
    )
    def change(self, raw: str, place: float, character: str) -> str:
        at = int(place * len(raw))
        return raw[:at] + character + raw[at + 1 :]

    @rule(target=tokens, first=tokens, second=tokens, cut=st.integers(1, 2))
    def cross(self, first: str, second: str, cut: int) -> str:
        return ".".join(first.split(".")[:cut] + second.split(".")[cut:])

    @rule(seconds=st.sampled_from([-60, 1, 11, 59, 61, 900]))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule(kids=st.lists(st.sampled_from([*KEYS]), min_size=1, unique=True))
    def change_keys(self, kids: list[str]) -> None:
        self.kids = kids
        self.build()

    @rule(raw=tokens, times=st.integers(1, 3), kind=st.sampled_from(["access", "refresh"]), as_bytes=st.booleans())
    def offer(self, raw: str, times: int, kind: str, as_bytes: bool) -> None:
        offered = raw.encode() if as_bytes else raw
        for configs in (self.configs, self.others, self.flat):
            without = verdict(offered, configs[SIZES.index(0)], kind)
            for _ in range(times):
                assert [without] * len(SIZES) == [verdict(offered, config, kind) for config in configs]

    @rule(raw=tokens)
    def spoil(self, raw: str) -> None:
        """A handler that changes what it was handed changes nobody else's."""
        for config in (*self.configs, *self.flat):
            before = verdict(raw, config, "access")
            try:
                token = verify_token(raw, config)
            except TokenError:
                continue
            token.claims["sub"] = token.user_claims["list"] = token.headers["alg"] = "eve"
            token.claims.setdefault("user_claims", {})["list"] = "eve"
            if isinstance(token.identity, dict):
                token.identity["id"].append("eve")
            assert before == verdict(raw, config, "access")


Memories.TestCase.settings = settings(stateful_step_count=30)
TestMemories = Memories.TestCase


@given(st.lists(st.sampled_from([*KEYS]), min_size=1, max_size=30))
def test_the_signature_step_repeats_itself(kids: list[str]) -> None:
    """Asked again and again, in any order, the signature step alone gives the same header and the same bytes."""
    # S109
    keys = JWTConfig(verification_keys=[*KEYS.values()], clock=HeldClock()).keys
    for kid in kids:
        raw = forge({"sub": kid}, {"kid": kid}, secret=SECRETS[kid])
        header, payload = verify_jws(raw, keys)
        assert {"alg": "HS256", "typ": "JWT", "kid": kid} == header
        assert isinstance(payload, bytes)
        assert f'"sub": "{kid}"'.encode() in payload
        header["alg"] = "none"
    assert CLAIMS["sub"] == "alice"


# S109
@given(st.lists(JSON, min_size=1, max_size=3) | st.dictionaries(TEXT, JSON, min_size=1, max_size=3))
def test_what_is_handed_out_is_nobody_elses(value: Any) -> None:
    """However often a token comes, identity and claims are as they were sealed, whatever became of those before."""
    assume(not deeper_than({"": value}, MAX_JSON_DEPTH))
    config = JWTConfig(verification_keys=[KEYS["first"]], clock=HeldClock(), **FLAT)
    raw = forge({"identity": value, "own": value}, secret=SECRETS["first"])
    for _ in range(4):
        token = verify_token(raw, config)
        assert [value] * 4 == [token.identity, token.user_claims["own"], token.claims["identity"], token.claims["own"]]
        for container in (token.identity, token.user_claims["own"], token.claims["identity"], token.headers):
            container.clear()
