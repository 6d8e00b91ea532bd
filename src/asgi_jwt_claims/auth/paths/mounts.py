"""Find the endpoint of this library that answers a request in front of the guard of a middleware."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.oauth import ProtectedResource
from asgi_jwt_claims.oauth._metadata import MetadataDocument
from asgi_jwt_claims.runtime.endpoint import Endpoint
from asgi_jwt_claims.runtime.values import plain

from .exempt import without_root

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import Receive, Scope, Send
    from asgi_jwt_claims.config import JWTConfig

__all__ = ["Mounts"]

_SHOWN = '{"/auth": TokenEndpoints(config, store), "/.well-known/jwks.json": JWKSEndpoint(ring)}'


class Mounts:
    """The endpoints of a middleware, by path: what the options `endpoints` and `protected_resource` name.

    An endpoint gets the paths that it answers, compared without the `root_path` of server or mount. Everything else goes
    on to the guard.

    Args:
        endpoints: The option `endpoints`.
        resource: The option `protected_resource`.
        configs: The configurations of the middleware.

    Raises:
        SettingError: A configuration does not accept tokens for the resource; or a path cannot be used, or has
            something else than an endpoint of this library.
    """

    def __init__(
        self, endpoints: Mapping[str, Endpoint], resource: ProtectedResource | None, configs: Iterable[JWTConfig]
    ) -> None:
        if not isinstance(endpoints, Mapping):
            raise SettingError(f"endpoints must be a mapping of paths to endpoints: endpoints={_SHOWN}")
        if resource is not None:
            _check_resource(resource, configs)
        mounts: dict[str, Endpoint] = {}
        for path, endpoint in [*endpoints.items(), *([] if resource is None else [(resource.path, resource)])]:
            mount = _checked(path, endpoint)
            if mount in mounts:
                raise SettingError(f"endpoints: {mount!r} is the path of protected_resource; leave it out")
            mounts[mount] = endpoint
        # Of two that answer, the one at the longer path.
        self._mounts = tuple(sorted(mounts.items(), key=lambda one: -len(one[0])))

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Let an endpoint answer a request, and return True; or False, if the guard decides."""
        found = self.find(scope)
        if found is None:
            return False
        endpoint, below = found
        await endpoint(below, receive, send)
        return True

    def find(self, scope: Scope) -> tuple[Endpoint, Scope] | None:
        """Return the endpoint that answers an http request, and the scope that it sees; None if the guard decides."""
        if scope["type"] != "http":
            return None
        path, root = scope["path"], scope.get("root_path") or ""
        route = without_root(path, root) if root else path
        for mount, endpoint in self._mounts:
            if route.startswith(mount) and endpoint.answers(route[len(mount) :]):
                below = root.removesuffix("/") + mount
                return endpoint, {**scope, "root_path": below, "path": below + route[len(mount) :]}
        return None


def _checked(path: Any, endpoint: object) -> str:
    """Return the path at which an endpoint is mounted, without a slash at its end."""
    if not isinstance(endpoint, Endpoint):
        raise SettingError(
            f"endpoints mounts endpoints of this library, {_SHOWN}, and not {type(endpoint).__name__}, which nothing "
            "would guard; mount it in the application, with its path in exempt"
        )
    mount, only = plain(path), endpoint.path if isinstance(endpoint, MetadataDocument) else None
    if not isinstance(mount, str) or not mount.startswith("/") or (mount.endswith("/") and only != mount):
        raise SettingError(f'endpoints: {path!r} is not a path such as "/auth", without a slash at its end')
    if only not in (None, mount):
        raise SettingError(f"endpoints: {type(endpoint).__name__} answers at {only!r} only, not at {mount!r}")
    return mount.removesuffix("/")


def _check_resource(resource: object, configs: Iterable[JWTConfig]) -> None:
    """Check that all configurations accept tokens for the resource, the name that clients ask for them by (RFC 8707)."""
    if not isinstance(resource, ProtectedResource):
        raise SettingError(
            f"protected_resource must be a ProtectedResource(resource=..., ...), not {type(resource).__name__}"
        )
    for config in configs:
        if resource.resource not in config._prepared.audiences:
            raise SettingError(
                f"protected_resource is {resource.resource!r}, but the audience of the configuration is "
                f"{config.audience!r}, so that tokens for the resource would be refused; use "
                f"JWTConfig(audience={resource.resource!r}), or name it as one of several"
            )
