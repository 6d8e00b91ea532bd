"""Every error of the library, drawn once.

::

    JWTError
    ├── ConfigurationError (also ValueError)      the application is wrong: settings, keys, arguments
    │   ├── SettingError                            setting_invalid
    │   ├── KeyConfigurationError                   key_invalid
    │   ├── SigningKeyMissingError                  signing_key_missing
    │   ├── MintingError                            minting_refused
    │   ├── NotGuardedError                         not_guarded
    │   └── UnsupportedScopeError                   scope_type_unsupported
    ├── ConnectionEndedError (also OSError)       connection_ended: its token has ended, and so has it
    └── TokenError                                the request is refused: its token, or how it was sent
        ├── MissingTokenError              401      token_missing
        ├── InvalidRequestError            400
        │   ├── MalformedCredentialsError           credentials_malformed
        │   ├── RepeatedCredentialsError            credentials_repeated
        │   └── CrossSiteRequestError      403
        │       ├── CSRFTokenError                  csrf_token_wrong
        │       └── ForeignOriginError              origin_foreign
        ├── InvalidTokenError              401
        │   ├── TokenTooLargeError                  token_too_large
        │   ├── MalformedTokenError                 token_malformed
        │   │   └── EncryptedTokenError             token_encrypted
        │   ├── InvalidHeaderError                  header_invalid
        │   ├── AlgorithmRefusedError               algorithm_refused
        │   ├── UnknownKeyError                     key_unknown
        │   ├── InvalidSignatureError               signature_invalid
        │   ├── MissingClaimError                   claim_missing
        │   ├── InvalidClaimError                   claim_invalid
        │   ├── ExpiredTokenError                   token_expired
        │   ├── NotYetValidError                    token_not_yet_valid
        │   ├── WrongIssuerError                    issuer_wrong
        │   ├── WrongAudienceError                  audience_wrong
        │   ├── WrongTypeError                      type_wrong
        │   ├── BoundTokenError                     token_bound
        │   ├── WrongClientError                    client_wrong
        │   ├── WrongIdentityError                  identity_wrong
        │   ├── IdentityRefusedError                identity_refused
        │   └── RevokedTokenError                   token_revoked
        │       └── ReusedTokenError                token_reused
        ├── FreshTokenRequiredError        401      freshness_insufficient
        ├── ForbiddenError                 403
        │   ├── MissingScopeError                   scope_missing
        │   └── RoleRefusedError                    role_refused
        └── UnavailableError               503
            ├── KeysUnavailableError                keys_unavailable
            ├── StoreUnavailableError               store_unavailable
            └── ClaimsUnavailableError              claims_unavailable

A `TokenError` knows its HTTP answer (`status`, the RFC 6750 word `error`) and speaks to the client in one fixed phrase
(`description`). What was seen (`evidence`) stays on the exception, for logs, and is no part of its `repr`; it never holds a token.
"""

from __future__ import annotations

import copyreg
from typing import Any, ClassVar

__all__ = [
    "AlgorithmRefusedError",
    "BoundTokenError",
    "CSRFTokenError",
    "ClaimsUnavailableError",
    "ConfigurationError",
    "ConnectionEndedError",
    "CrossSiteRequestError",
    "EncryptedTokenError",
    "ExpiredTokenError",
    "ForbiddenError",
    "ForeignOriginError",
    "FreshTokenRequiredError",
    "IdentityRefusedError",
    "InvalidClaimError",
    "InvalidHeaderError",
    "InvalidRequestError",
    "InvalidSignatureError",
    "InvalidTokenError",
    "JWTError",
    "KeyConfigurationError",
    "KeysUnavailableError",
    "MalformedCredentialsError",
    "MalformedTokenError",
    "MintingError",
    "MissingClaimError",
    "MissingScopeError",
    "MissingTokenError",
    "NotGuardedError",
    "NotYetValidError",
    "RepeatedCredentialsError",
    "ReusedTokenError",
    "RevokedTokenError",
    "RoleRefusedError",
    "SettingError",
    "SigningKeyMissingError",
    "StoreUnavailableError",
    "TokenError",
    "TokenTooLargeError",
    "UnavailableError",
    "UnknownKeyError",
    "UnsupportedScopeError",
    "WrongAudienceError",
    "WrongClientError",
    "WrongIdentityError",
    "WrongIssuerError",
    "WrongTypeError",
]

_EVIDENCE_LENGTH = 256


class JWTError(Exception):
    """The root: catches whatever this library raises on purpose.

    Attributes:
        code: A stable identifier of the case, the same in every release.
    """

    code: ClassVar[str] = "jwt_error"


class ConfigurationError(JWTError, ValueError):
    """The application is wrong, not the client: a setting, a key or an argument. The message says how to mend it."""

    code = "configuration_invalid"


class SettingError(ConfigurationError):
    """A setting cannot be used."""

    code = "setting_invalid"


class KeyConfigurationError(ConfigurationError):
    """A key, a secret or a set of keys cannot be used."""

    code = "key_invalid"


class SigningKeyMissingError(ConfigurationError):
    """A token was to be minted with a configuration that can only verify."""

    code = "signing_key_missing"


class MintingError(ConfigurationError):
    """A token was to be minted that no verifier should accept, or that would say something else than was meant."""

    code = "minting_refused"


class NotGuardedError(ConfigurationError):
    """A handler asks for the token, but nothing has examined the request: no middleware, no `install`."""

    code = "not_guarded"


class UnsupportedScopeError(ConfigurationError):
    """The server opened an ASGI scope that is neither http, websocket nor lifespan; nobody has guarded such a thing."""

    code = "scope_type_unsupported"


class ConnectionEndedError(JWTError, OSError):
    """What `send` raises on a connection that ended with its token: what servers raise for a client that has gone.

    An OSError, as the ASGI specification (version 2.4, "Disconnected Client") wants it, so that frameworks know it.
    """

    code = "connection_ended"


class TokenError(JWTError):
    """The request is refused. `str(error)` is the fixed phrase that the client may read.

    Attributes:
        status: The HTTP status code of the answer.
        error: The `error` word of RFC 6750 section 3.1 or RFC 9470 section 3, or None when the client offered nothing.
        description: The fixed phrase for the client, within the characters of RFC 6750 section 3.
        evidence: What was seen, for logs: names, reasons, times; strings are cut at 256 characters, never a token. Some
            of it is what the client has sent, so that it belongs into no answer; neither `str` nor `repr` shows it.
        verified: What the token says of itself, if its signature is good: `type`, `issuer`, `identity`, `jti` and
            `family`, as far as it has them. Empty for any other token.

    Args:
        reason: Why, in the words of an application that refuses by itself, `ForbiddenError("not the owner")`. It is
            evidence: the client does not read it.
        evidence: As above, by name.
    """

    status: ClassVar[int] = 401
    error: ClassVar[str | None] = "invalid_token"
    description: ClassVar[str] = "The token is not acceptable."

    def __init__(self, reason: str | None = None, /, **evidence: Any) -> None:
        super().__init__(self.description)
        if reason is not None:
            evidence = {"reason": reason, **evidence}
        self.evidence: dict[str, Any] = {
            name: value[:_EVIDENCE_LENGTH] if isinstance(value, str) else value for name, value in evidence.items()
        }
        self.verified: dict[str, Any] = {}

    def __repr__(self) -> str:
        # Frameworks put it into pages that clients see.
        return f"{type(self).__name__}({self.code})"

    def __reduce__(self) -> tuple[Any, ...]:
        # The default would call the class with the phrase as a positional argument, which it does not take.
        return (copyreg.__newobj__, (type(self), *self.args), vars(self))  # type: ignore[attr-defined]  # typeshed lacks it


class MissingTokenError(TokenError):
    """No credentials, or those of another scheme (RFC 6750 section 3.1: no error code is given)."""

    code = "token_missing"
    error = None
    description = "Authentication is required."


class InvalidRequestError(TokenError):
    """The token was sent in a way that no token may be sent."""

    code = "request_invalid"
    status = 400
    error = "invalid_request"
    description = "The credentials are malformed."


class MalformedCredentialsError(InvalidRequestError):
    """The Authorization header is not `Bearer` followed by a token (RFC 6750 section 2.1)."""

    code = "credentials_malformed"
    description = "The Authorization header is malformed."


class RepeatedCredentialsError(InvalidRequestError):
    """More than one credential was sent (RFC 6750 section 2: never more than one method)."""

    code = "credentials_repeated"
    description = "More than one credential was sent."


class CrossSiteRequestError(InvalidRequestError):
    """A cookie came along with a request that its user may not have meant to make (RFC 6749 section 10.12)."""

    code = "request_cross_site"
    status = 403
    description = "The request may have been forged by another site."


class CSRFTokenError(CrossSiteRequestError):
    """A request that changes something, with a cookie, but without the CSRF value that belongs to the cookie's token."""

    code = "csrf_token_wrong"
    description = "The request lacks the CSRF value of its token."


class ForeignOriginError(CrossSiteRequestError):
    """The browser says that another site has made it send the cookie (RFC 6454 section 7; Fetch Metadata)."""

    code = "origin_foreign"
    description = "The request comes from another origin."


class InvalidTokenError(TokenError):
    """The token itself is refused."""

    code = "token_invalid"


class TokenTooLargeError(InvalidTokenError):
    """The token is longer than `max_token_size` or its header than 2,048 characters; nothing of it was decoded."""

    code = "token_too_large"
    description = "The token is too large."


class MalformedTokenError(InvalidTokenError):
    """Not a compact JWS in its one canonical spelling (RFC 7515 sections 2, 3.1 and 7.1)."""

    code = "token_malformed"
    description = "The token is malformed."


class EncryptedTokenError(MalformedTokenError):
    """Five parts: a JWE (RFC 7516), which this library does not decrypt."""

    code = "token_encrypted"
    description = "Encrypted tokens are not accepted."


class InvalidHeaderError(InvalidTokenError):
    """The JOSE header asks for something that is not understood or not allowed (RFC 7515 section 4)."""

    code = "header_invalid"
    description = "The token header is not acceptable."


class AlgorithmRefusedError(InvalidTokenError):
    """`alg` is not the algorithm of the key (RFC 8725 sections 3.1 and 3.2)."""

    code = "algorithm_refused"
    description = "The token algorithm is not acceptable."


class UnknownKeyError(InvalidTokenError):
    """No key, or no single key, belongs to the token."""

    code = "key_unknown"
    # The same phrase as for a bad signature: a client learns nothing about which keys exist.
    description = "The token signature could not be verified."


class InvalidSignatureError(InvalidTokenError):
    """The signature is not one of the key over these bytes."""

    code = "signature_invalid"
    description = "The token signature could not be verified."


class MissingClaimError(InvalidTokenError):
    """A required claim is absent."""

    code = "claim_missing"
    description = "The token lacks a required claim."


class InvalidClaimError(InvalidTokenError):
    """A claim has the wrong JSON type or an unusable value. Wrong is never counted as absent."""

    code = "claim_invalid"
    description = "The token has an invalid claim."


class ExpiredTokenError(InvalidTokenError):
    """`exp` has passed, or the token is older than `max_age` (RFC 7519 section 4.1.4)."""

    code = "token_expired"
    description = "The token has expired."


class NotYetValidError(InvalidTokenError):
    """`nbf` or `iat` lies in the future (RFC 7519 sections 4.1.5 and 4.1.6)."""

    code = "token_not_yet_valid"
    description = "The token is not yet valid."


class WrongIssuerError(InvalidTokenError):
    """`iss` is not the expected issuer, code point for code point (RFC 7519 section 4.1.1)."""

    code = "issuer_wrong"
    description = "The token is from another issuer."


class WrongAudienceError(InvalidTokenError):
    """`aud` does not name this application (RFC 7519 section 4.1.3)."""

    code = "audience_wrong"
    description = "The token is for another audience."


class WrongTypeError(InvalidTokenError):
    """A refresh token where an access token belongs, or the reverse (RFC 8725 sections 3.11 and 3.12)."""

    code = "type_wrong"
    description = "The token is of the wrong type."


class BoundTokenError(InvalidTokenError):
    """The token is bound to a key of its sender (`cnf`, RFC 7800), so it is worth nothing as a plain bearer token."""

    code = "token_bound"
    description = "The token is sender-constrained and cannot be used as a bearer token."


class WrongClientError(InvalidTokenError):
    """A refresh token of another client (RFC 6749 section 10.4), or none was named where the token names one."""

    code = "client_wrong"
    description = "The token was issued to another client."


class WrongIdentityError(InvalidTokenError):
    """A connection was to be renewed with a token of somebody else."""

    code = "identity_wrong"
    description = "The token is of another identity."


class IdentityRefusedError(InvalidTokenError):
    """The application's `claims_loader` had no claims for the identity: it may not go on."""

    code = "identity_refused"
    description = "The session cannot be continued."


class RevokedTokenError(InvalidTokenError):
    """The token, its family or its identity was revoked; or a store does not know the session of a refresh token."""

    code = "token_revoked"
    description = "The token has been revoked."


class ReusedTokenError(RevokedTokenError):
    """A refresh token that had been used before (RFC 9700 section 4.14.2). Its session has ended."""

    code = "token_reused"


class FreshTokenRequiredError(TokenError):
    """The token is valid, but does not come from a recent login (RFC 9470 section 3).

    Attributes:
        max_age: How old the login may be, in seconds, for the `max_age` attribute of the challenge; or None.

    Args:
        max_age: As above.
        evidence: As for every `TokenError`.
    """

    code = "freshness_insufficient"
    error = "insufficient_user_authentication"
    description = "A fresh login is required."
    max_age: int | None

    def __init__(self, reason: str | None = None, /, *, max_age: int | None = None, **evidence: Any) -> None:
        super().__init__(reason, max_age=max_age, **evidence)
        self.max_age = max_age


class ForbiddenError(TokenError):
    """The token is valid, but does not allow this.

    Attributes:
        scope: Every scope the resource needs, space-separated, for the `scope` attribute of the challenge; or None.
    """

    code = "forbidden"
    status = 403
    error = "insufficient_scope"
    description = "The token does not allow this request."
    scope: str | None = None


class MissingScopeError(ForbiddenError):
    """The token lacks a scope that the resource needs (RFC 6750 section 3.1).

    Args:
        scope: All scopes that the resource needs, space-separated.
        evidence: As for every `TokenError`.
    """

    code = "scope_missing"
    description = "The token lacks a required scope."

    def __init__(self, reason: str | None = None, /, *, scope: str | None = None, **evidence: Any) -> None:
        super().__init__(reason, scope=scope, **evidence)
        self.scope = scope


class RoleRefusedError(ForbiddenError):
    """The roles of the token are not among those allowed, or among those denied, or there are none."""

    code = "role_refused"
    description = "The role of the token is not allowed."


class UnavailableError(TokenError):
    """The token cannot be checked now. That is not the client's fault, and no reason to let it in.

    Attributes:
        retry_after: When to try again, in seconds from now (RFC 9110 section 10.2.3).

    Args:
        retry_after: As above.
        evidence: As for every `TokenError`.
    """

    code = "unavailable"
    status = 503
    error = "temporarily_unavailable"
    description = "The token cannot be checked at the moment."
    retry_after: int

    def __init__(self, reason: str | None = None, /, *, retry_after: int = 1, **evidence: Any) -> None:
        super().__init__(reason, retry_after=retry_after, **evidence)
        self.retry_after = retry_after


class KeysUnavailableError(UnavailableError):
    """The keys of the issuer could not be fetched, and there are none in hand that may still be used.

    Or the token names an unknown key, which may not be looked for now.
    """

    code = "keys_unavailable"


class StoreUnavailableError(UnavailableError):
    """Whether the token has been revoked could not be found out; or what was to be stored could not be."""

    code = "store_unavailable"


class ClaimsUnavailableError(UnavailableError):
    """New tokens cannot be made: the application's `claims_loader` failed, or what it returned cannot be minted or sent.

    The refresh token has not been used, and can be sent again.
    """

    code = "claims_unavailable"
