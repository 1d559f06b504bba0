#!/usr/bin/env bash
# Certificates per second over HTTP with wrk on the same machine, on SQLite and then on PostgreSQL: issue with a P-256 key made by the
# server, sign a P-256 CSR, and OCSP answers (with and without a nonce), at 1, 16 and 64 connections. Prints a table.
#
#   benches/pki.sh [SECONDS]     length of each run, 10 by default
#
# Needs wrk, jq, curl, openssl, and PostgreSQL's programs (Debian: apt-get install wrk jq curl openssl postgresql). Starts its own servers
# on free ports in a temporary folder, talks to 127.0.0.1 only, and ends by itself.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10}
for tool in wrk jq curl openssl; do
  command -v "$tool" >/dev/null || { echo "benches/pki.sh: $tool is missing" >&2; exit 1; }
done
pg_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$pg_bin" ] || { echo "benches/pki.sh: PostgreSQL is missing" >&2; exit 1; }

cargo build --release --quiet -p secrethub
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

# wrk's script: one POST with the body of a file; a failure is a status other than 200 or an answer with errors
script() { # FILE CONTENT-TYPE BODY-FILE
  cat >"$1" <<LUA
wrk.method = "POST"
local file = io.open("$3", "rb")
wrk.body = file:read("*a")
file:close()
wrk.headers["Content-Type"] = "$2"
wrk.headers["Authorization"] = "Bearer $SECRETHUB_TOKEN"
bad = 0
function response(status, headers, body) if status ~= 200 or body:find('"errors"') then bad = bad + 1 end end
local threads = {}
function setup(thread) table.insert(threads, thread) end
function done(summary, latency, requests)
  local failed = 0
  for _, t in ipairs(threads) do failed = failed + t:get("bad") end
  io.write(string.format("RESULT %.0f %.2f %.2f %d\n", summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed))
end
LUA
}

measure() { # STORE NAME SCRIPT PATH
  for connections in 1 16 64; do
    read -r _ rate p50 p99 failed < <(wrk -t1 -c"$connections" -d"${seconds}s" -s "$3" "http://$address$4" | grep '^RESULT')
    printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$1" "$2" "$connections" "$rate" "$p50" "$p99" "$failed"
  done
}

run() { # STORE URL
  local serial
  address=127.0.0.1:$(free_port)
  "$binary" dev --listen "$address" --root-token "$SECRETHUB_TOKEN" ${2:+--store "$2"} >"$work/$1.out" 2>"$work/$1.err" &
  server=$!
  for _ in $(seq 100); do curl -sf "http://$address/v1/sys/health" >/dev/null && break; sleep 0.05; done
  graphql 'mutation { createRootCa(input: {commonName: "Bench Root"}) { certificate { serialNumber } } }' '{}' >/dev/null
  serial=$(graphql 'mutation { createIntermediateCa(input: {commonName: "Bench", makeDefault: true}) { certificate { serialNumber } } }' '{}' |
    jq -r .data.createIntermediateCa.certificate.serialNumber)
  graphql 'mutation($i: CertificateRoleInput!) { putCertificateRole(input: $i) { role { path } } }' \
    '{"i":{"path":"bench.pki","certTypes":["SERVER"],"allowedDomains":["bench.example"],"allowSubdomains":true}}' >/dev/null
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/key.pem" -out "$work/csr.pem" -subj /CN=a.bench.example 2>/dev/null
  jq -cn '{query: "mutation { issueCertificate(input: {role: \"bench.pki\", certType: SERVER, commonName: \"a.bench.example\"}) { certificate { serialNumber certificatePem } privateKeyPem } }"}' >"$work/issue.json"
  jq -cn --rawfile csr "$work/csr.pem" '{query: "mutation($c: String!) { signCertificate(input: {role: \"bench.pki\", certType: SERVER, csrPem: $c}) { certificate { serialNumber certificatePem } } }", variables: {c: $csr}}' >"$work/sign.json"
  graphql "$(jq -r .query "$work/issue.json")" '{}' | jq -r .data.issueCertificate.certificate.certificatePem >"$work/leaf.pem"
  curl -sf "http://$address/v1/pki/$serial/ca.pem" >"$work/ca.pem"
  openssl ocsp -no_nonce -issuer "$work/ca.pem" -cert "$work/leaf.pem" -reqout "$work/ocsp.der" 2>/dev/null
  openssl ocsp -issuer "$work/ca.pem" -cert "$work/leaf.pem" -reqout "$work/nonce.der" 2>/dev/null
  script "$work/issue.lua" application/json "$work/issue.json"
  script "$work/sign.lua" application/json "$work/sign.json"
  script "$work/ocsp.lua" application/ocsp-request "$work/ocsp.der"
  script "$work/nonce.lua" application/ocsp-request "$work/nonce.der"
  measure "$1" 'issue P-256' "$work/issue.lua" /graphql
  measure "$1" 'sign CSR' "$work/sign.lua" /graphql
  measure "$1" OCSP "$work/ocsp.lua" "/v1/pki/$serial/ocsp"
  measure "$1" 'OCSP with nonce' "$work/nonce.lua" "/v1/pki/$serial/ocsp"
  kill "$server" && wait "$server" || true
  server=
}

echo "$(date -u +%F), $(nproc) cores, wrk on the same machine, ${seconds} s a run"
echo
echo '| store | work | connections | per second | p50 ms | p99 ms | failed |'
echo '|---|---|---|---|---|---|---|'
run sqlite ''
mkdir "$work/pg"
[ "$(id -u)" != 0 ] || chown postgres "$work/pg"
pg_port=$(free_port)
as_postgres "$pg_bin/initdb" -D "$work/pg" -U bench -A trust >/dev/null
as_postgres "$pg_bin/pg_ctl" -D "$work/pg" -w -l "$work/pg/log" -o "-p $pg_port -c listen_addresses=127.0.0.1 -k $work/pg" start >/dev/null
run postgresql "postgres://bench@127.0.0.1:$pg_port/postgres"
