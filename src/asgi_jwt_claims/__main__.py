"""`python -m asgi_jwt_claims`: the same as the command `asgi-jwt-claims`."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main()
