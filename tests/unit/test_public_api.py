"""What is public: the names, and what importing them does not bring along."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.resources
import pkgutil
import re
import subprocess
import sys

import pytest

import asgi_jwt_claims
from tests.support import for_each

EXTRAS = ("cli", "compat", "django", "fastapi", "litestar", "mcp", "sanic", "stores.coredis", "stores.redis", "testing")
CORE = [
    module.name.removeprefix("asgi_jwt_claims.")
    for module in pkgutil.walk_packages(asgi_jwt_claims.__path__, "asgi_jwt_claims.", onerror=print)
    if not module.name.removeprefix("asgi_jwt_claims.").startswith(EXTRAS) and not module.name.endswith("__main__")
]
"""The modules that nothing has to be installed for beside what the package requires."""

NAMES = {
    *(
        "ErrorResponse",
        "AuthEvent",
        "IssuerTemplate",
        "BearerHeader",
        "ConfigurationError",
        "Cookie",
        "JWTConfig",
        "JWTError",
        "JWTMiddleware",
    ),
    *("Key", "KeySet", "Token", "TokenCookies", "TokenError", "TokenPair", "WebSocketProtocol"),
    *("adopt_token", "current_token", "error_response_for", "get_token", "renew_token", "require", "verify_token"),
    "verify_token_async",
    *("create_access_token", "create_refresh_token", "create_token_pair", "set_token_cookies", "unset_token_cookies"),
}


def run(program: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, capture_output=True, text=True)
    assert "" == done.stderr
    return done.stdout.strip()


def test_the_public_names_are_these() -> None:
    """A name comes and goes only on purpose."""
    assert NAMES == set(asgi_jwt_claims.__all__)


def test_all_is_what_is_exported() -> None:
    """`__all__` names every public object of the package that is no module, and nothing that is not there."""
    modules = {name for name, value in vars(asgi_jwt_claims).items() if type(value) is type(sys)}
    exported = {name for name in vars(asgi_jwt_claims) if not name.startswith("_")} - modules - {"annotations"}
    assert set(asgi_jwt_claims.__all__) == exported
    assert sorted(asgi_jwt_claims.__all__, key=order) == asgi_jwt_claims.__all__


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@for_each("name", CORE)
def test_every_module_says_what_it_offers(name: str) -> None:
    """Every module's `__all__` is sorted, without repetition, and names what is there."""
    module = importlib.import_module(f"asgi_jwt_claims.{name}")
    offered = getattr(module, "__all__", [])  # a folder whose modules are all private to the library offers nothing
    assert sorted(set(offered), key=order) == sorted(offered, key=order)
    assert [] == [name for name in offered if not hasattr(module, name)]
    assert module.__doc__


@for_each("name", sorted(NAMES))
def test_every_public_object_is_documented(name: str) -> None:
    """Every class and function has a docstring."""
    assert getattr(asgi_jwt_claims, name).__doc__


@pytest.mark.thorough
def test_the_package_imports_no_framework_and_no_client() -> None:
    """Importing the package imports neither a framework nor a client, nor what python-jose could do without."""
    unwanted = "anyio fastapi sanic starlette ecdsa rsa pyasn1 httpx httpx2 click uvicorn requests pydantic"
    program = f"import asgi_jwt_claims, sys; print([name for name in '{unwanted}'.split() if name in sys.modules])"
    assert "[]" == run(program)


@pytest.mark.thorough
def test_keys_work_without_the_pure_python_backends() -> None:
    """Making, signing and verifying with every kind of key imports no `ecdsa`, `rsa` or `pyasn1`."""
    program = """
import sys
from asgi_jwt_claims import JWTConfig, Key, create_access_token, verify_token
for algorithm in ("HS256", "RS256", "ES256", "ES512"):
    config = JWTConfig(signing_key=Key.generate(algorithm))
    verify_token(create_access_token("alice", config), config)
print([name for name in ("ecdsa", "rsa", "pyasn1") if name in sys.modules])
"""
    assert "[]" == run(program)


@pytest.mark.thorough
def test_the_core_needs_no_event_loop() -> None:
    """Minting and verifying import neither asyncio's nor trio's event loop."""
    program = (
        "import sys, asgi_jwt_claims.tokens;"
        "print([name for name in ('trio', 'sniffio', 'fastapi', 'sanic', 'starlette') if name in sys.modules])"
    )
    assert "[]" == run(program)


@pytest.mark.thorough
def test_importing_warns_of_nothing() -> None:
    """With warnings as errors the package imports, and prints nothing."""
    assert "" == run("import asgi_jwt_claims")


@pytest.mark.thorough
def test_importing_leaves_the_registry_of_python_jose_alone() -> None:
    """Another user of python-jose in the process keeps the keys it registered."""
    program = """
import jose.jwk, jose.constants
before = dict(jose.constants.ALGORITHMS.KEYS)
import asgi_jwt_claims
asgi_jwt_claims.Key.generate("ES256")
print(before == jose.constants.ALGORITHMS.KEYS)
"""
    assert "True" == run(program)


def test_the_version_is_the_one_installed() -> None:
    """`__version__` is that of the distribution."""
    assert importlib.metadata.version("asgi-jwt-claims") == asgi_jwt_claims.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", asgi_jwt_claims.__version__)


# S155
@pytest.mark.parametrize("floor", ["starlette>=1.0.1", "python-jose[cryptography]>=3.5"])
def test_dependencies_have_floors(floor: str) -> None:
    """Versions known to be unsafe cannot be installed beside this package."""
    assert floor in (importlib.metadata.requires("asgi-jwt-claims") or [])


def test_types_are_shipped() -> None:
    """The marker of PEP 561 stands in the package."""
    assert importlib.resources.files("asgi_jwt_claims").joinpath("py.typed").is_file()
