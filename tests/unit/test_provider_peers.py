"""Other libraries on the tokens of `tests.corpus.providers`, as their documentation says to verify a provider's tokens."""

from __future__ import annotations

import pytest

pytest.importorskip("jwt")
pytest.importorskip("joserfc")

import joserfc.errors
import joserfc.jwk
import joserfc.jwt
import jwt

from asgi_jwt_claims import TokenError, verify_token_async
from tests.corpus.providers import SHAPES
from tests.presets import Case, cases_of, configured, go_jwt_middleware, jwk_for, peers_on_the_page, tally

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """One event loop is enough: nothing here waits, but for a fetch that answers at once."""
    return "asyncio"


def pyjwt(case: Case) -> bool:
    """PyJWT, with the key that its `PyJWKClient` would return."""
    key = jwt.PyJWK(jwk_for(case.algorithm))
    try:
        jwt.decode(case.token, key, algorithms=[case.algorithm], issuer=case.issuers, audience=case.audience)
    except jwt.InvalidTokenError:
        return False
    return True


def joserfc_(case: Case) -> bool:
    """joserfc, with a registry of the claims that the token must have."""
    keys = joserfc.jwk.KeySet.import_key_set({"keys": [jwk_for(case.algorithm)]})  # type: ignore[typeddict-item]
    claims = {"exp": {"essential": True}, "iss": {"essential": True, "values": case.issuers}}
    if case.audience is not None:
        claims["aud"] = {"essential": True, "values": case.audience}
    try:
        token = joserfc.jwt.decode(case.token, keys, algorithms=[case.algorithm])
        joserfc.jwt.JWTClaimsRegistry(**claims).validate(token.claims)  # type: ignore[arg-type]
    except joserfc.errors.JoseError:
        return False
    return True


async def ours(name: str) -> list[bool]:
    """Which of the tokens pass here."""
    config = configured(name, **(SHAPES[name].client or {}))
    passed = []
    for case in cases_of(name):
        try:
            await verify_token_async(case.token, config)
            passed.append(True)
        except TokenError:
            passed.append(False)
    return passed


async def test_other_libraries_on_the_same_tokens() -> None:
    """Every token that ought to pass passes here and none that ought not; the page says how many do elsewhere."""
    page = peers_on_the_page()
    assert list(SHAPES) == list(page)
    for name in SHAPES:
        cases = cases_of(name)
        passed = await ours(name)
        assert (name, [case.is_good for case in cases]) == (name, passed)
        found = {
            "this library": passed,
            "PyJWT": map(pyjwt, cases),
            "joserfc": map(joserfc_, cases),
            "go-jwt-middleware": map(go_jwt_middleware, cases),
        }
        cells = {library: tally(name, results) for library, results in found.items()}
        assert (name, cells) == (name, {library: page[name][library] for library in cells})
