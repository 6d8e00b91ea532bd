"""Define the refusals of tokens."""

from __future__ import annotations

from ._base import TokenError


class InvalidTokenError(TokenError):
    """The token itself is refused."""

    code = "invalid_token"


class TokenTooLargeError(InvalidTokenError):
    """The token is longer than `max_token_size`, or its header is longer than 2,048 characters. It was not decoded."""

    code = "token_too_large"
    description = "The token is too large."


class MalformedTokenError(InvalidTokenError):
    """The token is not a compact JWS in its one canonical spelling (RFC 7515 sections 2, 3.1 and 7.1)."""

    code = "token_malformed"
    description = "The token is malformed."


class EncryptedTokenError(MalformedTokenError):
    """The token has five parts: it is a JWE (RFC 7516), which this library does not decrypt."""

    code = "token_encrypted"
    description = "Encrypted tokens are not accepted."


class InvalidHeaderError(InvalidTokenError):
    """The JOSE header asks for something that is not understood or not allowed (RFC 7515 section 4)."""

    code = "invalid_header"
    description = "The token header is not acceptable."


class AlgorithmRefusedError(InvalidTokenError):
    """`alg` is not the algorithm of the key (RFC 8725 sections 3.1 and 3.2)."""

    code = "invalid_algorithm"
    description = "The token algorithm is not acceptable."


class UnknownKeyError(InvalidTokenError):
    """No key, or no single key, belongs to the token."""

    code = "unknown_key"
    # The same phrase as for a bad signature: a client learns nothing about which keys exist.
    description = "The token signature could not be verified."


class InvalidSignatureError(InvalidTokenError):
    """The signature does not match the key and the signed bytes."""

    code = "invalid_signature"
    description = "The token signature could not be verified."


class MissingClaimError(InvalidTokenError):
    """A required claim is absent."""

    code = "missing_claim"
    description = "The token lacks a required claim."


class InvalidClaimError(InvalidTokenError):
    """A claim has the wrong JSON type or an unusable value. It never counts as absent."""

    code = "invalid_claim"
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

    code = "invalid_issuer"
    description = "The token is from another issuer."


class WrongAudienceError(InvalidTokenError):
    """`aud` does not name this application (RFC 7519 section 4.1.3)."""

    code = "invalid_audience"
    description = "The token is for another audience."


class WrongTypeError(InvalidTokenError):
    """A refresh token came where an access token is needed, or the reverse (RFC 8725 sections 3.11 and 3.12)."""

    code = "invalid_token_type"
    description = "The token is of the wrong type."


class BoundTokenError(InvalidTokenError):
    """The token is bound to a key of its sender (`cnf`, RFC 7800), so it is no bearer token."""

    code = "token_bound"
    description = "The token is sender-constrained and cannot be used as a bearer token."


class WrongClientError(InvalidTokenError):
    """The refresh token names a client, and the request names another or none (RFC 6749 section 10.4)."""

    code = "wrong_client"
    description = "The token was issued to another client."


class WrongIdentityError(InvalidTokenError):
    """The token that should renew a connection has another identity."""

    code = "wrong_identity"
    description = "The token is of another identity."


class IdentityRefusedError(InvalidTokenError):
    """The application's `claims_loader` has no claims for the identity, so its session cannot continue."""

    code = "identity_refused"
    description = "The session cannot be continued."


class InactiveTokenError(InvalidTokenError):
    """The authorization server says that the token is not active: expired, revoked, or unknown (RFC 7662 section 2.2)."""

    code = "token_inactive"
    description = "The token is not active."


class RevokedTokenError(InvalidTokenError):
    """The token, its session or its identity was revoked, or the store does not know the session of a refresh token."""

    code = "token_revoked"
    description = "The token has been revoked."


class ReusedTokenError(RevokedTokenError):
    """The refresh token had been used before (RFC 9700 section 4.14.2). Its session has ended."""

    code = "token_reused"
