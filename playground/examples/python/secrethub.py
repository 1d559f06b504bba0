"""A small client of SecretHub: one request, its answer as a dataclass, or an error with its code."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from gql import Client, gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport

LOG_IN = gql("""
    mutation LogIn($roleId: ID!, $secretId: String!) {
      loginWithAppRole(input: { roleId: $roleId, secretId: $secretId }) { token expiresAt policies }
    }
""")

READ_SECRET = gql("""
    query ReadSecret($path: SecretPath!) { secret(path: $path) { version data } }
""")

LIST_SECRETS = gql("""
    query ListSecrets($prefix: SecretPath!, $first: Int!, $after: String) {
      secrets(prefix: $prefix, first: $first, after: $after) {
        nodes { path version updatedAt }
        pageInfo { hasNextPage endCursor }
      }
    }
""")

WRITE_SECRET = gql("""
    mutation WriteSecret($path: SecretPath!, $data: JSON!, $expectedVersion: Int!) {
      putSecret(input: { path: $path, data: $data, expectedVersion: $expectedVersion }) { secret { version } }
    }
""")

LOG_OUT = gql("mutation LogOut { revokeToken(input: {}) { revoked } }")


class SecretHubError(Exception):
    """What the server refused. Programs decide by `code`; the message is for people."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("message", "no message"))
        extensions = error.get("extensions") or {}
        self.code: str = extensions.get("code", "INTERNAL")
        self.field: str | None = extensions.get("field")
        # finds the request in the server's log
        self.request_id: str | None = extensions.get("requestId")


@dataclass(frozen=True)
class Login:
    token: str
    expires_at: str | None
    policies: list[str]


@dataclass(frozen=True, repr=False)
class Secret:
    """Without a representation: its data must not end up in a log."""

    version: int
    data: dict[str, Any] | None


@dataclass(frozen=True)
class Listed:
    path: str
    version: int
    updated_at: str


class SecretHub:
    """A session; ends with `async with`."""

    def __init__(self, address: str, token: str | None = None) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        transport = HTTPXAsyncTransport(url=f"{address}/graphql", headers=headers, timeout=30)
        self._client = Client(transport=transport, fetch_schema_from_transport=False)

    async def __aenter__(self) -> SecretHub:
        self._session = await self._client.connect_async()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close_async()

    async def _run(self, document: Any, **variables: Any) -> dict[str, Any]:
        document.variable_values = variables
        try:
            return await self._session.execute(document)
        except TransportQueryError as failure:
            raise SecretHubError((failure.errors or [{}])[0]) from None

    async def log_in(self, role_id: str, secret_id: str) -> Login:
        made = (await self._run(LOG_IN, roleId=role_id, secretId=secret_id))["loginWithAppRole"]
        return Login(token=made["token"], expires_at=made["expiresAt"], policies=made["policies"])

    async def read(self, path: str) -> Secret | None:
        """The secret; None if there is none, or the caller may not know of it."""
        found = (await self._run(READ_SECRET, path=path))["secret"]
        return None if found is None else Secret(version=found["version"], data=found["data"])

    async def list(self, prefix: str, page: int = 50) -> AsyncIterator[Listed]:
        """Everything below a path, fetched page by page."""
        after = None
        while True:
            found = (await self._run(LIST_SECRETS, prefix=prefix, first=page, after=after))["secrets"]
            for node in found["nodes"]:
                yield Listed(path=node["path"], version=node["version"], updated_at=node["updatedAt"])
            if not found["pageInfo"]["hasNextPage"]:
                return
            after = found["pageInfo"]["endCursor"]

    async def write(self, path: str, data: dict[str, Any], expected_version: int) -> int:
        made = await self._run(WRITE_SECRET, path=path, data=data, expectedVersion=expected_version)
        return made["putSecret"]["secret"]["version"]

    async def log_out(self) -> None:
        await self._run(LOG_OUT)
