"""Define every error of the library, in one tree.

::

    JWTError
    ├── ConfigurationError (also ValueError)      the application is wrong: settings, keys, arguments
    │   ├── SettingError                            invalid_setting
    │   ├── KeyConfigurationError                   invalid_key
    │   ├── SigningKeyMissingError                  missing_signing_key
    │   ├── MintingError                            minting_refused
    │   ├── CookieTooLargeError                     cookie_too_large
    │   ├── NotGuardedError                         not_guarded
    │   └── UnsupportedScopeError                   unsupported_scope_type
    ├── ConnectionEndedError (also OSError)       connection_ended: the connection ended with its token
    └── TokenError                                the request is refused: its token, or how it was sent
        ├── MissingTokenError              401      token_missing
        ├── InvalidRequestError            400
        │   ├── MalformedCredentialsError           malformed_credentials
        │   ├── RepeatedCredentialsError            repeated_credentials
        │   ├── AmbiguousPathError                  ambiguous_path
        │   └── CrossSiteRequestError      403
        │       ├── CSRFTokenError                  invalid_csrf_token
        │       └── ForeignOriginError              foreign_origin
        ├── InvalidTokenError              401
        │   ├── TokenTooLargeError                  token_too_large
        │   ├── MalformedTokenError                 token_malformed
        │   │   └── EncryptedTokenError             token_encrypted
        │   ├── InvalidHeaderError                  invalid_header
        │   ├── AlgorithmRefusedError               invalid_algorithm
        │   ├── UnknownKeyError                     unknown_key
        │   ├── InvalidSignatureError               invalid_signature
        │   ├── MissingClaimError                   missing_claim
        │   ├── InvalidClaimError                   invalid_claim
        │   ├── ExpiredTokenError                   token_expired
        │   ├── NotYetValidError                    token_not_yet_valid
        │   ├── WrongIssuerError                    invalid_issuer
        │   ├── WrongAudienceError                  invalid_audience
        │   ├── WrongTypeError                      invalid_token_type
        │   ├── BoundTokenError                     token_bound
        │   ├── WrongClientError                    wrong_client
        │   ├── WrongIdentityError                  wrong_identity
        │   ├── IdentityRefusedError                identity_refused
        │   ├── InactiveTokenError                  token_inactive
        │   └── RevokedTokenError                   token_revoked
        │       └── ReusedTokenError                token_reused
        ├── FreshTokenRequiredError        401      insufficient_freshness
        ├── ForbiddenError                 403
        │   ├── MissingScopeError                   missing_scope
        │   └── RoleRefusedError                    role_refused
        └── UnavailableError               503
            ├── IntrospectionUnavailableError       introspection_unavailable
            ├── KeysUnavailableError                keys_unavailable
            ├── StoreUnavailableError               store_unavailable
            └── ClaimsUnavailableError              claims_unavailable

A `TokenError` knows its HTTP status (`status`), its error code of RFC 6750 (`error`) and the one fixed phrase that the
client reads (`description`). What the library saw (`evidence`) stays on the exception, for logs. It is no part of the
`repr` and never holds a token.
"""

from __future__ import annotations

from ._access import ForbiddenError, FreshTokenRequiredError, MissingScopeError, RoleRefusedError
from ._base import ConnectionEndedError, JWTError, TokenError
from ._configuration import (
    ConfigurationError,
    CookieTooLargeError,
    KeyConfigurationError,
    MintingError,
    NotGuardedError,
    SettingError,
    SigningKeyMissingError,
    UnsupportedScopeError,
)
from ._credentials import (
    AmbiguousPathError,
    CrossSiteRequestError,
    CSRFTokenError,
    ForeignOriginError,
    InvalidRequestError,
    MalformedCredentialsError,
    MissingTokenError,
    RepeatedCredentialsError,
)
from ._token import (
    AlgorithmRefusedError,
    BoundTokenError,
    EncryptedTokenError,
    ExpiredTokenError,
    IdentityRefusedError,
    InactiveTokenError,
    InvalidClaimError,
    InvalidHeaderError,
    InvalidSignatureError,
    InvalidTokenError,
    MalformedTokenError,
    MissingClaimError,
    NotYetValidError,
    ReusedTokenError,
    RevokedTokenError,
    TokenTooLargeError,
    UnknownKeyError,
    WrongAudienceError,
    WrongClientError,
    WrongIdentityError,
    WrongIssuerError,
    WrongTypeError,
)
from ._unavailable import (
    ClaimsUnavailableError,
    IntrospectionUnavailableError,
    KeysUnavailableError,
    StoreUnavailableError,
    UnavailableError,
)

__all__ = [
    "AlgorithmRefusedError",
    "AmbiguousPathError",
    "BoundTokenError",
    "CSRFTokenError",
    "ClaimsUnavailableError",
    "ConfigurationError",
    "ConnectionEndedError",
    "CookieTooLargeError",
    "CrossSiteRequestError",
    "EncryptedTokenError",
    "ExpiredTokenError",
    "ForbiddenError",
    "ForeignOriginError",
    "FreshTokenRequiredError",
    "IdentityRefusedError",
    "InactiveTokenError",
    "IntrospectionUnavailableError",
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
