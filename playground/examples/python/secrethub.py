"""A small client of SecretHub: one request, its answer as a dataclass, or an error with its code; and changes, followed
for as long as one likes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from gql import Client, gql
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport
from websockets.exceptions import ConnectionClosed

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

CHECKPOINT = gql("query Checkpoint { auditCheckpoint { cursor } }")

SECRET_CHANGES = gql("""
    subscription SecretChanges($prefix: SecretPath!, $after: String) {
      secretChanged(prefix: $prefix, after: $after) { cursor path kind version }
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


@dataclass(frozen=True)
class Change:
    cursor: str
    path: str
    kind: str
    version: int | None


# What a subscription fails by for some time only.
PASSING = ("SEALED", "UNAVAILABLE", "RATE_LIMITED")
# The server closes a socket with this when the token is not, or no longer, good.
FORBIDDEN = 4403
LONGEST_WAIT_SECONDS = 30


class SecretHub:
    """A session; ends with `async with`."""

    def __init__(self, address: str, token: str | None = None) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._url = f"{address.rstrip('/')}/graphql"
        self._headers = headers
        transport = HTTPXAsyncTransport(url=self._url, headers=headers, timeout=30)
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
            raise _refusal(failure) from None

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

    async def checkpoint(self) -> str:
        """Where the log ends by now: what comes after it can be followed."""
        return (await self._run(CHECKPOINT))["auditCheckpoint"]["cursor"]

    async def changes(self, prefix: str, after: str) -> AsyncIterator[Change]:
        """Follows what happens below a path from behind a cursor. A broken connection, a server that starts again and one
        that is sealed are waited for; then it goes on after the last change that came, so none is missed and none comes
        twice."""
        failures = 0
        while True:
            try:
                async with self._socket() as session:
                    SECRET_CHANGES.variable_values = {"prefix": prefix, "after": after}
                    async for event in session.subscribe(SECRET_CHANGES):
                        change = Change(**event["secretChanged"])
                        after = change.cursor
                        failures = 0
                        yield change
            except TransportQueryError as failure:
                refusal = _refusal(failure)
                if refusal.code not in PASSING:
                    raise refusal from None
            except (TransportError, OSError, asyncio.TimeoutError) as failure:
                if _closed_with(failure) == FORBIDDEN:
                    raise SecretHubError(
                        {"message": "the token is no longer good", "extensions": {"code": "UNAUTHENTICATED"}}
                    ) from None
            wait = min(0.5 * 2 ** min(failures, 10), LONGEST_WAIT_SECONDS)
            failures += 1
            await asyncio.sleep(wait * random.uniform(0.5, 1))

    def _socket(self) -> Client:
        transport = WebsocketsTransport(
            url=self._url.replace("http", "ws", 1),
            init_payload=self._headers,
            subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
        )
        return Client(transport=transport, fetch_schema_from_transport=False)

    async def log_out(self) -> None:
        await self._run(LOG_OUT)


def _refusal(failure: TransportQueryError) -> SecretHubError:
    return SecretHubError((failure.errors or [{}])[0])


def _closed_with(failure: BaseException) -> int | None:
    """The code that the server closed a socket with."""
    cause = failure.__cause__
    if isinstance(cause, ConnectionClosed) and cause.rcvd is not None:
        return cause.rcvd.code
    return None
