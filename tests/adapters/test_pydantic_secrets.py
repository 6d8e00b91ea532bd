"""Secrets of pydantic, which applications with pydantic-settings have in their configuration."""

from __future__ import annotations

import pytest

from asgi_jwt_claims import JWTConfig, Key
from tests.support import SECRET

pydantic = pytest.importorskip("pydantic")


def test_a_secret_of_pydantic() -> None:
    """`SecretStr` and `SecretBytes` are secrets, alone and in the mapping that a model of settings becomes."""
    expected = Key.from_secret(SECRET).kid
    for secret in (pydantic.SecretStr(SECRET), pydantic.SecretBytes(SECRET.encode())):
        key = JWTConfig(secret_key=secret).signing_key
        assert key is not None
        assert expected == key.kid

    class Settings(pydantic.BaseModel):
        jwt_secret_key: pydantic.SecretStr
        jwt_audience: str = "api"
        debug: bool = False

    config = JWTConfig.from_mapping(Settings(jwt_secret_key=pydantic.SecretStr(SECRET)).model_dump(), prefix="jwt_")
    assert config.signing_key is not None
    assert (expected, {"api"}) == (config.signing_key.kid, set(config.audience or ()))
