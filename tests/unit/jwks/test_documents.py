"""What providers send: which keys a set has, what is passed over, and what is refused. Whatever the bytes."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import Key, KeySet
from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.jwks import FetchPolicy
from asgi_jwt_claims.jwks._documents import RefusedDocumentError, read_jwks, read_max_age, read_metadata
from asgi_jwt_claims.jwks._schedule import MAX_UNKNOWN_KIDS, Schedule
from asgi_jwt_claims.jwks._urls import check_address, checked_hosts, metadata_addresses
from tests.forging import b64
from tests.keys import make_public_key

EC, RSA, ED = (make_public_key(name, kid=name).public_jwk() for name in ("ES256", "RS256", "EdDSA"))
SECRET_JWK = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "secret", "alg": "HS256"}
OTHER_EC = Key.generate("ES256", kid="ES256").public_jwk()
WEAK_RSA = {**RSA, "kid": "weak", "n": b64(b"\xc1" * 128).decode()}
PRIVATE_EC = {**EC, "kid": "private", "d": "AAAA"}


def read(*entries: Any, algorithms: tuple[str, ...] = (), before: KeySet | None = None) -> tuple[set[str], list[str]]:
    keys, skipped = read_jwks(json.dumps({"keys": entries}).encode(), algorithms, 64, before)
    return {key.kid for key in keys}, list(skipped)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (SECRET_JWK, "a secret"),  # S100
        ({**EC, "kid": "k", "k": "AAAA"}, "a secret"),
        (PRIVATE_EC, "a private key, which is private no longer"),
        (WEAK_RSA, "the RSA key has"),
        ({**EC, "kid": "x", "x": "AAAA"}, "the EC JWK members 'x' and 'y' must have 32 bytes each"),
        ({**EC, "kid": "\n"}, "a kid must be a str of 1 to 256 printable characters"),
        ({**EC, "kid": 7}, "a kid must be a str of 1 to 256 printable characters"),
        ({**EC, "kid": "e", "use": "enc"}, "the JWK is not for signatures: its use is 'enc'"),
        ({**EC, "kid": "e", "alg": "RS256"}, "algorithm 'RS256' does not go with this key"),
        ({"kty": "future"}, "the JWK has kty 'future'"),
        ({"kty": ["EC"]}, "the JWK has kty ['EC']"),
        ({}, "the JWK has kty None"),
        ([], "not a JSON object"),
        ("key", "not a JSON object"),
        (None, "not a JSON object"),
    ],
)
def test_one_bad_entry_does_not_void_the_set(bad: Any, reason: str) -> None:
    """An entry that cannot be used is passed over with its reason, wherever it stands; the others are used."""  # S97
    for entries in ([bad, EC, RSA], [EC, bad, RSA], [EC, RSA, bad]):
        kids, skipped = read(*entries)
        assert {"ES256", "RS256"} == kids
        assert [True] == [said.startswith(reason) for said in skipped]
    with pytest.raises(RefusedDocumentError, match="the JWK Set has no key that can be used"):
        read(bad)


def test_a_kid_of_several_keys_is_nobodys() -> None:
    """Which of two keys of one algorithm a shared kid means cannot be known, so neither is used; copies are one key."""  # S97
    ambiguous = ["several keys have the kid 'ES256' and the algorithm ES256"]
    assert ({"RS256"}, ambiguous) == read(EC, OTHER_EC, RSA)
    assert ({"RS256"}, ambiguous * 2) == read(EC, RSA, OTHER_EC, EC)
    assert ({"ES256", "RS256"}, []) == read(EC, RSA, EC)
    assert ({"ES256", "RS256"}, []) == read(EC, {**ED, "kid": "ES256"}, RSA)


def test_reasons_are_short() -> None:
    """What a provider sends does not fill a log."""
    _, (reason,) = read({"kty": "a" * 10_000}, EC)
    assert 200 == len(reason)


def test_algorithms_are_those_wanted() -> None:
    """A key for another algorithm is passed over; one that does not say is bound to the first that goes with it."""
    assert ({"ES256"}, ["for an algorithm that is not accepted here"] * 2) == read(EC, RSA, ED, algorithms=("ES256",))
    unsaid = {name: value for name, value in RSA.items() if name != "alg"}
    for algorithms, algorithm in (((), "RS256"), (("PS256",), "PS256"), (("ES256", "PS384", "RS256"), "PS384")):
        keys, _ = read_jwks(json.dumps({"keys": [unsaid]}).encode(), algorithms, 64, None)
        assert [algorithm] == [key.algorithm for key in keys]
    with pytest.raises(RefusedDocumentError):
        read(unsaid, algorithms=("ES256", "EdDSA"))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the JWK Set: not JSON"),
        (b"<html>Service unavailable</html>", "the JWK Set: not JSON"),
        (b'{"keys": [', "the JWK Set: not JSON"),
        (b"\xff", "the JWK Set: not JSON"),
        (b"[]", "the JWK Set is not a JSON object"),
        (b"{}", "the JWK Set has no array of keys"),
        (b'{"keys": {}}', "the JWK Set has no array of keys"),
        (b'{"keys": []}', "the JWK Set has no key that can be used"),
        (b'{"keys": [1], "keys": []}', "the JWK Set has no key that can be used"),
        (b'{"keys":' + b"[" * 200_000, "the JWK Set: nested too deeply"),
        (json.dumps({"keys": [EC] * 65}).encode(), "the JWK Set has more than 64 keys"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_set_of_keys_is_refused(body: bytes, reason: str) -> None:
    """A page of a proxy, half an answer, an empty set or a huge one: refused in fixed words."""  # S94
    with pytest.raises(RefusedDocumentError) as refused:
        read_jwks(body, (), 64, None)
    assert reason == str(refused.value)


def test_a_key_that_stays_is_the_same_object() -> None:
    """Whatever else has changed; and the set is the same if nothing has."""  # S93
    before, _ = read_jwks(json.dumps({"keys": [EC, RSA]}).encode(), (), 64, None)
    same, _ = read_jwks(json.dumps({"keys": [RSA, {**EC, "x5c": ["new"]}]}).encode(), (), 64, before)
    assert before is same
    after, _ = read_jwks(json.dumps({"keys": [OTHER_EC, RSA, ED]}).encode(), (), 64, before)
    assert {"RS256"} == {key.kid for key in after if key in before}
    assert {"ES256", "RS256", "EdDSA"} == {key.kid for key in after}
    fewer, _ = read_jwks(json.dumps({"keys": [RSA]}).encode(), (), 64, before)
    assert (1, True) == (len(fewer), all(key in before for key in fewer))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
members = st.sampled_from([*EC, *RSA, "use", "key_ops", "alg", "d", "k", "oth", "crit"])
entries = st.one_of(
    json_values,
    st.sampled_from([EC, RSA, ED, SECRET_JWK, PRIVATE_EC, WEAK_RSA, OTHER_EC]),
    st.builds(
        lambda jwk, changes: {**jwk, **changes},
        st.sampled_from([EC, RSA, ED]),
        st.dictionaries(members, json_values, max_size=3),
    ),
)


@given(st.lists(entries, max_size=8))
def test_any_set_is_read_or_refused(values: list[Any]) -> None:
    """Whatever the entries: public keys come out, each with a kid of its own, or our error does."""  # S97
    try:
        keys, _ = read_jwks(json.dumps({"keys": values}).encode(), (), 64, None)
    except RefusedDocumentError:
        return
    assert [] == [key for key in keys if key.can_sign or key.is_symmetric]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Whatever the bytes, documents are read or refused by our error."""
    for reader in (
        lambda: read_jwks(body, (), 64, None),
        lambda: read_metadata(body, "https://a.example", loopback_http=True),
    ):
        with pytest.raises(RefusedDocumentError):
            reader()


@given(st.text(max_size=100))
def test_any_cache_control_is_read(text: str) -> None:
    """Whatever stands in the headers: a number of seconds that is none below zero, or nothing."""
    seconds = read_max_age({"cache-control": text, "age": text})
    assert seconds is None or 0 <= seconds < 1e9


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"cache-control": ""}, None),
        ({"cache-control": "public"}, None),
        ({"cache-control": "max-age=60"}, 60),
        ({"cache-control": 'Public, MAX-AGE="60"'}, 60),
        ({"cache-control": "max-age=60, max-age=90"}, 60),
        ({"cache-control": "s-maxage=90, max-age=60"}, 60),
        ({"cache-control": "max-age=-1"}, 0),
        ({"cache-control": "max-age"}, 0),
        ({"cache-control": "max-age=soon"}, 0),
        ({"cache-control": "max-age=60, no-cache"}, 0),
        ({"cache-control": "no-store, max-age=60"}, 0),
        ({"cache-control": 'private="max-age=90", max-age=60'}, 60),
        ({"cache-control": "max-age=60", "age": "20"}, 40),
        ({"cache-control": "max-age=60", "age": "90"}, 0),
        ({"cache-control": "max-age=60", "age": "old"}, 60),
        ({"age": "20"}, None),
    ],
    ids=str,
)
def test_cache_control_is_read_as_rfc_9111_says(headers: dict[str, str], seconds: float | None) -> None:
    """The first max-age counts, less the age; what cannot be read is over already, and so is what must not be kept."""
    assert seconds == read_max_age(headers)


@pytest.mark.parametrize(
    ("issuer", "openid", "oauth"),
    [
        (
            "https://a.example",
            "https://a.example/.well-known/openid-configuration",
            "https://a.example/.well-known/oauth-authorization-server",
        ),
        (
            "https://a.example/",
            "https://a.example/.well-known/openid-configuration",
            "https://a.example/.well-known/oauth-authorization-server",
        ),
        (
            "https://a.example:8443/realms/b",
            "https://a.example:8443/realms/b/.well-known/openid-configuration",
            "https://a.example:8443/.well-known/oauth-authorization-server/realms/b",
        ),
    ],
)
def test_where_metadata_can_be(issuer: str, openid: str, oauth: str) -> None:
    """OpenID Connect appends to the issuer's path, RFC 8414 puts its own before it; a slash at the end goes."""  # S98
    assert (openid, oauth) == metadata_addresses(issuer)[:2]


def test_the_third_place_of_metadata() -> None:
    """An issuer with a path may have OpenID Connect's document where RFC 8414 section 3.1 puts its own."""  # S98
    third = "https://a.example/.well-known/openid-configuration/realms/b"
    for issuer in ("https://a.example/realms/b", "https://a.example/realms/b/"):
        assert (third,) == metadata_addresses(issuer)[2:]
    for issuer in ("https://a.example", "https://a.example/"):
        assert () == metadata_addresses(issuer)[2:]


@given(st.text(max_size=60) | st.builds(lambda host: f"http://{host}/", st.text(max_size=30)))
def test_no_address_but_https_or_loopback_is_asked(address: str) -> None:
    """Whatever the text: without the flag, only https passes."""  # S96
    if check_address(address, loopback_http=False) is None:
        assert address.lower().startswith("https://")


PRIVATE_HOSTS = ["keycloak", "KEYCLOAK", "sso.auth.svc", "a.b.internal", "a.local", "a.test", "a.home.arpa", "10.0.0.1"]
PUBLIC_HOSTS = [
    "issuer.example",
    "a.svc.example",
    "internal.example.com",
    "8.8.8.8",
    "2606:4700::1111",
    "keycloak:8080",
]


@pytest.mark.parametrize("host", [*PRIVATE_HOSTS, "192.168.1.1", "fd00::1"])
def test_a_named_host_of_a_private_network_may_be_asked_without_tls(host: str) -> None:
    """Only that host, in any letter case, and only by the option that says so."""  # S96
    address = f"http://[{host}]:8080/jwks" if ":" in host else f"http://{host}:8080/jwks"
    hosts = checked_hosts([host])
    assert check_address(address, loopback_http=False, insecure_http_hosts=hosts) is None
    for refused in (address.replace(host, f"{host}.example"), "http://other/", "http://localhost/", "ftp://keycloak/"):
        assert check_address(refused, loopback_http=False, insecure_http_hosts=hosts) is not None
    assert "insecure_http_hosts=" in str(check_address(address, loopback_http=True, insecure_http_hosts=frozenset()))
    assert "insecure_http_hosts=" not in str(check_address(address, loopback_http=True))


@pytest.mark.parametrize("host", [*PUBLIC_HOSTS, "*", "", "http://keycloak", "keycloak/", " keycloak", "a..local", 7])
def test_a_host_that_may_be_public_is_never_asked_without_tls(host: Any) -> None:
    """A machine on the way to it could replace the keys, so the option refuses it when it is built."""  # S96
    with pytest.raises(SettingError, match="is not a host that only a private network has"):
        checked_hosts([host])


@pytest.mark.parametrize("hosts", ["keycloak", None, 7])
def test_hosts_without_tls_are_a_list(hosts: Any) -> None:
    """One name is not taken for a list of letters."""
    with pytest.raises(SettingError, match="insecure_http_hosts must be a list of hosts"):
        checked_hosts(hosts)


# Times ----------------------------------------------------------------------------------------------------------------


def test_the_memory_of_unknown_kids_is_bounded() -> None:
    """However many there are, the oldest are forgotten; one that comes again counts as new."""  # S91
    schedule = Schedule(FetchPolicy(), lambda low, _: low)
    for number in range(10 * MAX_UNKNOWN_KIDS):
        schedule.note_unknown(f"kid-{number}", 0.0)
        schedule.note_unknown("always", 0.0)
    assert MAX_UNKNOWN_KIDS == len(schedule._unknown)
    assert (True, False) == (
        schedule.is_known_to_be_unknown("always", 1.0),
        schedule.is_known_to_be_unknown("kid-0", 1.0),
    )


@given(
    st.lists(
        st.tuples(
            st.floats(0, 2000),
            st.sampled_from(["succeed", "fail", "look"]),
            st.none() | st.floats(0, 1e6),
        ),
        max_size=60,
    )
)
def test_the_schedule_keeps_its_promises(steps: list[tuple[float, str, float | None]]) -> None:
    """Whatever happens when: keys outlive no bound, a success is never far from the next attempt, the budget holds."""  # S91, S93, S95
    policy = FetchPolicy()
    schedule = Schedule(policy, lambda low, high: (low + high) / 2)
    now, looked, succeeded_at = 0.0, [], -math.inf
    for pause, step, max_age in steps:
        now += pause
        if step == "succeed":
            schedule.succeeded(now, max_age)
            succeeded_at = now
            assert (0, True) == (schedule.failures, now < schedule.next_attempt < schedule.expires_at)
        elif step == "fail":
            was_due, before = schedule.is_due(now), schedule.next_attempt
            schedule.failed(now)
            assert before == schedule.next_attempt if not was_due else now < schedule.next_attempt <= now + 60
        elif now >= schedule.next_look:
            schedule.look(now)
            looked.append(now)
        assert schedule.usable_until <= succeeded_at + 3600 + 3600
        assert schedule.next_attempt <= max(succeeded_at + 3600, now + 60)
    for number, first in enumerate(looked):
        within = [at for at in looked[number:] if at < first + 300]
        assert 2 + 10 >= len(within)
