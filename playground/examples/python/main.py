"""Logs in as a role, reads a secret, goes through a list page by page, takes a refusal for what it is, and follows changes.

    SECRETHUB_ADDR=http://127.0.0.1:8200 SECRETHUB_ROLE_ID=... SECRETHUB_SECRET_ID=... python main.py PATH PREFIX [CHANGES]

Prints what it found as JSON; of the secret only the names of its keys. Then as many changes as it was told to wait for, a
line each.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import aclosing

from secrethub import SecretHub, SecretHubError


async def try_to_write(hub: SecretHub, path: str, version: int) -> str:
    """Writes, unless the token may not: then says by which code that was refused."""
    try:
        await hub.write(path, {"changed": True}, expected_version=version)
    except SecretHubError as refusal:
        if refusal.code in ("FORBIDDEN", "CONFLICT"):
            return refusal.code
        raise
    return "written"


async def print_changes(hub: SecretHub, prefix: str, after: str, wanted: int) -> None:
    if wanted == 0:
        return
    seen = 0
    async with aclosing(hub.changes(prefix, after)) as changes:
        async for change in changes:
            print(json.dumps({"path": change.path, "kind": change.kind, "version": change.version}), flush=True)
            seen += 1
            if seen == wanted:
                return


async def main(path: str, prefix: str, wanted: int) -> None:
    address = os.environ.get("SECRETHUB_ADDR", "http://127.0.0.1:8200")
    async with SecretHub(address) as stranger:
        login = await stranger.log_in(os.environ["SECRETHUB_ROLE_ID"], os.environ["SECRETHUB_SECRET_ID"])
    async with SecretHub(address, login.token) as hub:
        # before anything is read, so that nothing is missed between reading and following
        start = await hub.checkpoint()
        secret = await hub.read(path)
        if secret is None:
            sys.exit(f"there is no secret at {path}, or this role may not know of it")
        paths = [entry.path async for entry in hub.list(prefix, page=2)]
        write = await try_to_write(hub, path, secret.version)
        found = {
            "policies": login.policies,
            "keys": list(secret.data or {}),
            "version": secret.version,
            "paths": paths,
            "write": write,
        }
        print(json.dumps(found), flush=True)
        await print_changes(hub, prefix, start, wanted)
        await hub.log_out()


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) == 4 else 0))
