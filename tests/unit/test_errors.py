"""The error tree: stable codes, statuses, RFC 6750 words, fixed phrases, and evidence that stays out of the answer."""

from __future__ import annotations

import copy
import pickle
import re
import traceback
from typing import Any

import pytest

from asgi_jwt_claims import errors
from asgi_jwt_claims.errors import (
    ConfigurationError,
    ConnectionEndedError,
    CrossSiteRequestError,
    ForbiddenError,
    InvalidRequestError,
    InvalidTokenError,
    JWTError,
    MissingScopeError,
    RoleRefusedError,
    TokenError,
    UnknownKeyError,
)
from tests.support import for_each

ALL: list[type[JWTError]] = [getattr(errors, name) for name in errors.__all__]
OF_TOKENS = [kind for kind in ALL if issubclass(kind, TokenError)]
OF_APPLICATIONS = [kind for kind in ALL if issubclass(kind, ConfigurationError)]

TABLE = {
    "JWTError": "jwt_error",
    "ConfigurationError": "invalid_configuration",
    "SettingError": "invalid_setting",
    "KeyConfigurationError": "invalid_key",
    "SigningKeyMissingError": "missing_signing_key",
    "MintingError": "minting_refused",
    "CookieTooLargeError": "cookie_too_large",
    "NotGuardedError": "not_guarded",
    "UnsupportedScopeError": "unsupported_scope_type",
    "ConnectionEndedError": "connection_ended",
    "TokenError": ("jwt_error", 401, "invalid_token"),
    "MissingTokenError": ("token_missing", 401, None),
    "InvalidRequestError": ("invalid_request", 400, "invalid_request"),
    "MalformedCredentialsError": ("malformed_credentials", 400, "invalid_request"),
    "RepeatedCredentialsError": ("repeated_credentials", 400, "invalid_request"),
    "AmbiguousPathError": ("ambiguous_path", 400, "invalid_request"),
    "CrossSiteRequestError": ("cross_site_request", 403, "invalid_request"),
    "CSRFTokenError": ("invalid_csrf_token", 403, "invalid_request"),
    "ForeignOriginError": ("foreign_origin", 403, "invalid_request"),
    "InvalidTokenError": ("invalid_token", 401, "invalid_token"),
    "TokenTooLargeError": ("token_too_large", 401, "invalid_token"),
    "MalformedTokenError": ("token_malformed", 401, "invalid_token"),
    "EncryptedTokenError": ("token_encrypted", 401, "invalid_token"),
    "InvalidHeaderError": ("invalid_header", 401, "invalid_token"),
    "AlgorithmRefusedError": ("invalid_algorithm", 401, "invalid_token"),
    "UnknownKeyError": ("unknown_key", 401, "invalid_token"),
    "InvalidSignatureError": ("invalid_signature", 401, "invalid_token"),
    "MissingClaimError": ("missing_claim", 401, "invalid_token"),
    "InvalidClaimError": ("invalid_claim", 401, "invalid_token"),
    "ExpiredTokenError": ("token_expired", 401, "invalid_token"),
    "NotYetValidError": ("token_not_yet_valid", 401, "invalid_token"),
    "WrongIssuerError": ("invalid_issuer", 401, "invalid_token"),
    "WrongAudienceError": ("invalid_audience", 401, "invalid_token"),
    "WrongTypeError": ("invalid_token_type", 401, "invalid_token"),
    "BoundTokenError": ("token_bound", 401, "invalid_token"),
    "WrongClientError": ("wrong_client", 401, "invalid_token"),
    "WrongIdentityError": ("wrong_identity", 401, "invalid_token"),
    "IdentityRefusedError": ("identity_refused", 401, "invalid_token"),
    "InactiveTokenError": ("token_inactive", 401, "invalid_token"),
    "RevokedTokenError": ("token_revoked", 401, "invalid_token"),
    "ReusedTokenError": ("token_reused", 401, "invalid_token"),
    "FreshTokenRequiredError": ("insufficient_freshness", 401, "insufficient_user_authentication"),
    "ForbiddenError": ("forbidden", 403, "insufficient_scope"),
    "MissingScopeError": ("missing_scope", 403, "insufficient_scope"),
    "RoleRefusedError": ("role_refused", 403, "insufficient_scope"),
    "UnavailableError": ("unavailable", 503, "temporarily_unavailable"),
    "IntrospectionUnavailableError": ("introspection_unavailable", 503, "temporarily_unavailable"),
    "KeysUnavailableError": ("keys_unavailable", 503, "temporarily_unavailable"),
    "StoreUnavailableError": ("store_unavailable", 503, "temporarily_unavailable"),
    "ClaimsUnavailableError": ("claims_unavailable", 503, "temporarily_unavailable"),
}


@for_each("kind", ALL)
def test_codes_statuses_and_words_are_those_of_the_table(kind: type[JWTError]) -> None:
    """Every error has the code, status and RFC 6750 word that clients and logs rely on."""
    seen = (kind.code, kind.status, kind.error) if issubclass(kind, TokenError) else kind.code
    assert TABLE[kind.__name__] == seen


def test_the_table_is_complete() -> None:
    """Every exported error stands in the table, and nothing else does."""
    assert set(TABLE) == set(errors.__all__)


def test_the_drawing_is_the_tree() -> None:
    """Each class in the picture at the top of the module hangs below the class the picture says."""
    above: list[str] = []
    drawn = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ([│├└─ ]*)(\w+Error)\b", line)
        if match:
            depth = len(match[1]) // 4
            above[depth:] = [match[2]]
            drawn[match[2]] = above[depth - 1] if depth else "Exception"
    assert {kind.__name__: kind.__bases__[0].__name__ for kind in ALL} == drawn


def test_the_drawing_has_the_codes_and_statuses() -> None:
    """Beside a class stand its status, where it is not that of the class above, and its code, unless it is a common base."""
    drawn = dict(re.findall(r"^    [│├└─ ]+(\w+Error)\b(.*)$", errors.__doc__ or "", re.MULTILINE))
    for kind in ALL:
        above: Any = kind.__bases__[0]
        if above not in (Exception, JWTError):
            has_status = issubclass(kind, TokenError) and (above is TokenError or kind.status != above.status)
            status = [str(vars(kind).get("status", 401))] if has_status else []
            words = drawn[kind.__name__].split()
            assert [*status, kind.code] == words or (status == words and kind.__subclasses__())
    assert ConnectionEndedError.code in drawn["ConnectionEndedError"]


def test_codes_do_not_repeat() -> None:
    """No two errors share a code, but for the two roots."""
    codes = [kind.code for kind in ALL if kind is not TokenError]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", OF_APPLICATIONS, ids=lambda kind: kind.__name__)
def test_errors_of_the_application_are_value_errors(kind: type[ConfigurationError]) -> None:
    """A mistake of the application can be caught as a ValueError, and its message is kept."""
    error = kind("write this instead")
    assert isinstance(error, ValueError)
    assert "write this instead" == str(error)


@for_each("kind", OF_TOKENS)
def test_errors_of_tokens_are_no_value_errors(kind: type[TokenError]) -> None:
    """A refused token is never swallowed by an `except ValueError` around other code."""
    assert not issubclass(kind, ValueError)


# S112
@for_each("kind", OF_TOKENS)
def test_the_phrase_is_fixed_and_within_the_characters_of_rfc_6750(kind: type[TokenError]) -> None:
    """The text for the client is the class's own, whatever was seen, in characters that a challenge may carry."""
    error = kind(kid='evil"\r\nX-Header: 1')
    assert kind.description == str(error)
    assert re.fullmatch(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+", str(error))


def test_unknown_key_and_bad_signature_sound_the_same() -> None:
    """A client cannot tell from the phrase whether a key exists."""  # S115
    assert UnknownKeyError.description == errors.InvalidSignatureError.description


def test_evidence_is_kept_and_strings_are_cut() -> None:
    """Evidence stays on the exception, strings at most 256 characters long."""
    # S149
    error = InvalidTokenError(kid="k" * 1000, now=12)
    assert {"kid": "k" * 256, "now": 12} == error.evidence


@for_each("kind", OF_TOKENS)
def test_repr_is_as_closed_as_the_phrase(kind: type[TokenError]) -> None:
    """The repr is class and code, since frameworks show it to clients; nothing that was seen or sent is in it."""
    # S149
    error = kind(kid="secret <b>", roles="secret")
    error.verified = {"identity": "secret"}
    assert f"{kind.__name__}({kind.code})" == repr(error)
    assert "secret" not in f"{error} {error.args} {traceback.format_exception(error)}"
    assert "secret <b>" == error.evidence["kid"]


@for_each("kind", OF_TOKENS)
def test_token_errors_survive_pickling_and_copying(kind: type[TokenError]) -> None:
    """A pickled or copied error has its class, its phrase, its evidence, and what else has been put on it."""
    error = kind(claim="exp", exp=1)
    error.verified = {"identity": "alice"}
    error.add_note("seen")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(error) is type(twin)
        assert str(error) == str(twin)
        assert str(error.args) == str(twin.args)
        assert vars(error) == vars(twin)


class OrderError(ForbiddenError):
    """An error whose arguments are its own."""

    def __init__(self, order: int) -> None:
        super().__init__(order=order)


def test_errors_of_applications_survive_pickling() -> None:
    """An error that takes other arguments than ours can be pickled all the same."""
    twin = pickle.loads(pickle.dumps(OrderError(7)))
    assert (OrderError, {"order": 7}, ForbiddenError.description) == (type(twin), twin.evidence, str(twin))


def test_a_missing_scope_names_what_is_needed() -> None:
    """The scopes needed stand on the error, in its evidence, and survive pickling."""
    error = MissingScopeError(scope="read write", missing="write")
    assert "read write" == error.scope
    assert {"scope": "read write", "missing": "write"} == error.evidence
    assert "read write" == pickle.loads(pickle.dumps(error)).scope


def test_other_refusals_name_no_scope() -> None:
    """A refusal for another reason has no scope to put into the challenge."""
    assert None is RoleRefusedError(roles="guest").scope
    assert None is MissingScopeError().scope


def test_branches_of_the_tree_can_be_caught_at_once() -> None:
    """What has one status has a class that catches it all: the forged requests among the bad ones, 403, too."""
    bad_requests = [kind for kind in OF_TOKENS if issubclass(kind, InvalidRequestError)]
    assert {400} == {kind.status for kind in bad_requests if not issubclass(kind, CrossSiteRequestError)}
    assert {403} == {kind.status for kind in bad_requests if issubclass(kind, CrossSiteRequestError)}
    assert {401} == {kind.status for kind in OF_TOKENS if issubclass(kind, InvalidTokenError)}
    assert {403} == {kind.status for kind in OF_TOKENS if issubclass(kind, ForbiddenError)}


def test_the_end_of_a_connection_is_one_that_frameworks_know() -> None:
    """What `send` raises on an ended connection is an OSError, as for a client that has gone, and refuses no request."""
    error = ConnectionEndedError("The token has expired.")
    assert isinstance(error, OSError)
    assert not isinstance(error, TokenError | ConfigurationError)
    assert "The token has expired." == str(error)


@for_each("kind", OF_TOKENS)
def test_a_reason_by_position(kind: type[TokenError]) -> None:
    """Every refusal takes a reason by position, which is evidence and no part of what the client reads."""
    error, named = kind("not the owner"), kind(reason="not the owner")
    assert "not the owner" == error.evidence["reason"]
    assert named.evidence == error.evidence == pickle.loads(pickle.dumps(error)).evidence
    assert kind.description == str(error)
    assert "reason" not in kind().evidence
