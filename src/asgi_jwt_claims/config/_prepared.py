"""Check the settings of a `JWTConfig`, and work out once what follows from them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.jose.names import REGISTERED_CLAIMS
from asgi_jwt_claims.runtime.durations import as_duration, whole_seconds
from asgi_jwt_claims.runtime.values import plain

from ._cache import SignerCache, VerifiedTokenCache
from ._claim_paths import ABSENT, ClaimPath, as_paths, find, is_name
from ._demands import Demands, read_demands
from ._keys import algorithms_of, key_source_for, tenant_sets_of
from .cookies import TokenCookies
from .issuer_template import Issuers
from .scopes import ScopeHierarchy

if TYPE_CHECKING:
    from asgi_jwt_claims.jwks import TenantKeySets
    from asgi_jwt_claims.keys.key_set import KeySource

__all__ = ["MAX_GRACE", "MAX_LEEWAY", "ClaimNames", "Prepared", "prepare"]

MAX_LEEWAY: Final = timedelta(seconds=300)
"""The largest clock difference that may be forgiven (RFC 9068 section 4: a few minutes at most)."""

MAX_GRACE: Final = timedelta(seconds=60)
"""The longest time in which a spent refresh token may still be answered."""

_NAMED_CLAIMS = ("user_claims_claim", "type_claim", "session_claim")
_PLACED_CLAIMS = ("identity_claim", "roles_claim", "scope_claim")
_TAKEN_CLAIMS = {"iss", "aud", "exp", "nbf", "iat", "jti", "fresh", "cnf", "auth_time", "client_id"}


class ClaimNames(NamedTuple):
    """Which claims hold what the application asks for. Its own claims must not take a name of `reserved`.

    They stand in the claim `user_claims`; if that is None, beside the registered claims. `hierarchy` says which scopes
    imply others.
    """

    identity: tuple[ClaimPath, ...]
    user_claims: str | None
    reserved: frozenset[str]
    hierarchy: ScopeHierarchy | None = None

    def find_identity(self, claims: dict[str, Any]) -> tuple[ClaimPath, Any]:
        """The first identity that is neither null nor empty, and where it stands; `ABSENT`, and nowhere, if none is."""
        for path in self.identity:
            value = find(claims, path)
            if value is not ABSENT and value is not None and value != "":
                return path, value
        return (), ABSENT

    def own(self, claims: dict[str, Any]) -> dict[str, Any]:
        """The application's own among all claims."""
        if self.user_claims is None:
            return {name: value for name, value in claims.items() if name not in self.reserved}
        own: dict[str, Any] = claims.get(self.user_claims, {})
        return own


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What follows from the settings of one configuration. Read for every token.

    `tenant_sets` is the key source if each tenant of a template has keys of its own. `algorithms` are those that keys may
    be for. `audiences` are all names of this application, `minted_audience` is the `aud` of minted tokens, and `demands`
    are what every token must carry, of which `required` are the names alone and `has_demands` says whether there is more.
    The `*_seconds` are the durations in seconds; None means that there is no limit. `longest_seconds`, the longest
    lifetime that is minted, or that a token of another party may have, is then infinity.

    `is_lenient` says that the tokens are another party's, so that a claim which decides nothing refuses none. The
    `*_name` are the one claim at the top that holds identity, roles or scopes; empty if a path or several are set.
    """

    key_source: KeySource
    tenant_sets: TenantKeySets | None
    token_cache: VerifiedTokenCache[Any]
    signer_cache: SignerCache
    issuers: Issuers
    algorithms: frozenset[str]
    audiences: frozenset[str]
    minted_audience: str | list[str] | None
    required: tuple[str, ...]
    demands: Demands
    has_demands: bool
    claim_names: ClaimNames
    is_lenient: bool
    identity_name: str
    roles_name: str
    scope_name: str
    roles_paths: tuple[ClaimPath, ...]
    scope_paths: tuple[ClaimPath, ...]
    access_seconds: int | None
    refresh_seconds: int | None
    session_seconds: int | None
    grace_seconds: float
    leeway_seconds: float
    max_age_seconds: float | None
    max_lifetime_seconds: float | None
    longest_seconds: float


def prepare(settings: dict[str, Any]) -> Prepared:
    """Check all settings and work out what follows from them, or raise SettingError or KeyConfigurationError.

    The settings are brought into their final form: durations become `timedelta`, several names a tuple, and a secret
    the key that signs.
    """
    settings.update({name: plain(value) for name, value in settings.items()})
    issuers = Issuers.read(settings)
    audiences = _check_parties(settings)
    seconds = _check_times(settings)
    longest = seconds["access_seconds" if settings["type_claim"] is None else "refresh_seconds"]
    places = {name: as_paths(settings[name], name) for name in _PLACED_CLAIMS}
    identity_name = _only_name(places["identity_claim"])
    demands = read_demands(settings, identity_name)
    granted = {*places["roles_claim"], *places["scope_claim"]}  # many clients and users have the same
    is_addressed = bool(audiences) or any(
        one.names_a_party and one.path not in granted for one in (*demands.values, *demands.functions)
    )
    key_source = key_source_for(settings, issuers, seconds["leeway_seconds"], longest, is_addressed=is_addressed)
    tenant_sets = None if settings["jwks"] is None else tenant_sets_of(key_source, issuers)
    claim_names = _check_claims(settings, places)
    _check_rest(settings)
    is_lenient = settings["jwks"] is not None or (
        settings["type_claim"] is None and settings["user_claims_claim"] is None
    )
    if is_lenient and settings["signing_key"] is None and settings["key_ring"] is None:
        # The lifetimes of the settings are those of minted tokens, and say nothing of another party's.
        limits = [seconds[name] for name in ("max_lifetime_seconds", "max_age_seconds") if seconds[name] is not None]
        seconds["longest_seconds"] = min(limits, default=math.inf)
    return Prepared(
        key_source=key_source,
        tenant_sets=tenant_sets,
        token_cache=VerifiedTokenCache(settings["signature_cache_size"], has_one_set=tenant_sets is None),
        signer_cache=SignerCache(settings["key_ring"] or settings["signing_key"], send_kid=settings["send_kid"]),
        issuers=issuers,
        algorithms=algorithms_of(key_source),
        audiences=frozenset(audiences),
        # RFC 7519 section 4.1.3: a single name may stand as a string of its own.
        minted_audience=list(audiences) if len(audiences) > 1 else next(iter(audiences), None),
        required=demands.names,
        demands=demands,
        has_demands=bool(demands.values or demands.functions),
        claim_names=claim_names,
        is_lenient=is_lenient,
        identity_name=identity_name,
        roles_name=_only_name(places["roles_claim"]),
        scope_name=_only_name(places["scope_claim"]),
        roles_paths=places["roles_claim"],
        scope_paths=places["scope_claim"],
        **seconds,
    )


def _check_parties(settings: dict[str, Any]) -> tuple[str, ...]:
    audience = settings["audience"]
    if audience is not None and not isinstance(audience, str):
        audience = settings["audience"] = tuple(map(plain, audience if isinstance(audience, Iterable) else (audience,)))
    names: tuple[str, ...] = (audience,) if isinstance(audience, str) else audience or ()
    if (audience is not None and not names) or not all(map(is_name, names)):
        raise SettingError(f"audience must be a non-empty str, or a list of them, not {audience!r}")
    return names


def _check_times(settings: dict[str, Any]) -> dict[str, Any]:
    for name in ("access_lifetime", "refresh_lifetime", "session_lifetime", "max_age", "max_lifetime"):
        if settings[name] is not None:
            settings[name] = as_duration(settings[name], name)
    for name, most, reason in (
        ("leeway", MAX_LEEWAY, "; set the clocks right instead"),
        ("refresh_grace", MAX_GRACE, ": a thief may use it too"),
    ):
        settings[name] = as_duration(settings[name], name, zero=True)
        if settings[name] > most:
            raise SettingError(f"{name} must be at most {most.seconds} seconds, not {settings[name]}{reason}")
    access, refresh = settings["access_lifetime"], settings["refresh_lifetime"]
    if refresh is not None and (access is None or access > refresh):
        raise SettingError(f"access_lifetime ({access}) must not be longer than refresh_lifetime ({refresh})")
    if not callable(settings["clock"]) or type(settings["clock"]()) not in (int, float):
        raise SettingError("clock must be a function that returns seconds since the epoch, as time.time does")
    seconds: dict[str, Any] = {
        "access_seconds": _unless_none(whole_seconds, access),
        "refresh_seconds": _unless_none(whole_seconds, refresh),
        "session_seconds": _unless_none(whole_seconds, settings["session_lifetime"]),
        "grace_seconds": settings["refresh_grace"].total_seconds(),
        "leeway_seconds": settings["leeway"].total_seconds(),
        "max_age_seconds": _unless_none(timedelta.total_seconds, settings["max_age"]),
        "max_lifetime_seconds": _unless_none(timedelta.total_seconds, settings["max_lifetime"]),
    }
    # An access token never outlives the refresh token, as has just been seen.
    longest = seconds["refresh_seconds" if settings["max_lifetime"] is None else "max_lifetime_seconds"]
    return {**seconds, "longest_seconds": math.inf if longest is None else longest}


def _check_claims(settings: dict[str, Any], places: dict[str, tuple[ClaimPath, ...]]) -> ClaimNames:
    for name in _NAMED_CLAIMS:
        if settings[name] is not None and not is_name(settings[name]):
            raise SettingError(f"{name} must be a non-empty str or None, not {settings[name]!r}")
    can_mint = settings["signing_key"] is not None or settings["key_ring"] is not None
    for name, paths in places.items():
        if isinstance(settings[name], list):
            settings[name] = paths
        if can_mint and not _only_name(paths):
            raise SettingError(
                f"{name} must be one name, not {settings[name]!r}, where tokens are minted: they carry it once"
            )
    named = [(settings[name],) for name in _NAMED_CLAIMS if settings[name] is not None]
    given = [*named, *(path for paths in places.values() for path in paths)]
    taken = {("client_id",)} if not can_mint else set()
    decisive = [
        path for path in given if path[0] in _TAKEN_CLAIMS and not (path in places["identity_claim"] and path in taken)
    ]
    # `sub` is a string (RFC 7519 section 4.1.2), so it can only be the identity.
    if len(set(given)) != len(given) or decisive or ("sub",) in set(given).difference(places["identity_claim"]):
        raise SettingError(
            f"{', '.join((*_PLACED_CLAIMS, *_NAMED_CLAIMS))} must be different names, and none of "
            f"{', '.join(sorted(_TAKEN_CLAIMS))}; only identity_claim may be sub, or where no token is minted client_id"
        )
    whole = [path[0] for path in given if len(path) == 1]
    reserved = REGISTERED_CLAIMS.union(whole)
    return ClaimNames(places["identity_claim"], settings["user_claims_claim"], reserved, settings["scope_hierarchy"])


def _only_name(paths: tuple[ClaimPath, ...]) -> str:
    return paths[0][0] if len(paths) == 1 and len(paths[0]) == 1 else ""


def _check_rest(settings: dict[str, Any]) -> None:
    if not isinstance(settings["cookies"], TokenCookies):
        raise SettingError(f"cookies must be TokenCookies(...), not {type(settings['cookies']).__name__}")
    if not isinstance(settings["scope_hierarchy"], ScopeHierarchy | None):
        kind = type(settings["scope_hierarchy"]).__name__
        raise SettingError(f"scope_hierarchy must be ScopeHierarchy({{...}}) or None, not {kind}")
    for name in ("send_kid", "accept_id_tokens", "accepted_events"):
        if type(settings[name]) is not bool:
            raise SettingError(f"{name} must be True or False, not {settings[name]!r}")
    if settings["accept_id_tokens"] and settings["type_claim"] is not None:
        raise SettingError("accept_id_tokens needs type_claim=None: ID tokens carry no claim that tells their type")
    on_event, is_told_all = settings["on_event"], settings["accepted_events"]
    if not callable(on_event) and (on_event is not None or is_told_all):
        raise SettingError(f"on_event must be a function{' where accepted_events is True' * is_told_all}")
    for name, least, most, unit in (
        ("max_token_size", 256, 64 * 1024, "characters"),
        ("signature_cache_size", 0, 1_000_000, "tokens"),
    ):
        if type(settings[name]) is not int or not least <= settings[name] <= most:
            raise SettingError(f"{name} must be an int from {least} to {most} ({unit}), not {settings[name]!r}")


def _unless_none(convert: Callable[[timedelta], float], value: timedelta | None) -> float | None:
    return None if value is None else convert(value)
