#!/usr/bin/env bash
# Requests per second, latency and memory of the release server, over HTTP with wrk on the same machine, on SQLite and then on
# PostgreSQL: read, write and AppRole login at 1, 32 and 256 connections. Prints a table.
#
#   benches/http.sh [SECONDS]     length of each run, 10 by default
#
# Needs wrk, jq, curl, and PostgreSQL's programs (Debian: apt-get install wrk jq curl postgresql). Starts its own servers on
# free ports in a temporary folder, talks to 127.0.0.1 only, and ends by itself.
. "$(dirname "$0")/common.sh"
seconds=${1:-10}
need wrk jq curl
cargo build --release --quiet
binary=${CARGO_TARGET_DIR:-target}/release/secrethub

measure() { # STORE NAME SCRIPT
  for connections in 1 32 256; do
    read -r rate p50 p99 failed < <(wrk_run "$connections" "$seconds" "$3" "http://$address/graphql")
    printf '| %s | %s | %s | %s | %s | %s | %s | %s |\n' "$1" "$2" "$connections" "$rate" "$p50" "$p99" "$(resident "$server")" "$failed"
  done
}

run() { # STORE URL
  local role_id secret_id idle login token
  start_secrethub "$1" "$2"
  idle=$(resident "$server")
  graphql 'mutation($i: PutSecretInput!) { putSecret(input: $i) { secret { version } } }' '{"i":{"path":"bench.read","data":{"value":"0123456789abcdef0123456789abcdef"}}}' >/dev/null
  graphql 'mutation($i: PolicyInput!) { createPolicy(input: $i) { policy { name } } }' '{"i":{"name":"bench","document":{"version":1,"allowed_secrets":["bench.*"],"allowed_operations":["read","list","write"]}}}' >/dev/null
  role_id=$(graphql 'mutation($i: RoleInput!) { createRole(input: $i) { role { roleId } } }' '{"i":{"name":"bench","tokenPolicies":["bench"]}}' | jq -r .data.createRole.role.roleId)
  secret_id=$(graphql 'mutation($i: GenerateSecretIdInput!) { generateSecretId(input: $i) { secretId } }' '{"i":{"roleName":"bench"}}' | jq -r .data.generateSecretId.secretId)
  login=$(jq -cn --arg r "$role_id" --arg s "$secret_id" '{query: "mutation($i: LoginWithAppRoleInput!) { loginWithAppRole(input: $i) { token } }", variables: {i: {roleId: $r, secretId: $s}}}')
  token=$(curl -sf "http://$address/graphql" -H 'Content-Type: application/json' -d "$login" | jq -r .data.loginWithAppRole.token)
  echo '{"query":"{ secret(path: \"bench.read\") { version data } }"}' >"$work/read.json"
  echo '{"query":"mutation { putSecret(input: {path: \"bench.write\", data: {value: \"0123456789abcdef\"}}) { secret { version } } }"}' >"$work/write.json"
  echo "$login" >"$work/login.json"
  wrk_script "$work/read.lua" POST "$work/read.json" 'Content-Type: application/json' "Authorization: Bearer $token"
  wrk_script "$work/write.lua" POST "$work/write.json" 'Content-Type: application/json' "Authorization: Bearer $token"
  wrk_script "$work/login.lua" POST "$work/login.json" 'Content-Type: application/json'
  measure "$1" read "$work/read.lua"
  measure "$1" write "$work/write.lua"
  measure "$1" login "$work/login.lua"
  printf '| %s | idle | | | | | %s | |\n' "$1" "$idle"
  stop "$server"
}

echo "$(date -u +%F), $(nproc) cores, wrk on the same machine, ${seconds} s a run"
echo
echo '| store | work | connections | requests/s | p50 ms | p99 ms | resident MiB | failed |'
echo '|---|---|---|---|---|---|---|---|'
run sqlite ''
start_postgres store
run postgresql "postgres://bench:$PGPASSWORD@127.0.0.1:$pg_port/postgres"
