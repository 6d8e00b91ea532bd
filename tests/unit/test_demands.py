"""`required_claims` as a mapping: which values a token must carry, and which configurations it makes safe."""

from __future__ import annotations

import enum
import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import JWTConfig, create_access_token, verify_token
from asgi_jwt_claims.errors import InvalidClaimError, MintingError, MissingClaimError, SettingError, TokenError
from asgi_jwt_claims.jwks import RemoteKeySet
from tests.forging import forge
from tests.support import SECRET, for_each
from tests.unit.test_foreign_claims import foreign

KEYS = RemoteKeySet("https://a.example/jwks")


def refusal(claims: dict[str, Any], required: Any) -> dict[str, Any]:
    """The evidence by which a token is refused; empty if it is accepted."""
    try:
        verify_token(forge(claims), foreign(required_claims=required))
    except TokenError as error:
        return error.evidence
    return {}


class Plan(enum.StrEnum):
    FREE = "free"


DEMANDED: dict[Any, Any] = {
    "repository": {"acme/api", "acme/web"},
    "ref": "refs/heads/main",
    "run": 3,
    "verified": True,
    "plan": Plan.FREE,
    "azp": None,
    ("firebase", "tenant"): "t",
    ("kubernetes.io", "namespace"): {"prod"},
}
GOOD: dict[str, Any] = {
    "repository": "acme/api",
    "ref": "refs/heads/main",
    "run": 3,
    "verified": True,
    "plan": "free",
    "azp": "",
    "firebase": {"tenant": "t"},
    "kubernetes.io": {"namespace": "prod"},
}


# S60
def test_values_that_are_accepted() -> None:
    """A value is demanded exactly, or as one of a set; None demands that the claim is there; a tuple is a path."""
    assert {} == refusal(GOOD, DEMANDED)
    assert {} == refusal({**GOOD, "run": 3.0, "repository": "acme/web"}, DEMANDED)


@for_each(
    ("change", "claim"),
    [
        ({"repository": "evil/api"}, "repository"),
        ({"repository": "ACME/api"}, "repository"),
        ({"repository": ["acme/api"]}, "repository"),
        ({"repository": {"acme/api": 1}}, "repository"),
        ({"repository": None}, "repository"),
        ({"ref": "refs/heads/main2"}, "ref"),
        ({"ref": None}, "ref"),
        ({"run": "3"}, "run"),
        ({"run": True}, "run"),
        ({"run": 4}, "run"),
        ({"verified": 1}, "verified"),
        ({"verified": "true"}, "verified"),
        ({"verified": False}, "verified"),
        ({"azp": None}, "azp"),
        ({"firebase": {"tenant": "x"}}, "firebase.tenant"),
        ({"firebase": {}}, "firebase.tenant"),
        ({"firebase": "t"}, "firebase.tenant"),
        ({"kubernetes.io": {"namespace": "test"}}, "kubernetes.io.namespace"),
    ],
)
def test_values_that_are_not(change: dict[str, Any], claim: str) -> None:
    """Another value, or one of another JSON type, refuses the token, and only the claim is named."""
    evidence = refusal({**GOOD, **change}, DEMANDED)
    assert claim == evidence["claim"]
    assert {"claim", "reason"} >= evidence.keys()


@for_each("claim", GOOD)
def test_values_that_are_missing(claim: str) -> None:
    """A claim that is not there refuses the token."""
    claims = {name: value for name, value in GOOD.items() if name != claim}
    with pytest.raises(MissingClaimError) as error:
        verify_token(forge(claims), foreign(required_claims=DEMANDED))
    assert error.value.evidence["claim"].startswith(claim)


SCALARS = st.text(max_size=3) | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, 1.0])


@given(SCALARS, SCALARS)
def test_values_are_equal_by_their_json_type(demanded: Any, value: Any) -> None:
    """A token is accepted if, and only if, its value is the one demanded and both are bools, or both are not."""
    is_same = demanded == value and isinstance(demanded, bool) == isinstance(value, bool)
    assert is_same is ({} == refusal({"it": value}, {"it": demanded}))


# S49
def test_one_of_several_claims() -> None:
    """A frozenset demands one of its claims, wherever they stand, and no value of it."""
    required = {frozenset({"scp", ("realm", "roles")}): None}
    for claims in ({"scp": "a"}, {"realm": {"roles": ["b"]}}, {"scp": "a", "realm": {"roles": []}}):
        assert {} == refusal(claims, required)
    assert {"claim": "realm.roles or scp"} == refusal({"roles": ["b"]}, required)
    assert {"claim": "scp", "reason": "null"} == refusal({"scp": None}, {frozenset({"scp", "zzz"}): None})


def test_a_mapping_demands_exp() -> None:
    """A token without `exp` is refused also where a mapping does not name it, unless tokens may live for ever."""
    for required in ({"azp": "c"}, {"azp": "c", "exp": None}, {"azp": "c", ("exp",): None}):
        config = foreign(required_claims=required)
        for one in (config, config.replace(leeway=0)):
            assert "alice" == verify_token(forge({"azp": "c"}), one).identity
            with pytest.raises(MissingClaimError):
                verify_token(forge({"azp": "c"}, without=("exp",)), one)
    endless = foreign(required_claims={"azp": "c"}, access_lifetime=None, refresh_lifetime=None)
    assert None is verify_token(forge({"azp": "c"}, without=("exp",)), endless).expires_at


def test_the_setting_cannot_be_changed() -> None:
    """What a configuration demands is a copy, and frozen."""
    allowed = {"a"}
    required: dict[Any, Any] = {"azp": allowed}
    config = foreign(required_claims=required)
    allowed.add("b")
    required["azp"] = None
    for one in (config, config.replace(leeway=0)):
        with pytest.raises(InvalidClaimError):
            verify_token(forge({"azp": "b"}), one)
    with pytest.raises(TypeError):
        config.required_claims["azp"] = None  # type: ignore[index]


def test_own_tokens_are_demanded_of_too() -> None:
    """A configuration for tokens of one's own demands values as well, and mints none that it would refuse."""
    config = JWTConfig(secret_key=SECRET, required_claims={"plan": {"pro"}, "level": lambda level: level > 1})
    flat = config.replace(user_claims_claim=None)
    assert (
        "alice"
        == verify_token(create_access_token("alice", flat, user_claims={"plan": "pro", "level": 2}), flat).identity
    )
    for own, claim in (({"plan": "free", "level": 2}, "plan"), ({"plan": "pro", "level": 1}, "level"), ({}, "plan")):
        with pytest.raises(MintingError, match=f"required_claims demands of '{claim}' what this token would not carry"):
            create_access_token("alice", flat, user_claims=own)


# Functions ------------------------------------------------------------------------------------------------------------


# S60, S61
@for_each("answer", [False, None, 1, "yes", [True], object()])
def test_only_true_is_true(answer: Any) -> None:
    """Any answer of a function but True refuses the token."""
    assert {} == refusal({"it": 1}, {"it": lambda _: True})
    assert {"claim": "it", "reason": "not a value that is accepted"} == refusal({"it": 1}, {"it": lambda _: answer})


def test_a_function_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """A function that raises refuses the token; the log says for which claim."""  # S61
    assert "it" == refusal({"it": 1}, {"it": lambda value: value.missing})["claim"]
    assert "the function of required_claims for it failed" in caplog.text


@pytest.mark.filterwarnings("error")
def test_a_coroutine_is_no_answer() -> None:
    """What a disguised async function returns is closed, and refuses the token."""
    assert "it" == refusal({"it": 1}, {"it": functools.partial(lambda call, value: call(value), later)})["claim"]


def test_a_function_is_asked_only_for_a_value() -> None:
    """It is asked about a claim that is there, and never about null."""
    asked: list[Any] = []
    for claims in ({}, {"it": None}, {"it": {}}):
        assert "it" == refusal(claims, {"it": asked.append})["claim"]
    assert [{}] == asked


# S60, S106
def test_a_function_is_asked_for_every_request() -> None:
    """Its answer may change: a token whose signature is remembered is asked about again."""
    blocked: set[str] = set()
    config = foreign(required_claims={"tenant": lambda tenant: tenant not in blocked})
    raw = forge({"tenant": "acme"})
    assert ["alice"] * 3 == [verify_token(raw, config).identity for _ in range(3)]
    blocked.add("acme")
    with pytest.raises(InvalidClaimError) as error:
        verify_token(raw, config)
    assert "alice" == error.value.verified["identity"]
    blocked.clear()
    assert "alice" == verify_token(raw, config).identity


# S109
def test_a_function_cannot_change_the_token() -> None:
    """It gets a copy of a container, each time."""
    seen: list[Any] = []

    def spoil(value: Any) -> bool:
        seen.append(list(value))
        value.append("root")
        return True

    config = foreign(required_claims={"groups": spoil})
    raw = forge({"groups": ["user"]})
    assert [["user"]] * 3 == [verify_token(raw, config).claims["groups"] for _ in range(3)]
    assert [["user"]] * 3 == seen


# Building -------------------------------------------------------------------------------------------------------------


async def later(_: Any) -> bool:
    return True


@for_each(
    ("required", "match"),
    [
        ({"azp": set()}, r"required_claims\['azp'\] must be a str, a number"),
        ({"azp": ["a"]}, r"non-empty set of them, a function or None, not \['a'\]"),
        ({"azp": {"a", None}}, "must be a str, a number"),
        ({"azp": {("a",)}}, "must be a str, a number"),
        ({"azp": b"a"}, "must be a str, a number"),
        ({"azp": later}, "must be a sync function"),
        ({"iss": "https://a.example"}, "must be None: write issuer="),
        ({"aud": {"api"}}, "must be None: write audience="),
        ({"exp": 1}, "must be None: write max_lifetime="),
        ({"nbf": 1}, "must be None: write leeway="),
        ({"iat": lambda _: True}, "must be None: write max_age="),
        ({"a.b": "c"}, r"write \('a', 'b'\) for the path"),
        ({"": "c"}, "must be a non-empty str, or a tuple"),
        ({1: "c"}, "must be a non-empty str, or a tuple"),
        ({"azp": "a", ("azp",): "b"}, "must name each claim once"),
        ({frozenset({"scp"}): None}, "a frozenset of at least two claims"),
        ({frozenset({"scp", "roles"}): "a"}, "needs the value None"),
        ({frozenset({"scp", 1}): None}, "must be a non-empty str, or a tuple"),
        (7, "or a mapping from names to the values that are accepted, not 7"),
    ],
)
def test_demands_that_cannot_be_used(required: Any, match: str) -> None:
    """A demand that cannot be meant is refused when built, with what to write."""
    with pytest.raises(SettingError, match=match):
        foreign(required_claims=required)


def test_tokens_for_ever_cannot_be_demanded_to_end() -> None:
    """`exp` cannot be named where minted tokens have none."""
    with pytest.raises(SettingError, match="take it out of required_claims"):
        foreign(required_claims={"exp": None}, access_lifetime=None, refresh_lifetime=None)


# S56
@for_each(
    "required",
    [
        {"client_id": {"c1"}},
        {"azp": lambda azp: azp == "c1"},
        {("kubernetes.io", "namespace"): "prod"},
        {"token_use": "access", "client_id": "c1"},
        {"sub": "system:serviceaccount:prod:api"},
    ],
)
def test_remote_keys_without_an_audience(required: Any) -> None:
    """In place of an audience, the value of a claim that names client, resource or owner may be demanded."""
    config = JWTConfig.for_issuer("https://a.example", audience=None, jwks=KEYS, required_claims=required)
    assert None is config.audience
    by_hand = JWTConfig(issuer="https://a.example", jwks=KEYS, required_claims=required)
    assert by_hand.is_remote


@for_each(
    "required",
    [
        None,
        ("exp", "client_id"),
        {"client_id": None},
        {"token_use": "access"},
        {"typ": "Bearer", "email_verified": True},
        {("role", "name"): "authenticated"},
        {("ext", "email_verified"): lambda _: True},
        {"is_service": True},
        {"client_id": {"c1", False}},
        {"scope": "read"},
        {"scp": {"read"}},
        {("ext", "permissions"): lambda _: True},
        {"org_role": "org:admin"},
        {("o", "rol"): "admin"},
        {"cognito:groups": lambda groups: "staff" in groups},
        {"realm_access": lambda access: "staff" in access["roles"]},
        {"idp": "local"},
        {"sts": "active"},
        {"aud": None},
        {"iss": None},
    ],
)
def test_remote_keys_for_everyone(required: Any) -> None:
    """Without an audience, a demand that many clients of the provider fulfil is not enough."""
    demanded = {} if required is None else {"required_claims": required}
    with pytest.raises(SettingError, match=r"jwks needs issuer and audience.*demand the value of a claim that names"):
        JWTConfig.for_issuer("https://a.example", audience=None, jwks=KEYS, **demanded)
    with pytest.raises(SettingError, match="jwks needs issuer"):
        JWTConfig(jwks=KEYS, required_claims={"client_id": "c1"})


@for_each("setting", ["scope_claim", "roles_claim"])
def test_what_is_granted_names_no_party(setting: str) -> None:
    """Many clients and users have the same scopes and roles, in whichever claim the settings read them."""  # S56
    places: dict[str, Any] = {setting: [("own", "grants"), "rights"]}
    for claim in (("own", "grants"), "rights"):
        with pytest.raises(SettingError, match="jwks needs issuer and audience"):
            JWTConfig.for_issuer("https://a.example", audience=None, jwks=KEYS, required_claims={claim: "x"}, **places)
    other: dict[str, Any] = {"required_claims": {("own", "client"): "x"}, **places}
    assert JWTConfig.for_issuer("https://a.example", audience=None, jwks=KEYS, **other).is_remote
