"""Check `required_claims`: which claims a token must carry, and which of their values are accepted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from asgi_jwt_claims.errors import InvalidClaimError, MissingClaimError, SettingError
from asgi_jwt_claims.jose.strict_json import copy_json
from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.runtime.values import plain

from ._claim_paths import ABSENT, ClaimPath, as_path, find, name_of

__all__ = ["Demand", "Demands", "read_demands"]

_SET_ELSEWHERE = {
    "iss": "issuer=...",
    "aud": "audience=...",
    "exp": "max_lifetime=...",
    "nbf": "leeway=...",
    "iat": "max_age=...",
}
# Each of these is the same for many clients, resources and owners, so a value of it does not say for whom a token is.
_COMMON = frozenset(
    {"iss", "nbf", "jti", "sid", "nonce", "auth_time", "fresh", "acr", "acrs", "amr", "aal", "azpacr", "appidacr"}
    | {"typ", "type", "token_use", "token_type", "tokenType", "tokenName", "idtyp", "gty", "ver", "v", "version"}
    | {"scope", "scp", "scopes", "permissions", "org_permissions", "entitlements"}
    | {"role", "roles", "groups", "is_anonymous", "is_private_email", "email_verified", "phone_number_verified"}
    | {"locale", "zoneinfo", "gender", "birthdate", "updated_at"}
    | {"idp", "tfp", "sts", "wids", "rol", "org_role", "realm_access", "cognito:groups", "cognito:roles"}
)


class Demand(NamedTuple):
    """What a claim must be. `values` are those accepted, numbers and bools with whether they are bools; None means any.

    `accepts` is the function that decides, asked for every request; None if there is none. Any of the `others` serves as
    well as the claim at `path`.
    """

    path: ClaimPath
    values: frozenset[str | tuple[bool, float]] | None = None
    accepts: Callable[[Any], object] | None = None
    others: tuple[ClaimPath, ...] = ()

    @property
    def is_name(self) -> bool:
        """Whether a claim at the top has to be there, with any value."""
        return self == Demand(self.path[:1])

    @property
    def names_a_party(self) -> bool:
        """Whether the demand says for whom a token must be: the client, the resource or the owner."""
        if not _COMMON.isdisjoint(self.path):
            return False
        if self.values is None:
            return self.accepts is not None
        return not any(isinstance(one, tuple) and one[0] for one in self.values)  # true and false are no names

    def find(self, claims: Mapping[str, Any]) -> Any:
        """Return the value of the claim. It is not converted: 3 and "3" differ, and so do 1 and true.

        Raises:
            MissingClaimError: The claim is absent.
            InvalidClaimError: It is null, or has another value.
        """
        path, values, _, others = self
        value = claims.get(path[0], ABSENT) if len(path) == 1 else find(claims, path)
        if value is ABSENT and others:
            value = next((found for other in others if (found := find(claims, other)) is not ABSENT), ABSENT)
        if type(value) is str and (values is None or value in values):
            return value
        if value is ABSENT:
            raise MissingClaimError(claim=" or ".join(map(name_of, (path, *others))))
        if value is None:
            raise InvalidClaimError(claim=name_of(path), reason="null")
        if values is not None and (not isinstance(value, int | float) or (type(value) is bool, value) not in values):
            raise InvalidClaimError(claim=name_of(path), reason="not a value that is accepted")
        return value

    def judge(self, value: Any) -> None:
        """Ask the function about a value. It gets a copy, since it could change a container.

        Raises:
            InvalidClaimError: The answer is anything but True, or the function has failed.
        """
        name = name_of(self.path)
        try:
            answer = self.accepts(copy_json(value)) if self.accepts is not None else True
        except Exception:  # noqa: BLE001 -- a function of the application may raise anything
            logger().exception("the function of required_claims for %s failed; the token is refused", name)
            raise InvalidClaimError(claim=name, reason="the function of required_claims failed") from None
        if inspect.iscoroutine(answer):
            answer.close()
        if answer is not True:
            raise InvalidClaimError(claim=name, reason="not a value that is accepted")


class Demands(NamedTuple):
    """What tokens must carry: the claims `names`, and claims of which a value or a path is demanded.

    `values` are checked once for a token, `functions` for every request, since their answer may change. `paths` are all
    claims that are named, but for those of which one is demanded.
    """

    names: tuple[str, ...]
    values: tuple[Demand, ...]
    functions: tuple[Demand, ...]
    paths: frozenset[ClaimPath]


def read_demands(settings: dict[str, Any], identity_name: str) -> Demands:
    """Read `required_claims`, and add the claims that other settings need.

    `identity_name` is the claim that alone holds the identity; empty if another place may.

    Raises:
        SettingError: A name, a value or a function cannot be used.
    """
    found = _read(settings)
    if any(demand.path == ("exp",) for demand in found) and _is_endless(settings):
        raise SettingError("a token that never expires lacks 'exp': take it out of required_claims to allow that")
    names = [name for name in (identity_name, settings["type_claim"]) if name]
    names += [claim for claim, name in (("iss", "issuer"), ("aud", "audience")) if settings[name] is not None]
    others = [one for one in found if not one.is_name]
    return Demands(
        tuple(dict.fromkeys([*(one.path[0] for one in found if one.is_name), *names])),
        tuple(one for one in others if one.accepts is None),
        tuple(one for one in others if one.accepts is not None),
        frozenset([*((name,) for name in names), *(one.path for one in found if not one.others)]),
    )


def _read(settings: dict[str, Any]) -> list[Demand]:
    required = settings["required_claims"]
    if isinstance(required, Mapping):
        values = {plain(key): frozenset(value) if isinstance(value, set) else value for key, value in required.items()}
        is_token = settings["introspection"] is None  # RFC 7662 section 2.2: an answer may lack all but `active`
        if is_token and "exp" not in values and ("exp",) not in values and not _is_endless(settings):
            values["exp"] = None  # a list replaces the default, but a value is demanded in addition to it
        settings["required_claims"] = MappingProxyType(values)
        found = [
            _demand_of_one(key, value)
            if isinstance(key, frozenset)
            else _demand(as_path(key, "required_claims"), value)
            for key, value in values.items()
        ]
        if len({one.path for one in found}) != len(found):
            raise SettingError(f"required_claims must name each claim once, not {list(values)!r}")
        return found
    if isinstance(required, str) or not isinstance(required, Iterable):
        raise SettingError(
            'required_claims must be a list of claim names such as ["exp", "iat"], or a mapping from names to the '
            f"values that are accepted, not {required!r}"
        )
    required = settings["required_claims"] = tuple(map(plain, required))
    return [Demand(as_path(key, "required_claims")) for key in required]


def _demand_of_one(names: frozenset[Any], value: Any) -> Demand:
    paths = sorted(as_path(name, "required_claims") for name in names)
    if len(paths) < 2 or value is not None:  # noqa: PLR2004 -- one of at least two
        raise SettingError(
            f"required_claims: a frozenset of at least two claims, of which a token must carry one, needs the value None, "
            f"unlike {names!r}: {value!r}"
        )
    return Demand(paths[0], others=tuple(paths[1:]))


def _demand(path: ClaimPath, value: Any) -> Demand:
    name = name_of(path)
    if value is not None and path[0] in _SET_ELSEWHERE:
        raise SettingError(f"required_claims[{name!r}] must be None: write {_SET_ELSEWHERE[path[0]]} instead")
    if value is None:
        return Demand(path)
    if callable(value):
        if inspect.iscoroutinefunction(value):
            raise SettingError(f"required_claims[{name!r}] must be a sync function; an async one cannot be asked here")
        return Demand(path, accepts=value)
    values = [plain(one) for one in (value if isinstance(value, frozenset) else (value,))]
    if not values or not all(isinstance(one, str | int | float) for one in values):
        raise SettingError(
            f"required_claims[{name!r}] must be a str, a number, a bool, a non-empty set of them, a function or None, "
            f"not {value!r}"
        )
    return Demand(path, frozenset(one if isinstance(one, str) else (isinstance(one, bool), one) for one in values))


def _is_endless(settings: dict[str, Any]) -> bool:
    return settings["access_lifetime"] is None or settings["refresh_lifetime"] is None
