#!/usr/bin/env bash
# Resident memory under load for a long time: reads and writes of 5,000 secrets of 1 KiB, logins, certificates, lists and a socket that
# follows the audit log, in turns of ten seconds each. Prints a line every minute: requests so far, failed ones, resident MiB.
#
#   benches/soak.sh [MINUTES] [STORE]     an hour by default; STORE is sqlite (default) or postgresql
#
# Needs wrk, jq, curl, python3, Node (for the socket), and PostgreSQL's programs.
. "$(dirname "$0")/common.sh"
minutes=${1:-60}
store=${2:-sqlite}
need wrk jq curl python3 node
cargo build --release --quiet --workspace
binary=$(realpath -m "${CARGO_TARGET_DIR:-target}")/release/secrethub
[ -d tests/node/node_modules ] || npm ci --silent --prefix tests/node

if [ "$store" = postgresql ]; then
  start_postgres store
  start_secrethub soak "postgres://bench:$PGPASSWORD@127.0.0.1:$pg_port/postgres"
else
  start_secrethub soak ''
fi
json='Content-Type: application/json'
graphql 'mutation { createRootCa(input: {commonName: "Soak", makeDefault: true}) { certificate { serialNumber } } }' '{}' >/dev/null
role_id=$(graphql 'mutation { createRole(input: {name: "soak"}) { role { roleId } } }' '{}' | jq -r .data.createRole.role.roleId)
secret_id=$(graphql 'mutation { generateSecretId(input: {roleName: "soak"}) { secretId } }' '{}' | jq -r .data.generateSecretId.secretId)

# One script for each kind of request; `%d` becomes a number by chance.
script() { # NAME BODY
  wrk_script "$work/$1.lua" POST '' "$json" "Authorization: Bearer $SECRETHUB_TOKEN"
  printf 'local body = %s\nfunction request() return wrk.format(nil, nil, nil, (body:gsub("%%%%d", function() return math.random(1, 5000) end))) end\n' \
    "$(jq -Rn --arg b "$2" '$b')" >>"$work/$1.lua"
}
value=$(printf 'x%.0s' $(seq 1000))
script write '{"query":"mutation { putSecret(input: {path: \"soak.s%d\", data: {value: \"'"$value"'\"}}) { secret { version } } }"}'
script read '{"query":"{ secret(path: \"soak.s%d\") { version data } }"}'
script login '{"query":"mutation { loginWithAppRole(input: {roleId: \"'"$role_id"'\", secretId: \"'"$secret_id"'\"}) { token } }"}'
script certificate '{"query":"mutation { issueCertificate(input: {certType: SERVER, commonName: \"a%d.example\", ttlSeconds: 3600}) { certificate { serialNumber } privateKeyPem } }"}'
script list '{"query":"{ secrets(first: 50) { nodes { path version } } auditEvents(first: 20) { nodes { eventType } } }"}'

# a client that follows everything, all the time
(cd tests/node && exec node --input-type=module -e '
  import { createClient } from "graphql-ws";
  import WebSocket from "ws";
  const client = createClient({ url: process.argv[1], webSocketImpl: WebSocket, connectionParams: { Authorization: `Bearer ${process.argv[2]}` } });
  for await (const _ of client.iterate({ query: "subscription { auditEventAdded { cursor } }" })) {}
' "ws://$address/graphql" "$SECRETHUB_TOKEN") >/dev/null 2>"$work/socket.err" &
servers+=("$!")
follower=$!

printf '%-8s %12s %8s %10s\n' minute requests failed 'MiB (RSS)'
printf '%-8s %12s %8s %10s\n' 0 0 0 "$(resident "$server")"
requests=0 failed=0
follows() { kill -0 "$follower" 2>/dev/null || { echo "$bench: the socket ended: $(cat "$work/socket.err")" >&2; exit 1; }; }
for minute in $(seq "$minutes"); do
  for kind in write read login certificate list read; do
    result=$(wrk_run 16 10 "$work/$kind.lua" "http://$address/graphql")
    requests=$((requests + $(awk '{printf "%d", $1 * 10}' <<<"$result")))
    failed=$((failed + $(awk '{print $4}' <<<"$result")))
  done
  follows
  printf '%-8s %12s %8s %10s\n' "$minute" "$requests" "$failed" "$(resident "$server")"
done
