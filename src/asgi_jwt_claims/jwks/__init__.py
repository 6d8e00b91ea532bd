"""Keys that travel: those of other issuers, fetched and kept (`RemoteKeySet`), and one's own, published (`KeyRing`).

::

    config = JWTConfig.for_issuer("https://login.example", audience="https://api.example")
"""

from __future__ import annotations

from ._policy import RefreshPolicy
from .endpoint import JWKSEndpoint
from .fetching import Fetch, FetchResponse, HTTPXFetch
from .remote import RemoteKeySet
from .ring import KeyRing
from .status import KeySetEvent, KeySetStatus, OnKeySetEvent

__all__ = [
    "Fetch",
    "FetchResponse",
    "HTTPXFetch",
    "JWKSEndpoint",
    "KeyRing",
    "KeySetEvent",
    "KeySetStatus",
    "OnKeySetEvent",
    "RefreshPolicy",
    "RemoteKeySet",
]
