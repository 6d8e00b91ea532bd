"""The memory of good signatures, and the signature step alone: what is remembered, what is not, and what never helps."""

from __future__ import annotations

import gc
import hashlib
import json
import threading
from typing import Any

import pytest

from asgi_jwt_claims import (
    JWTConfig,
    Key,
    KeySet,
    Token,
    create_access_token,
    verify_token,
)
from asgi_jwt_claims.config._cache import MAX_REMEMBERED_SIZE, VerifiedTokenCache
from asgi_jwt_claims.errors import (
    ExpiredTokenError,
    InvalidClaimError,
    InvalidHeaderError,
    InvalidSignatureError,
    InvalidTokenError,
    MalformedTokenError,
    TokenTooLargeError,
    UnknownKeyError,
    WrongTypeError,
)
from asgi_jwt_claims.tokens import verify_jws
from tests.conftest import NOW, HeldClock
from tests.forging import CLAIMS, b64, forge, sealed
from tests.support import SECRET

KEY = Key.generate("ES256", kid="own")
SAID: Any = {"identity": "alice"}
OTHER: Any = {"identity": "bob"}


def config_of(**settings: Any) -> JWTConfig:
    return JWTConfig(**{"secret_key": SECRET, "clock": HeldClock(), **settings})


def seen(raw: str, config: JWTConfig, times: int = 3) -> Token:
    """The token of the last of several verifications."""
    return [verify_token(raw, config) for _ in range(times)][-1]


class Counting:
    """A verifier that counts how often it is asked."""

    def __init__(self, key: Key) -> None:
        self.asked = 0
        self._verifier = key._verifier
        object.__setattr__(key, "_verifier", self)

    def verify(self, msg: bytes, sig: bytes) -> bool:
        self.asked += 1
        return self._verifier.verify(msg, sig)


# What is remembered ---------------------------------------------------------------------------------------------------


# S105
def test_a_signature_is_verified_twice_at_most() -> None:
    """A token that keeps coming is verified twice: once for itself, once to be remembered."""
    config = config_of(secret_key=None, signing_key=Key.generate("ES256"))
    assert config.signing_key is not None
    counting = Counting(config.signing_key)
    raw = create_access_token("alice", config)
    assert ["alice"] * 5 == [verify_token(raw, config).identity for _ in range(5)]
    assert 2 == counting.asked
    assert 1 == len(config._prepared.token_cache)


def test_without_room_every_signature_is_verified() -> None:
    """A size of zero remembers nothing."""
    config = config_of(secret_key=None, signing_key=Key.generate("ES256"), signature_cache_size=0)
    assert config.signing_key is not None
    counting = Counting(config.signing_key)
    seen(create_access_token("alice", config), config, 4)
    assert (4, 0) == (counting.asked, len(config._prepared.token_cache))


# S105
@pytest.mark.parametrize("place", [0, 5, 20, 60, -44, -43, -2, -1])
def test_a_twin_of_a_remembered_token_is_refused(place: int) -> None:
    """A token that differs in one character anywhere is not the one that is remembered."""
    config = config_of()
    raw = forge()
    seen(raw, config)
    twin = list(raw)
    twin[place] = "A" if twin[place] != "A" else "B"
    for _ in range(3):
        with pytest.raises(InvalidTokenError):
            verify_token("".join(twin), config)
    assert "alice" == verify_token(raw, config).identity


# S105
def test_the_digest_decides_and_not_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """With equal hashes, which only narrow the search, each token still gets its own answer."""
    monkeypatch.setattr("asgi_jwt_claims.config._cache.hash", lambda raw: 7, raising=False)
    config = config_of()
    tokens = {name: forge({"sub": name}) for name in ("alice", "bob")}
    for _ in range(4):
        for name, raw in tokens.items():
            assert name == verify_token(raw, config).identity
    forged = tokens["alice"].rsplit(".", 1)[0] + "." + b64(bytes(32)).decode()
    with pytest.raises(InvalidSignatureError):
        verify_token(forged, config)
    assert 1 == len(config._prepared.token_cache)


# S106
def test_what_can_change_is_checked_every_time() -> None:
    """A remembered token expires, is not yet valid after a clock is set back, and is of its own type only."""
    clock = HeldClock()
    config = config_of(clock=clock, leeway=0)
    raw = forge()
    seen(raw, config)
    with pytest.raises(WrongTypeError):
        verify_token(raw, config, type="refresh")
    clock.now = NOW + 899
    assert "alice" == verify_token(raw, config).identity
    clock.now = NOW + 900
    with pytest.raises(ExpiredTokenError):
        verify_token(raw, config)
    clock.now = NOW
    assert 1 == len(config._prepared.token_cache)
    assert "alice" == verify_token(raw, config).identity


# S106
def test_freshness_ends_for_a_remembered_token() -> None:
    """`fresh` as a time is compared with the clock each time."""
    clock = HeldClock()
    config = config_of(clock=clock)
    raw = forge({"fresh": NOW + 60})
    assert True is seen(raw, config).fresh
    clock.now = NOW + 60
    assert False is verify_token(raw, config).fresh


# S107
def test_a_key_that_leaves_takes_its_tokens_along() -> None:
    """With another set of keys, what a key in both has verified stays, and what the other one has verified goes."""
    stays, leaves = Key.generate("ES256", kid="stays"), Key.generate("ES256", kid="leaves")
    cache = VerifiedTokenCache(8)
    both, one = KeySet([stays, leaves]), KeySet([stays])
    assert cache.find(b"a", both) is None
    for _ in range(2):
        cache.remember(b"a", stays, both, SAID)
        cache.remember(b"b", leaves, both, OTHER)
    assert [SAID, OTHER] == [cache.find(b"a", both), cache.find(b"b", both)]
    assert cache.find(b"c", one) is None
    assert 1 == len(cache)
    assert [SAID, None] == [cache.find(b"a", one), cache.find(b"b", one)]


# S107
def test_another_key_of_the_same_name_inherits_nothing() -> None:
    """A key is the object that verified, not what it is called."""
    cache = VerifiedTokenCache(8)
    own = KeySet([KEY])
    for _ in range(2):
        cache.remember(b"a", KEY, own, SAID)
    assert SAID == cache.find(b"a", own)
    assert cache.find(b"a", KeySet([Key.generate("ES256", kid="own")])) is None
    assert 0 == len(cache)


# S107
def test_what_old_keys_verify_meanwhile_is_not_found_with_new_ones() -> None:
    """An entry that another thread brings in by a key that has just left is passed over."""
    cache, new = VerifiedTokenCache(8), KeySet([Key.generate("ES256", kid="new")])
    assert cache.find(b"a", new) is None
    for _ in range(2):
        cache.remember(b"a", KEY, KeySet([KEY]), SAID)
    assert cache.find(b"a", new) is None


def test_a_replaced_configuration_remembers_nothing() -> None:
    """Another configuration has a memory of its own."""
    config = config_of()
    raw = forge()
    seen(raw, config)
    other = config.replace(secret_key="another " * 8)
    assert 0 == len(other._prepared.token_cache)
    for _ in range(3):
        with pytest.raises(InvalidTokenError):
            verify_token(raw, other)


# S108
def test_no_failure_is_remembered() -> None:
    """Neither bad signatures nor refused claims take up room."""
    config = config_of()
    for raw in (
        forge(secret="x" * 64),
        forge({"exp": NOW - 60}),
        forge({"sub": 1}),
        sealed(b'{"alg":"HS256"}', b"no JSON"),
        sealed(b'{"alg":"HS256","crit":[]}', b"{}"),
    ):
        for _ in range(3):
            with pytest.raises(InvalidTokenError):
                verify_token(raw, config)
    assert 0 == len(config._prepared.token_cache)


# S108
def test_the_memory_is_bounded_and_keeps_what_is_used() -> None:
    """Of many tokens the last used ones are kept, and no more of them than the setting says."""
    config = config_of(signature_cache_size=3)
    tokens = [forge({"jti": f"t{number}"}) for number in range(6)]
    for raw in tokens[:3]:
        seen(raw, config, 2)
    seen(tokens[0], config, 1)
    for raw in tokens[3:5]:
        seen(raw, config, 2)
    kept = {entry.digest for entry in config._prepared.token_cache._entries.values()}
    assert {hashlib.sha256(raw.encode()).digest() for raw in (tokens[0], *tokens[3:5])} == kept


# S108
def test_tokens_used_once_take_up_no_room() -> None:
    """A flood of tokens, each used once, remembers none of them and forgets none of those in use."""
    config = config_of(signature_cache_size=4)
    mine = forge()
    seen(mine, config, 2)
    for number in range(50):
        verify_token(forge({"jti": f"t{number}"}), config)
    assert 1 == len(config._prepared.token_cache)
    assert len(config._prepared.token_cache._candidates) <= 4


# S108
def test_a_token_that_was_pushed_out_comes_in_as_any_other() -> None:
    """What has been forgotten must come twice again."""
    cache, keys = VerifiedTokenCache(1), KeySet([KEY])
    assert cache.find(b"a", keys) is None
    found = []
    for raw in (b"a", b"a", b"b", b"b", b"a", b"a"):
        cache.remember(raw, KEY, keys, SAID)
        found.append([each for each in (b"a", b"b") if cache.find(each, keys)])
    assert [[], [b"a"], [b"a"], [b"b"], [b"b"], [b"a"]] == found


# S108
def test_a_huge_token_is_not_remembered() -> None:
    """A token of 4,096 characters is remembered, one of 4,097 is not."""
    padded = {len(raw): raw for raw in (forge({"user_claims": {"pad": "x" * pad}}) for pad in range(2700, 2900))}
    remembered = {}
    for size in (MAX_REMEMBERED_SIZE, MAX_REMEMBERED_SIZE + 1):
        config = config_of()
        seen(padded[size], config)
        remembered[size] = len(config._prepared.token_cache)
    assert {4096: 1, 4097: 0} == remembered


# S109
def test_no_request_sees_what_another_did_to_its_token() -> None:
    """Whatever a handler does to claims, headers, user claims and identity, the next request gets them unchanged."""
    config = config_of(identity_claim="identity", user_claims_claim=None)
    claims = {"identity": {"id": [1]}, "deep": {"list": [{"a": 1}]}, "roles": ["a"]}
    raw = forge(claims)
    for _ in range(5):
        token = verify_token(raw, config)
        assert {"id": [1]} == token.identity
        assert {"deep": {"list": [{"a": 1}]}} == token.user_claims
        assert {**CLAIMS, **claims} == token.claims
        assert {"alg": "HS256", "typ": "JWT"} == token.headers
        token.identity["id"].append(2)
        token.user_claims["deep"]["list"][0]["a"] = "changed"
        token.claims["roles"].append("admin")
        token.claims.clear()
        token.headers["alg"] = "none"
    assert 1 == len(config._prepared.token_cache)


# S110
def test_the_memory_holds_no_token() -> None:
    """No object that the memory reaches contains the token or its signature."""
    config = config_of()
    raw = forge({"jti": "remembered"})
    seen(raw, config)
    signature = raw.rpartition(".")[2]
    reached, waiting = [], [config._prepared.token_cache]
    known: set[int] = set()
    while waiting:
        item = waiting.pop()
        if id(item) in known or isinstance(item, type):
            continue
        known.add(id(item))
        reached.append(item)
        if type(item).__module__ in ("builtins", "collections", "asgi_jwt_claims.config._cache"):
            waiting.extend(gc.get_referents(item))
    said = repr([item for item in reached if isinstance(item, str | bytes | dict | tuple | list)])
    assert "remembered" in said
    for part in (signature, raw.rpartition(".")[0]):
        assert part not in said


def test_threads_share_the_memory() -> None:
    """Many threads verify few tokens with a small memory: all are accepted, and the bound holds."""
    config = config_of(signature_cache_size=4)
    tokens = {str(number): forge({"sub": str(number)}) for number in range(12)}
    wrong: list[Any] = []

    def work() -> None:
        try:
            for _ in range(60):
                wrong.extend(name for name, raw in tokens.items() if verify_token(raw, config).identity != name)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the test must hear of it
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == wrong
    assert len(config._prepared.token_cache) <= 4 + len(threads)


def test_an_entry_that_another_thread_forgets_meanwhile_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found stays found, even if it is gone by the time it would be marked as used."""
    cache, keys = VerifiedTokenCache(2), KeySet([KEY])
    assert cache.find(b"a", keys) is None
    for _ in range(2):
        cache.remember(b"a", KEY, keys, SAID)
    entries = cache._entries

    class Forgetful(type(entries)):  # type: ignore[misc]
        def move_to_end(self, key: int, last: bool = True) -> None:
            raise KeyError(key)

    cache._entries = Forgetful(entries)
    assert SAID == cache.find(b"a", keys)


# Headers that are known -----------------------------------------------------------------------------------------------


# S46
def test_a_header_is_known_only_after_a_good_signature() -> None:
    """A forged token teaches nothing about its header; a good one does, and its key is then found at once."""
    config = config_of()
    segment = forge().partition(".")[0].encode()
    with pytest.raises(InvalidSignatureError):
        verify_token(forge(secret="x" * 64), config)
    assert config.keys.get_header(segment) is None
    verify_token(forge(), config)
    assert config.keys.get_header(segment) == (config.signing_key, {"alg": "HS256", "typ": "JWT"})
    with pytest.raises(InvalidSignatureError):
        verify_token(forge(secret="x" * 64), config)


def test_header_cache_are_bounded() -> None:
    """An issuer with a new header for every token costs no more than a hundred or so."""
    config = config_of()
    most = 0
    for number in range(150):
        verify_token(forge(header={"x": number}), config)
        most = max(most, len(config.keys._header_cache))
    assert 128 == most
    assert "alice" == verify_token(forge(header={"x": 0}), config).identity


def test_header_cache_belong_to_their_set() -> None:
    """Another set with a key of the same name knows nothing."""
    verify_jws(jws(b"{}"), KeySet([KEY]))
    with pytest.raises(InvalidSignatureError):
        verify_jws(jws(b"{}"), KeySet([Key.generate("ES256", kid="own")]))


def test_a_set_contains_its_very_keys() -> None:
    """Membership is identity: no equal key, and nothing that is no key."""
    keys = KeySet([KEY])
    assert KEY in keys
    assert Key.generate("ES256", kid="own") not in keys
    assert KEY.public() not in keys
    assert "own" not in keys


# The signature step alone ---------------------------------------------------------------------------------------------


def jws(payload: bytes, **header: Any) -> str:
    members = {"alg": "ES256", "kid": "own", **header}
    signing_input = b64(json.dumps(members).encode()) + b"." + b64(payload)
    return (signing_input + b"." + b64(KEY.sign(signing_input))).decode()


@pytest.mark.parametrize("payload", [b"{}", b'{"exp":1}', b"not JSON", b"\x00\xff", b'{"a":1,"a":2}'])
def test_the_payload_is_returned_as_it_was_signed(payload: bytes) -> None:
    """Any payload that is not empty passes, byte for byte, beside the checked header."""
    for raw in (jws(payload), jws(payload).encode()):
        assert ({"alg": "ES256", "kid": "own"}, payload) == verify_jws(raw, KeySet([KEY.public()]))


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        ("", MalformedTokenError),
        ("e30.e30", MalformedTokenError),
        (jws(b"{}") + "=", MalformedTokenError),
        (jws(b"{}", crit=["b64"]), InvalidHeaderError),
        (jws(b"{}", typ="dpop+jwt"), InvalidHeaderError),
        (jws(b"{}", kid="other"), UnknownKeyError),
        (jws(b"{}")[:-8] + "AAAAAAAA", InvalidSignatureError),
        ("A" * 8193, TokenTooLargeError),
        (None, MalformedTokenError),
    ],
)
def test_the_signature_step_refuses_what_verification_refuses(raw: Any, error: type[InvalidTokenError]) -> None:
    """Size, framing, header, key and signature are judged alike with and without claims."""
    with pytest.raises(error) as refusal:
        verify_jws(raw, KeySet([KEY]))
    assert error is refusal.type


def test_the_longest_acceptable_token_is_an_argument() -> None:
    """`max_size` is in characters, and the limit itself is acceptable."""
    raw = jws(b"x" * 9000)
    assert 9000 == len(verify_jws(raw, KeySet([KEY]), max_size=len(raw))[1])
    with pytest.raises(TokenTooLargeError):
        verify_jws(raw, KeySet([KEY]), max_size=len(raw) - 1)


def test_the_header_is_the_callers_own() -> None:
    """Changing the returned header changes nothing for the next caller."""
    keys = KeySet([KEY])
    for _ in range(3):
        header, _payload = verify_jws(jws(b"{}", x={"y": [1]}), keys)
        assert {"alg": "ES256", "kid": "own", "x": {"y": [1]}} == header
        header["x"]["y"].append(2)
        header.clear()


def test_claims_of_a_wrong_kind_do_not_matter_to_the_signature() -> None:
    """A token that `verify_token` refuses for a claim passes the signature step."""
    config = config_of()
    raw = forge({"sub": 1})
    with pytest.raises(InvalidClaimError):
        verify_token(raw, config)
    assert b'"sub": 1' in verify_jws(raw, config.keys)[1]
