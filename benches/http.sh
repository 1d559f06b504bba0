#!/usr/bin/env bash
# Requests per second, latency and memory of the release server, over HTTP with wrk on the same machine, on SQLite and then on
# PostgreSQL: read, write and AppRole login at 1, 32 and 256 connections. Prints a table.
#
#   benches/http.sh [SECONDS]     length of each run, 10 by default
#
# Needs wrk, jq, curl, and PostgreSQL's programs (Debian: apt-get install wrk jq curl postgresql). Starts its own servers on
# free ports in a temporary folder, talks to 127.0.0.1 only, and ends by itself.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10}
for tool in wrk jq curl; do
  command -v "$tool" >/dev/null || { echo "benches/http.sh: $tool is missing" >&2; exit 1; }
done
pg_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$pg_bin" ] || { echo "benches/http.sh: PostgreSQL is missing" >&2; exit 1; }

cargo build --release --quiet
binary=${CARGO_TARGET_DIR:-target}/release/secrethub
work=$(mktemp -d)
chmod 755 "$work"
server=
as_postgres() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
finish() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" 2>/dev/null; } || true
  [ ! -d "$work/pg" ] || as_postgres "$pg_bin/pg_ctl" -D "$work/pg" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
export SECRETHUB_TOKEN=bench-root-token-0123456789

graphql() { # QUERY VARIABLES
  jq -cn --arg q "$1" --argjson v "$2" '{query: $q, variables: $v}' |
    curl -sf "http://$address/graphql" -H "Authorization: Bearer $SECRETHUB_TOKEN" -H 'Content-Type: application/json' -d @-
}

# wrk's script: one POST with this body, as this caller
script() { # FILE TOKEN BODY
  jq -rn --arg token "$2" --arg body "$3" '
    "wrk.method = \"POST\"",
    "wrk.body = " + ($body | tojson),
    "wrk.headers[\"Content-Type\"] = \"application/json\"",
    (if $token == "" then empty else "wrk.headers[\"Authorization\"] = \"Bearer " + $token + "\"" end),
    "local bad = 0",
    "function response(status, headers, body) if status ~= 200 or body:find(\"\\\"errors\\\"\") then bad = bad + 1 end end",
    "local threads = {}",
    "function setup(thread) table.insert(threads, thread) end",
    "function done(summary, latency, requests)",
    "  local failed = 0",
    "  for _, t in ipairs(threads) do failed = failed + t:get(\"bad\") end",
    "  io.write(string.format(\"RESULT %.0f %.2f %.2f %d\\n\", summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed))",
    "end"' | sed 's/^local bad/bad/' >"$1"
}

resident() { awk '/^VmRSS/ {printf "%.0f", $2 / 1024}' "/proc/$server/status"; }

measure() { # STORE NAME SCRIPT
  for connections in 1 32 256; do
    read -r _ rate p50 p99 failed < <(wrk -t1 -c"$connections" -d"${seconds}s" -s "$3" "http://$address/graphql" | grep '^RESULT')
    printf '| %s | %s | %s | %s | %s | %s | %s | %s |\n' "$1" "$2" "$connections" "$rate" "$p50" "$p99" "$(resident)" "$failed"
  done
}

run() { # STORE URL
  local port role_id secret_id
  port=$(free_port)
  address=127.0.0.1:$port
  "$binary" dev --listen "$address" --root-token "$SECRETHUB_TOKEN" ${2:+--store "$2"} >"$work/$1.out" 2>"$work/$1.err" &
  server=$!
  for _ in $(seq 100); do curl -sf "http://$address/v1/sys/health" >/dev/null && break; sleep 0.05; done
  local idle
  idle=$(resident)
  graphql 'mutation($i: PutSecretInput!) { putSecret(input: $i) { secret { version } } }' '{"i":{"path":"bench.read","data":{"value":"0123456789abcdef0123456789abcdef"}}}' >/dev/null
  graphql 'mutation($i: PolicyInput!) { createPolicy(input: $i) { policy { name } } }' '{"i":{"name":"bench","document":{"version":1,"allowed_secrets":["bench.*"],"allowed_operations":["read","list","write"]}}}' >/dev/null
  role_id=$(graphql 'mutation($i: RoleInput!) { createRole(input: $i) { role { roleId } } }' '{"i":{"name":"bench","tokenPolicies":["bench"]}}' | jq -r .data.createRole.role.roleId)
  secret_id=$(graphql 'mutation($i: GenerateSecretIdInput!) { generateSecretId(input: $i) { secretId } }' '{"i":{"roleName":"bench"}}' | jq -r .data.generateSecretId.secretId)
  local login token
  login=$(jq -cn --arg r "$role_id" --arg s "$secret_id" '{query: "mutation($i: LoginWithAppRoleInput!) { loginWithAppRole(input: $i) { token } }", variables: {i: {roleId: $r, secretId: $s}}}')
  token=$(curl -sf "http://$address/graphql" -H 'Content-Type: application/json' -d "$login" | jq -r .data.loginWithAppRole.token)
  script "$work/read.lua" "$token" '{"query":"{ secret(path: \"bench.read\") { version data } }"}'
  script "$work/write.lua" "$token" '{"query":"mutation { putSecret(input: {path: \"bench.write\", data: {value: \"0123456789abcdef\"}}) { secret { version } } }"}'
  script "$work/login.lua" "" "$login"
  measure "$1" read "$work/read.lua"
  measure "$1" write "$work/write.lua"
  measure "$1" login "$work/login.lua"
  printf '| %s | idle | | | | | %s | |\n' "$1" "$idle"
  kill "$server" && wait "$server" || true
  server=
}

echo "$(date -u +%F), $(nproc) cores, wrk on the same machine, ${seconds} s a run"
echo
echo '| store | work | connections | requests/s | p50 ms | p99 ms | resident MiB | failed |'
echo '|---|---|---|---|---|---|---|---|'
run sqlite ''
mkdir "$work/pg"
[ "$(id -u)" != 0 ] || chown postgres "$work/pg"
pg_port=$(free_port)
as_postgres "$pg_bin/initdb" -D "$work/pg" -U bench -A trust >/dev/null
as_postgres "$pg_bin/pg_ctl" -D "$work/pg" -w -l "$work/pg/log" -o "-p $pg_port -c listen_addresses=127.0.0.1 -k $work/pg" start >/dev/null
run postgresql "postgres://bench@127.0.0.1:$pg_port/postgres"
