"""Use the other JWT libraries as their documentation recommends, for the same checks as ours.

Where a library can build its key once, that is done ahead. Issuer, audience, expiry and the presence of `exp`, `iat` and
`jti` are checked by all, with the same leeway.
"""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from .material import AUDIENCE, ISSUER, LEEWAY, REQUIRED, Material, encoded, forged, new_claims

KINDS: Final = {"HS256": "oct", "RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
"""The key types of RFC 7518 section 6.1 and RFC 8037."""


@dataclass(frozen=True)
class Codec:
    """How a library verifies a token, and how it makes one."""

    verify: Callable[[str], object]
    mint: Callable[[object], object]


# A library is imported where it is used: one that is missing loses its own rows and no others.


def python_jose(material: Material) -> Codec:
    """The token functions of python-jose, with keys constructed ahead."""
    jwt, jwk = import_module("jose.jwt"), import_module("jose.jwk")
    private = jwk.construct(material.private_pem, material.algorithm)
    public = jwk.construct(material.public_pem, material.algorithm)
    options = {"leeway": LEEWAY, **{f"require_{name}": True for name in REQUIRED}}
    algorithms, headers = [material.algorithm], {"kid": material.kid}
    return Codec(
        lambda raw: jwt.decode(raw, public, algorithms, options=options, audience=AUDIENCE, issuer=ISSUER),
        lambda _: jwt.encode(new_claims(), private, material.algorithm, headers),
    )


def pyjwt(material: Material) -> Codec:
    """PyJWT with `PyJWK` or key objects, which it does not load again."""
    jwt = import_module("jwt")
    private, public = material.private, material.public
    if material.algorithm == "HS256":
        private = public = jwt.PyJWK.from_dict(oct_jwk(material))
    else:
        # The same prepared form for public keys: the algorithm and the key, looked up once.
        public = jwt.PyJWK.from_json(
            jwt.get_algorithm_by_name(material.algorithm).to_jwk(material.public), material.algorithm
        )
    options = {"require": list(REQUIRED)}
    algorithms, headers = [material.algorithm], {"kid": material.kid}
    return Codec(
        lambda raw: jwt.decode(
            raw, public, algorithms, options=options, audience=AUDIENCE, issuer=ISSUER, leeway=LEEWAY
        ),
        lambda _: jwt.encode(new_claims(), private, material.algorithm, headers),
    )


def joserfc(material: Material) -> Codec:
    """The package joserfc with imported keys and a claims registry built ahead."""
    jwt, jwk = import_module("joserfc.jwt"), import_module("joserfc.jwk")
    kind = KINDS[material.algorithm]
    private, public = jwk.import_key(material.private_pem, kind), jwk.import_key(material.public_pem, kind)
    registry = jwt.JWTClaimsRegistry(leeway=LEEWAY, **_wanted())
    algorithms = [material.algorithm]

    def verify(raw: str) -> object:
        token = jwt.decode(raw, public, algorithms)
        registry.validate(token.claims)
        return token.claims

    return Codec(verify, lambda _: jwt.encode(material.header, new_claims(), private, algorithms))


def authlib(material: Material) -> Codec:
    """`authlib.jose`, which its authors hand over to joserfc; still what its users have."""
    # It has its own warning shown in spite of the filters. When recorded, it is not shown.
    with warnings.catch_warnings(record=True):
        jose = import_module("authlib.jose")
    kind = {"kty": KINDS[material.algorithm]}
    private = jose.JsonWebKey.import_key(material.private_pem, kind)
    public = jose.JsonWebKey.import_key(material.public_pem, kind)
    jwt, wanted = jose.JsonWebToken([material.algorithm]), _wanted()

    def verify(raw: str) -> object:
        claims = jwt.decode(raw, public, claims_options=wanted)
        claims.validate(leeway=LEEWAY)
        return claims

    return Codec(verify, lambda _: jwt.encode(material.header, new_claims(), private))


def jwcrypto(material: Material) -> Codec:
    """The package jwcrypto, whose claims are text: they are parsed too, as each application must."""
    jwt, jwk = import_module("jwcrypto.jwt"), import_module("jwcrypto.jwk")
    if material.algorithm == "HS256":
        private = public = jwk.JWK(**oct_jwk(material))
    else:
        private, public = jwk.JWK.from_pem(material.private_pem), jwk.JWK.from_pem(material.public_pem)
    wanted = {"iss": ISSUER, "aud": AUDIENCE, **dict.fromkeys(REQUIRED)}
    algorithms = [material.algorithm]

    def verify(raw: str) -> object:
        return json.loads(jwt.JWT(jwt=raw, key=public, algs=algorithms, check_claims=wanted).claims)

    def mint(_: object) -> object:
        token = jwt.JWT(header=material.header, claims=new_claims())
        token.make_signed_token(private)
        return token.serialize()

    return Codec(verify, mint)


def oxyjwt(material: Material) -> Codec:
    """The package oxyjwt, written in Rust, with keys built ahead."""
    jwt = import_module("oxyjwt")
    name = {"oct": "from_secret", "RSA": "from_rsa_pem", "EC": "from_ec_pem", "OKP": "from_ed_pem"}
    build = name[KINDS[material.algorithm]]
    private = getattr(jwt.EncodingKey, build)(material.private_pem)
    public = getattr(jwt.DecodingKey, build)(material.public_pem)
    options = {"require": list(REQUIRED)}
    algorithms, headers = [material.algorithm], {"kid": material.kid}
    return Codec(
        lambda raw: jwt.decode(
            raw, public, algorithms, options=options, audience=AUDIENCE, issuer=ISSUER, leeway=LEEWAY
        ),
        lambda _: jwt.encode(new_claims(), private, material.algorithm, headers),
    )


LIBRARIES: Final[dict[str, Callable[[Material], Codec]]] = {
    "python-jose": python_jose,
    "PyJWT": pyjwt,
    "joserfc": joserfc,
    "Authlib": authlib,
    "jwcrypto": jwcrypto,
    "oxyjwt": oxyjwt,
}


def codecs(material: Material) -> tuple[dict[str, Codec], dict[str, str]]:
    """Return the libraries that can use a key, and for the others the reason why they cannot."""
    found: dict[str, Codec] = {}
    missing: dict[str, str] = {}
    for name, build in LIBRARIES.items():
        try:
            codec = build(material)
            prove(codec.verify, encoded(material))
        except Exception as error:  # noqa: BLE001 -- libraries refuse in their own ways, and the report says which
            missing[name] = f"{type(error).__name__}: {error}"
        else:
            found[name] = codec
    return found, missing


def prove(verify: Callable[[Any], object], raw: Any) -> None:
    """See that it accepts what is right and refuses what is forged, before its time means anything.

    Raises:
        AssertionError: It accepts a forged token.
    """
    verify(raw)
    wrong = forged(raw.decode()).encode() if isinstance(raw, bytes) else forged(raw)
    try:
        verify(wrong)
    except Exception:  # noqa: BLE001 -- any refusal will do
        return
    raise AssertionError("a forged token was accepted")


def oct_jwk(material: Material) -> dict[str, str]:
    """A secret as a JSON Web Key."""
    return {"kty": "oct", "k": base64.urlsafe_b64encode(material.private).rstrip(b"=").decode(), "alg": "HS256"}


def _wanted() -> dict[str, Any]:
    essential = {name: {"essential": True} for name in REQUIRED}
    return {
        "iss": {"essential": True, "value": ISSUER},
        "aud": {"essential": True, "value": AUDIENCE},
        **essential,
    }
