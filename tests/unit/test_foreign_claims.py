"""The claims of other parties: what decides is strict, what decides nothing refuses only the request that asks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import AuthEvent, JWTConfig, JWTMiddleware, Key, Token, verify_token
from asgi_jwt_claims.access import AccessPolicy
from asgi_jwt_claims.errors import (
    FreshTokenRequiredError,
    InvalidClaimError,
    InvalidTokenError,
    MissingClaimError,
    MissingScopeError,
    RoleRefusedError,
    SettingError,
    TokenError,
    WrongAudienceError,
)
from asgi_jwt_claims.tokens.reading import SCOPE_TOKEN, Unread, read_granted
from tests.conftest import NOW, HeldClock
from tests.forging import forge
from tests.raw_asgi import Recorder, ask, bearer
from tests.support import SECRET, for_each

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def foreign(**settings: Any) -> JWTConfig:
    """A configuration for the tokens of another party, whose key is at hand."""
    names: dict[str, Any] = {"type_claim": None, "user_claims_claim": None, "required_claims": ("exp",)}
    return JWTConfig(**{"verification_keys": [Key.from_secret(SECRET)], "clock": HeldClock(), **names, **settings})


def read(claims: dict[str, Any], **settings: Any) -> Token:
    return verify_token(forge(claims), foreign(**settings))


ODD: list[tuple[dict[str, Any], str]] = [
    ({"roles": ""}, ""),
    ({"roles": None}, ""),
    ({"roles": [{"id": 1}]}, "roles"),
    ({"roles": 7}, "roles"),
    ({"roles": True}, "roles"),
    ({"roles": [""]}, "roles"),
    ({"scope": None}, ""),
    ({"scope": "a  b "}, ""),
    ({"scope": 7}, "scope"),
    ({"scope": "a\tb"}, "scope"),
    ({"scope": ["a b"]}, "scope"),
    ({"auth_time": "2026-11-28T12:00:00Z"}, "auth_time"),
    ({"auth_time": None}, "auth_time"),
    ({"fresh": "yes"}, "fresh"),
    ({"sid": 12}, "sid"),
    ({"jti": None}, "jti"),
    ({"jti": 12, "sid": ""}, "sid jti"),
]


# S59, S60, S62
@for_each(("claims", "unreadable"), ODD)
def test_a_claim_that_decides_nothing_refuses_no_token(claims: dict[str, Any], unreadable: str) -> None:
    """A claim of another shape is named on the token, and is neither read nor converted."""
    token = read(claims)
    assert ("alice", tuple(unreadable.split())) == (token.identity, token.unreadable)
    assert {claims.get("jti"), claims.get("sid")}.isdisjoint({token.jti, token.session_id} - {None})


@for_each("claims", [claims for claims, unreadable in ODD if unreadable])
def test_what_is_demanded_decides(claims: dict[str, Any]) -> None:
    """A claim that required_claims names is as strict as those that always decide."""
    with pytest.raises(InvalidClaimError) as error:
        read(claims, required_claims=("exp", *claims))
    assert error.value.evidence["claim"] in claims


@for_each("claims", [claims for claims, unreadable in ODD if unreadable])
def test_own_tokens_stay_strict(claims: dict[str, Any], config: JWTConfig) -> None:
    """In the tokens of one's own, a claim of the wrong type refuses the token."""
    with pytest.raises(InvalidClaimError):
        verify_token(forge(claims), config)


# S49, S51, S55, S56, S57
@for_each(
    "claims",
    [
        {"exp": "later"},
        {"exp": None},
        {"nbf": None},
        {"iat": "now"},
        {"iss": 1},
        {"iss": ""},
        {"aud": 3},
        {"aud": [""]},
        {"aud": None},
        {"sub": ""},
        {"sub": None},
        {"sub": 7},
        {"cnf": {}},
        {"typ": "ID"},
    ],
)
def test_what_decides_is_strict(claims: dict[str, Any]) -> None:
    """Times, parties, identity, type and confirmation of the wrong shape refuse the token of any party."""
    with pytest.raises(InvalidTokenError):
        read(claims)


def test_the_type_and_the_user_claims_decide_where_they_are_named() -> None:
    """A claim that a configuration names for the type, or for the user claims, refuses the token if it is odd."""
    remote: dict[str, Any] = {"required_claims": ("exp",)}
    assert "alice" == read({"kind": "access"}, type_claim="kind", **remote).identity
    for claims, settings in (
        ({"kind": 1}, {"type_claim": "kind"}),
        ({"own": []}, {"user_claims_claim": "own"}),
    ):
        with pytest.raises(InvalidClaimError):
            read(claims, **settings, **remote)


# Rules ----------------------------------------------------------------------------------------------------------------


# S60
@for_each(
    ("claims", "rules", "error"),
    [
        ({"roles": [{"id": 1}]}, {"allow": "admin"}, RoleRefusedError),
        ({"roles": [{"id": 1}]}, {"deny": "banned"}, RoleRefusedError),
        ({"roles": ["user", 1]}, {"deny": "banned"}, RoleRefusedError),
        ({"roles": ["user", 1]}, {"allow": "user", "deny": "banned"}, RoleRefusedError),
        ({"scope": 7}, {"scopes": "read"}, MissingScopeError),
        ({"auth_time": "yesterday"}, {"fresh": True}, FreshTokenRequiredError),
        ({"auth_time": "yesterday", "fresh": True}, {"fresh": True}, FreshTokenRequiredError),
        ({"fresh": "yes", "auth_time": NOW}, {"fresh": timedelta(hours=1)}, FreshTokenRequiredError),
    ],
)
def test_a_rule_that_needs_it_refuses(claims: dict[str, Any], rules: dict[str, Any], error: type[TokenError]) -> None:
    """What cannot be read grants nothing, is never absent to `deny`, and is named in the evidence."""
    token = read(claims)
    with pytest.raises(error) as refusal:
        AccessPolicy(**rules).check(token)
    assert refusal.value.evidence["claim"] in claims
    assert token.unreadable == refusal.value.verified["unreadable"]


def test_a_login_yet_to_come_is_not_fresh() -> None:
    """A time in milliseconds would stay fresh for ever; 300 seconds are forgiven for clocks that differ."""
    policy = AccessPolicy(fresh=timedelta(hours=1))
    policy.check(read({"fresh": True, "auth_time": NOW + 300}))
    for time in (NOW + 301, NOW * 1000, 1e300):
        with pytest.raises(FreshTokenRequiredError):
            policy.check(read({"fresh": True, "auth_time": time}))


def test_what_can_be_read_counts() -> None:
    """A name that can be read grants what it grants, also beside one that cannot."""
    token = read({"roles": ["user", 1], "scope": "read wr\tite", "jti": 1})
    assert (frozenset({"user"}), frozenset({"read"})) == (token.roles, token.scopes)
    AccessPolicy(allow="user", scopes="read").check(token)
    with pytest.raises(MissingScopeError) as refusal:
        AccessPolicy(scopes="read write").check(token)
    assert "scope" == refusal.value.evidence["claim"]


def test_a_rule_without_need_of_it_passes() -> None:
    """A rule about something else lets the token pass, and its refusal names no other claim."""
    token = read({"roles": [{}], "scope": "read", "fresh": True})
    AccessPolicy(scopes="read", fresh=True).check(token)
    with pytest.raises(MissingScopeError) as refusal:
        AccessPolicy(scopes="write").check(token)
    assert "claim" not in refusal.value.evidence


@pytest.mark.anyio
async def test_events_name_what_could_not_be_read() -> None:
    """The events of requests with the token, let in or refused, name the claims; those of other tokens name none."""
    events: list[AuthEvent] = []
    config = foreign(on_event=events.append, accepted_events=True)

    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        AccessPolicy(allow="admin").check(scope["token"])

    for app in (Recorder(), refusing):
        for claims in ({"roles": [{}], "sid": 1}, {}):
            await ask(JWTMiddleware(app, config), "/", bearer(forge(claims)))
    told = [(event.name, event.unreadable) for event in events]
    let_in = [("accepted", ("sid", "roles")), ("accepted", ())]
    assert let_in == told[:2]
    assert [("refused", ("sid", "roles")), ("refused", ())] == [one for one in told if one[0] == "refused"]


# Where they stand -----------------------------------------------------------------------------------------------------


# S59
@for_each(
    ("value", "names"),
    [
        ("read  write ", "read write"),
        (["read", "write", "read"], "read write"),
        ({"read": {}, "write": 0, "admin": False, "root": None}, "read write"),
        (None, ""),
        ("", ""),
        ([], ""),
        ({}, ""),
    ],
)
def test_the_shapes_of_roles_and_scopes(value: Any, names: str) -> None:
    """A string with spaces, an array, an object whose keys are meant, and null are read for roles as for scopes."""
    token = read({"roles": value, "scope": value})
    assert (set(names.split()), set(names.split()), ()) == (token.roles, token.scopes, token.unreadable)


def test_no_role_hides_behind_white_space() -> None:
    """Any white space divides roles, since one that is denied must be found; scopes are divided at spaces alone."""
    for space in ("\t", "\n", "\u00a0", " \t "):
        token = read({"roles": f"user{space}banned", "scope": f"read{space}write"})
        assert ({"user", "banned"}, ("scope",)) == (token.roles, token.unreadable)
        with pytest.raises(RoleRefusedError):
            AccessPolicy(deny="banned").check(token)


def test_a_path() -> None:
    """A tuple is a path into objects; roles that stand elsewhere do not count."""
    claims = {"realm_access": {"roles": ["admin"]}, "roles": ["root"], "realm_access.roles": ["root"]}
    assert {"admin"} == read(claims, roles_claim=("realm_access", "roles")).roles
    assert {"root"} == read(claims, roles_claim=("realm_access.roles",)).roles


@for_each(
    ("claims", "unreadable"),
    [
        ({}, ()),
        ({"realm": None}, ()),
        ({"realm": {}}, ()),
        ({"realm": {"roles": None}}, ()),
        ({"realm": {"roles": {}}}, ()),
        ({"realm": "none"}, ("realm.roles.all",)),
        ({"realm": {"roles": ["all"]}}, ("realm.roles.all",)),
        ({"realm": {"roles": {"all": 1}}}, ("realm.roles.all",)),
    ],
)
def test_a_path_that_ends_early(claims: dict[str, Any], unreadable: tuple[str, ...]) -> None:
    """A path that ends early means no roles; one that meets something else than an object cannot be read."""
    token = read(claims, roles_claim=("realm", "roles", "all"))
    assert (frozenset(), unreadable) == (token.roles, token.unreadable)


def test_several_places_are_united() -> None:
    """A list names several places, whose values count together; replace keeps them."""
    config = foreign(scope_claim=["scope", "scp"], roles_claim=["roles", ("resource_access", "api", "roles")])
    claims = {"scope": "a b", "scp": ["b", "c"], "roles": "x y", "resource_access": {"api": {"roles": ["z"]}}}
    for settings in (config, config.replace(leeway=0)):
        token = verify_token(forge(claims), settings)
        assert ({"a", "b", "c"}, {"x", "y", "z"}) == (token.scopes, token.roles)
    assert (("scope",), ("scp",)) == config.scope_claim


def test_groups_that_have_to_be_fetched() -> None:
    """A claim that is only named in `_claim_names` (OpenID Connect Core section 5.6.2) is not absent."""
    claims = {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {}}, "roles": ["user"]}
    token = read(claims, roles_claim=["roles", "groups"])
    assert ("groups",) == token.unreadable
    AccessPolicy(allow="user").check(token)
    with pytest.raises(RoleRefusedError):
        AccessPolicy(deny="banned").check(token)
    assert () == read({**claims, "groups": []}, roles_claim=["roles", "groups"]).unreadable
    assert () == read({**claims, "_claim_names": ["groups"]}, roles_claim=["roles", "groups"]).unreadable


def test_groups_of_the_implicit_flow() -> None:
    """Groups in whose place Entra ID writes `hasgroups` are not absent."""
    token = read({"hasgroups": True}, roles_claim="groups")
    assert ("groups",) == token.unreadable
    with pytest.raises(RoleRefusedError):
        AccessPolicy(deny="banned").check(token)
    assert () == read({"hasgroups": True, "groups": ["a"]}, roles_claim="groups").unreadable
    assert () == read({"hasgroups": False}, roles_claim="groups").unreadable
    assert () == read({"hasgroups": True}, roles_claim="roles").unreadable


def test_own_tokens_may_have_paths_too() -> None:
    """A configuration that only verifies tokens of one's own reads paths and lists, as strictly as names."""
    config = JWTConfig(
        verification_keys=[Key.from_secret(SECRET)],
        clock=HeldClock(),
        roles_claim=("user_claims", "roles"),
        scope_claim=["scope", "scp"],
        identity_claim=["uid", "sub"],
    )
    token = verify_token(forge({"user_claims": {"roles": ["a"]}, "scope": "x", "scp": ["y"], "uid": 7}), config)
    assert ({"a"}, {"x", "y"}, 7) == (token.roles, token.scopes, token.identity)
    for claims in ({"user_claims": {"roles": None}}, {"scope": ["x"]}, {"sub": 7}):
        with pytest.raises(InvalidClaimError):
            verify_token(forge(claims), config)


@given(JSON, JSON)
def test_any_value_can_be_read(roles: Any, scope: Any) -> None:
    """Any JSON value is read or noted; scopes hold characters of scopes only, and roles are never empty."""
    claims = {"a": roles, "scope": scope}
    unread: list[Unread] = []
    names = read_granted(claims, (("a",), ("a", "b")), "roles", unread)
    assert all(isinstance(name, str) and name for name in names)
    assert set(unread) <= {("roles", ("a",)), ("roles", ("a", "b"))}
    scopes = read_granted(claims, (("scope",),), "scopes", [])
    assert all(map(SCOPE_TOKEN.fullmatch, scopes))
    token = read(claims, roles_claim=["a", ("a", "b")])
    assert (names, scopes) == (token.roles, token.scopes)


@for_each(
    ("settings", "match"),
    [
        ({"roles_claim": "realm_access.roles"}, r"write \('realm_access', 'roles'\) for the path"),
        ({"roles_claim": "realm_access.roles"}, r"or \('realm_access.roles',\) for a claim with that name"),
        ({"scope_claim": ["scope", "a.b"]}, r"write \('a', 'b'\)"),
        ({"identity_claim": "user.id"}, r"write \('user', 'id'\)"),
        ({"required_claims": ["kubernetes.io"]}, r"\('kubernetes.io',\) for a claim with that name"),
        ({"roles_claim": ()}, "roles_claim must be a non-empty str, or a tuple"),
        ({"roles_claim": []}, "roles_claim must name at least one claim"),
        ({"roles_claim": [["a"]]}, "roles_claim must be a non-empty str, or a tuple"),
        ({"roles_claim": ("a", "")}, "roles_claim must be a non-empty str, or a tuple"),
        ({"roles_claim": ("a", 1)}, "roles_claim must be a non-empty str, or a tuple"),
        ({"roles_claim": ["a", ("a",)]}, "none twice"),
        ({"roles_claim": ["a", "scope"]}, "must be different names"),
        ({"roles_claim": ("cnf", "roles")}, "must be different names, and none of"),
        ({"roles_claim": "client_id"}, "must be different names, and none of"),
        ({"roles_claim": ["roles", "sub"]}, "only identity_claim may be sub"),
    ],
)
def test_places_that_cannot_be_used(settings: dict[str, Any], match: str) -> None:
    """A place that cannot be meant is refused when built, with what to write."""
    with pytest.raises(SettingError, match=match):
        foreign(**settings)


def test_names_with_dots_that_are_names() -> None:
    """URNs and URLs are names although they have dots in them."""
    for name in ("https://example.com/roles", "urn:zitadel:iam:org:project:roles", "example.com/roles"):
        assert {"a"} == read({name: {"a": {"1": "acme.example"}}}, roles_claim=name).roles


@for_each(
    "settings",
    [
        {"roles_claim": ("realm_access", "roles")},
        {"scope_claim": ["scope", "scp"]},
        {"identity_claim": ["email", "sub"]},
    ],
)
def test_minting_writes_to_one_place(settings: dict[str, Any]) -> None:
    """A configuration that mints needs one name; a tuple of one is one."""
    with pytest.raises(SettingError, match="must be one name"):
        JWTConfig(secret_key=SECRET, **settings)


# The identity ---------------------------------------------------------------------------------------------------------


# S57, S58
@for_each(
    ("places", "claims", "identity"),
    [
        ("client_id", {"client_id": "svc", "sub": ""}, "svc"),
        ("email", {"email": "a@example", "sub": None}, "a@example"),
        (["sub", "common_name"], {"sub": "", "common_name": "svc"}, "svc"),
        (["sub", "common_name"], {"sub": None, "common_name": "svc"}, "svc"),
        (["sub", "common_name"], {"sub": "bob", "common_name": "svc"}, "bob"),
        (["uid", "sub"], {"uid": 7}, 7),
        (["uid", "sub"], {"uid": 0}, 0),
        (["uid", "sub"], {"uid": {"id": [1]}}, {"id": [1]}),
        (["uid", "sub"], {}, "alice"),
        (("user", "id"), {"user": {"id": "u1"}}, "u1"),
        (["sub"], {}, "alice"),
    ],
)
def test_the_identity(places: Any, claims: dict[str, Any], identity: Any) -> None:
    """Any claim may hold the identity; of several, the first that is neither null nor empty does."""
    token = read(claims, identity_claim=places)
    assert identity == token.identity
    assert type(identity) is type(token.identity)


@for_each(
    ("places", "claims", "error"),
    [
        (["sub", "common_name"], {"sub": 7, "common_name": "svc"}, InvalidClaimError),
        (["sub", "common_name"], {"sub": ""}, InvalidClaimError),
        (["uid", "common_name"], {}, MissingClaimError),
        (("user", "id"), {"user": "u1"}, MissingClaimError),
        ("client_id", {"client_id": None}, InvalidClaimError),
        ("client_id", {"client_id": ""}, InvalidClaimError),
        ("client_id", {}, MissingClaimError),
    ],
)
def test_no_identity(places: Any, claims: dict[str, Any], error: type[TokenError]) -> None:
    """A token without an identity, or with a `sub` that is no string in its turn, is refused."""
    with pytest.raises(error):
        read(claims, identity_claim=places)


@for_each("places", [["sub"], [("sub",)], ("sub",)])
def test_an_identity_is_always_demanded(places: Any) -> None:
    """However the claim is written, a token without it is refused."""
    for settings in ({}, {"type_claim": "type", "user_claims_claim": "user_claims"}):
        with pytest.raises(MissingClaimError):
            verify_token(forge(without=("sub",)), foreign(identity_claim=places, **settings))


def test_the_client_is_no_identity_where_tokens_are_minted() -> None:
    """`client_id` has a meaning of its own in the sessions of one's own."""
    with pytest.raises(SettingError, match="or where no token is minted client_id"):
        JWTConfig(secret_key=SECRET, identity_claim="client_id")


def test_a_refused_token_still_says_whose_it_is() -> None:
    """The facts of a refused token hold its first identity, of any type but for `sub`."""
    for places, claims, identity in (
        (["uid", "sub"], {"uid": 7}, 7),
        (["uid", "sub"], {}, "alice"),
        ("sub", {"sub": 7}, None),
        ("uid", {}, None),
    ):
        with pytest.raises(InvalidTokenError) as error:
            read({**claims, "exp": None}, identity_claim=places)
        assert identity == error.value.verified.get("identity")


# Parties --------------------------------------------------------------------------------------------------------------


# S56
def test_an_empty_audience_is_absent() -> None:
    """`aud: []` names no recipient: it is missing where one is demanded, and allowed where none is."""
    assert () == read({"aud": []}).audience
    for settings in ({"audience": "api"}, {"required_claims": ("exp", "aud")}):
        with pytest.raises(MissingClaimError):
            read({"aud": []}, **settings)
    with pytest.raises(WrongAudienceError):
        read({"aud": ["api"]})


def test_an_empty_audience_of_own_tokens(config: JWTConfig) -> None:
    """In a token of one's own, `aud: []` is malformed."""
    with pytest.raises(InvalidClaimError):
        verify_token(forge({"aud": []}), config)


def test_null_is_no_presence() -> None:
    """A required claim of another party that is null says nothing, and refuses the token."""
    with pytest.raises(InvalidClaimError) as error:
        read({"azp": None}, required_claims=["exp", "azp"])
    assert {"claim": "azp", "reason": "null"} == error.value.evidence


def test_the_defaults_of_provider_tokens_follow_from_the_keys() -> None:
    """`from_mapping` and `from_env` with JWT_JWKS have the defaults of `for_issuer`, and what is set counts."""
    env = {"JWT_JWKS": "https://a.example/jwks", "JWT_ISSUER": "https://a.example", "JWT_AUDIENCE": "api"}
    wanted = JWTConfig.for_issuer("https://a.example", audience="api")
    for name in ("type_claim", "user_claims_claim", "required_claims"):
        assert getattr(wanted, name) == getattr(JWTConfig.from_env(environ=env), name)
    other = JWTConfig.from_mapping({**env, "JWT_TYPE_CLAIM": "token_use", "JWT_REQUIRED_CLAIMS": "exp"})
    assert ("token_use", ("exp",)) == (other.type_claim, other.required_claims)
    own = JWTConfig.from_mapping({"JWT_SECRET_KEY": SECRET, "JWT_JWKS": None})
    assert "type" == own.type_claim
