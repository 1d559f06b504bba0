// Logs in as a role, reads a secret, goes through a list page by page, takes a refusal for what it is, and follows changes.
//
//   SECRETHUB_ADDR=http://127.0.0.1:8200 SECRETHUB_ROLE_ID=... SECRETHUB_SECRET_ID=... node dist/main.js PATH PREFIX [CHANGES]
//
// Prints what it found as JSON; of the secret only the names of its keys. Then as many changes as it was told to wait for, a
// line each.

import { SecretHub, SecretHubError } from './client.js'
import { graphql } from './gql/index.js'

const LogIn = graphql(`
  mutation LogIn($roleId: ID!, $secretId: String!) {
    loginWithAppRole(input: { roleId: $roleId, secretId: $secretId }) {
      token
      expiresAt
      policies
    }
  }
`)

const ReadSecret = graphql(`
  query ReadSecret($path: SecretPath!) {
    secret(path: $path) {
      version
      data
    }
  }
`)

const ListSecrets = graphql(`
  query ListSecrets($prefix: SecretPath!, $first: Int!, $after: String) {
    secrets(prefix: $prefix, first: $first, after: $after) {
      nodes {
        path
        version
        updatedAt
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`)

const WriteSecret = graphql(`
  mutation WriteSecret($path: SecretPath!, $data: JSON!, $expectedVersion: Int!) {
    putSecret(input: { path: $path, data: $data, expectedVersion: $expectedVersion }) {
      secret {
        version
      }
    }
  }
`)

const Checkpoint = graphql(`
  query Checkpoint {
    auditCheckpoint {
      cursor
    }
  }
`)

const SecretChanges = graphql(`
  subscription SecretChanges($prefix: SecretPath!, $after: String) {
    secretChanged(prefix: $prefix, after: $after) {
      cursor
      path
      kind
      version
    }
  }
`)

const LogOut = graphql(`
  mutation LogOut {
    revokeToken(input: {}) {
      revoked
    }
  }
`)

function needed(name: string, value: string | undefined): string {
  if (!value) throw new Error(`${name} is missing`)
  return value
}

async function* listed(hub: SecretHub, prefix: string) {
  let after: string | null = null
  for (;;) {
    const page: Awaited<ReturnType<typeof onePage>> = await onePage(hub, prefix, after)
    yield* page.nodes
    if (!page.pageInfo.hasNextPage) return
    after = page.pageInfo.endCursor ?? null
  }
}

async function onePage(hub: SecretHub, prefix: string, after: string | null) {
  const { secrets } = await hub.execute(ListSecrets, { prefix, first: 2, after })
  return secrets
}

/** Writes, unless the token may not: then says by which code that was refused. */
async function tryToWrite(hub: SecretHub, path: string, version: number): Promise<string> {
  try {
    await hub.execute(WriteSecret, { path, data: { changed: true }, expectedVersion: version })
    return 'written'
  } catch (error) {
    if (error instanceof SecretHubError && (error.code === 'FORBIDDEN' || error.code === 'CONFLICT')) return error.code
    throw error
  }
}

async function printChanges(hub: SecretHub, prefix: string, after: string, wanted: number): Promise<void> {
  let seen = 0
  if (seen === wanted) return
  for await (const { secretChanged } of hub.follow(SecretChanges, { prefix, after }, (event) => event.secretChanged.cursor)) {
    const { path, kind, version } = secretChanged
    console.log(JSON.stringify({ path, kind, version }))
    seen += 1
    if (seen === wanted) return
  }
}

async function main(): Promise<void> {
  const [path, prefix] = [needed('PATH', process.argv[2]), needed('PREFIX', process.argv[3])]
  const hub = new SecretHub(process.env['SECRETHUB_ADDR'] ?? 'http://127.0.0.1:8200')
  const { loginWithAppRole: login } = await hub.execute(LogIn, {
    roleId: needed('SECRETHUB_ROLE_ID', process.env['SECRETHUB_ROLE_ID']),
    secretId: needed('SECRETHUB_SECRET_ID', process.env['SECRETHUB_SECRET_ID']),
  })
  hub.use(needed('the token', login.token ?? undefined))

  // before anything is read, so that nothing is missed between reading and following
  const { auditCheckpoint: start } = await hub.execute(Checkpoint, {})
  const { secret } = await hub.execute(ReadSecret, { path })
  if (!secret) throw new Error(`there is no secret at ${path}, or this role may not know of it`)
  const paths: string[] = []
  for await (const entry of listed(hub, prefix)) paths.push(entry.path)
  const write = await tryToWrite(hub, path, secret.version)
  console.log(JSON.stringify({ policies: login.policies, keys: Object.keys(secret.data ?? {}), version: secret.version, paths, write }))
  await printChanges(hub, prefix, start.cursor, Number(process.argv[4] ?? 0))
  await hub.execute(LogOut, {})
}

await main()
