#!/usr/bin/env bash
# An authority with 100,000 revoked certificates beside an empty one, on SQLite and then on PostgreSQL: how long its revocation list takes,
# at first and after one more revocation; its size and the time to fetch it; OCSP answers per second of both authorities; and reads of a
# secret while lists are made over and over. Checks with openssl that the answers are right. Prints a table.
#
#   benches/revoked.sh [SECONDS]     length of each run, 10 by default
#   SECRETHUB_BINARY=…               measures this program instead of building one with --release
#
# Needs wrk, jq, curl, openssl, python3, psql and PostgreSQL's programs. Starts its own servers on free ports in a temporary folder, talks to
# 127.0.0.1 only, and ends by itself.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10}
count=100000
for tool in wrk jq curl openssl python3 psql; do
  command -v "$tool" >/dev/null || { echo "benches/revoked.sh: $tool is missing" >&2; exit 1; }
done
pg_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$pg_bin" ] || { echo "benches/revoked.sh: PostgreSQL is missing" >&2; exit 1; }

binary=${SECRETHUB_BINARY:-}
if [ -z "$binary" ]; then
  cargo build --release --quiet -p secrethub
  binary=${CARGO_TARGET_DIR:-target}/release/secrethub
fi
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
now() { date +%s%3N; }
row() { printf '| %s | %s | %s |\n' "$store" "$1" "$2"; }

# wrk's script: one POST with the body of a file
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
  io.write(string.format("RESULT %.0f/s, p50 %.2f ms, p99 %.2f ms, longest %.1f ms, %d failed\n", summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000, failed))
end
LUA
}
load() { # SCRIPT PATH
  wrk -t1 -c16 -d"${seconds}s" -s "$1" "http://$address$2" | sed -n 's/^RESULT //p'
}

# The numbers that the two databases count and spell differently: a certificate is copied $count times, each copy revoked.
fill() { # AUTHORITY-SERIAL
  local columns="certificate_pem, private_key_encrypted, key_version, subject, issuer, issuer_id, common_name, organization, organizational_unit, names, valid_from, valid_until, cert_type, key_type, key_usage, entity_id, entity_type, role_path, replaces, requested_by, expiry_noticed, metadata, created_at"
  local from="FROM certificates t, numbers WHERE t.issuer_id = (SELECT id FROM certificates WHERE serial_number = '$1')"
  if [ "$store" = sqlite ]; then
    cat >"$work/fill.sql" <<SQL
BEGIN IMMEDIATE;
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $count)
INSERT INTO certificates (id, serial_number, fingerprint, revoked, revoked_at, revocation_reason, revocation_number, $columns)
SELECT randomblob(16), printf('4%031x', n), lower(hex(randomblob(32))), 1, t.created_at, 'key_compromise', n, $columns $from;
UPDATE certificate_authorities SET revocations = $count WHERE id = (SELECT id FROM certificates WHERE serial_number = '$1');
COMMIT;
SQL
    python3 - "$work/store.db" "$work/fill.sql" <<'PY'
import sqlite3, sys
store = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
store.executescript(open(sys.argv[2]).read())
PY
  else
    psql -qX "$url" -v ON_ERROR_STOP=1 <<SQL
BEGIN;
WITH numbers AS (SELECT n FROM generate_series(1, $count) AS n)
INSERT INTO certificates (id, serial_number, fingerprint, revoked, revoked_at, revocation_reason, revocation_number, $columns)
SELECT gen_random_uuid(), '4' || lpad(to_hex(n), 31, '0'), encode(sha256(gen_random_uuid()::text::bytea), 'hex'), true, t.created_at, 'key_compromise', n, $columns $from;
UPDATE certificate_authorities SET revocations = $count WHERE id = (SELECT id FROM certificates WHERE serial_number = '$1');
COMMIT;
ANALYZE certificates;
SQL
  fi
}

authority() { # NAME ROOT-SERIAL
  graphql 'mutation($n: String!, $r: String!) { createIntermediateCa(input: {commonName: $n, issuerSerialNumber: $r}) { certificate { serialNumber } } }' \
    "{\"n\":\"$1\",\"r\":\"$2\"}" | jq -r .data.createIntermediateCa.certificate.serialNumber
}
issue() { # AUTHORITY-SERIAL
  graphql 'mutation($i: String!) { issueCertificate(input: {certType: SERVER, commonName: "a.bench.example", issuerSerialNumber: $i}) { certificate { serialNumber } } }' \
    "{\"i\":\"$1\"}" | jq -r .data.issueCertificate.certificate.serialNumber
}
revoke() { graphql 'mutation($s: String!) { revokeCertificate(input: {serialNumber: $s}) { certificate { revoked } } }' "{\"s\":\"$1\"}" >/dev/null; }
# how long the task took that published the latest list
made_in() {
  sleep 1
  graphql '{ auditEvents(filter: {eventTypes: ["certificate.crl_published"]}, first: 1) { nodes { responseTimeMs } } }' '{}' |
    jq -r '"\(.data.auditEvents.nodes[0].responseTimeMs) ms"'
}
# until the list of an authority names a serial number; openssl reads it only where it is long enough to have it
until_listed() { # AUTHORITY-SERIAL SERIAL
  until curl -sf "http://$address/v1/pki/$1/crl" -o "$work/crl" && python3 -c 'import sys; sys.exit(bytes.fromhex(sys.argv[2]) not in open(sys.argv[1], "rb").read())' "$work/crl" "$2"; do
    sleep 0.02
  done
}

run() { # STORE URL
  local root full empty good began middle serial
  store=$1 url=$2
  address=127.0.0.1:$(free_port)
  "$binary" dev --listen "$address" --root-token "$SECRETHUB_TOKEN" --store "$url" >"$work/$1.out" 2>"$work/$1.err" &
  server=$!
  for _ in $(seq 100); do curl -sf "http://$address/v1/sys/health" >/dev/null && break; sleep 0.05; done
  root=$(graphql 'mutation { createRootCa(input: {commonName: "Bench Root"}) { certificate { serialNumber } } }' '{}' | jq -r .data.createRootCa.certificate.serialNumber)
  full=$(authority Full "$root")
  empty=$(authority Empty "$root")
  issue "$full" >/dev/null
  good=$(issue "$empty")
  graphql 'mutation { putSecret(input: {path: "bench.read", data: {k: "v"}}) { secret { version } } }' '{}' >/dev/null
  echo '{"query":"{ secret(path: \"bench.read\") { data } }"}' >"$work/read.json"
  script "$work/read.lua" application/json "$work/read.json"
  middle=$(printf '4%031x' $((count / 2)))

  fill "$full"
  began=$(now)
  until_listed "$full" "$(printf '4%031x' "$count")"
  row "list of $count revoked, the first: from the revocation to the list" "$(($(now) - began)) ms"
  row 'that list: read, signed and stored in' "$(made_in)"
  serial=$(issue "$full")
  began=$(now)
  revoke "$serial"
  until_listed "$full" "$serial"
  row 'one more revocation, at once: until the list has it (a node rests after each list)' "$(($(now) - began)) ms"
  row 'that list: signed and stored in' "$(made_in)"
  row 'list, bytes' "$(stat -c %s "$work/crl")"
  row 'list, time to fetch' "$(curl -sf -o /dev/null -w '%{time_total}' "http://$address/v1/pki/$full/crl") s"

  for who in root full empty; do curl -sf "http://$address/v1/pki/${!who}/ca.pem" >"$work/$who.pem"; done
  openssl crl -inform DER -in "$work/crl" -noout -verify -CAfile "$work/full.pem" 2>&1 | grep -q 'verify OK'
  [ "$(openssl crl -inform DER -in "$work/crl" -noout -text | grep -c 'Serial Number')" = $((count + 1)) ]
  openssl ocsp -issuer "$work/full.pem" -serial "0x$middle" -url "http://$address/v1/pki/$full/ocsp" -CAfile "$work/root.pem" >"$work/said" 2>&1
  grep -q "0x$middle: revoked" "$work/said" && grep -q 'Response verify OK' "$work/said"
  row 'openssl of the list and of the answer in the middle' right

  openssl ocsp -no_nonce -issuer "$work/full.pem" -serial "0x$middle" -reqout "$work/full.der"
  openssl ocsp -no_nonce -issuer "$work/empty.pem" -serial "0x$good" -reqout "$work/empty.der"
  openssl ocsp -issuer "$work/full.pem" -serial "0x$middle" -reqout "$work/full-nonce.der"
  openssl ocsp -issuer "$work/empty.pem" -serial "0x$good" -reqout "$work/empty-nonce.der"
  for asked in full empty full-nonce empty-nonce; do
    who=${asked%-nonce}
    script "$work/$asked.lua" application/ocsp-request "$work/$asked.der"
    row "OCSP, authority $asked" "$(load "$work/$asked.lua" "/v1/pki/${!who}/ocsp")"
  done

  row 'reads of a secret, nothing else' "$(load "$work/read.lua" /graphql)"
  for _ in $(seq "$seconds"); do issue "$full"; done >"$work/serials"
  (while read -r serial; do revoke "$serial"; sleep 0.8; done <"$work/serials") &
  row 'reads of a secret, a revocation a second and lists as they come' "$(load "$work/read.lua" /graphql)"
  wait $!
  kill "$server" && wait "$server" || true
  server=
}

echo "$(date -u +%F), $(nproc) cores, wrk with 16 connections on the same machine, ${seconds} s a run"
echo
echo '| store | what | measured |'
echo '|---|---|---|'
run sqlite "sqlite:$work/store.db"
mkdir "$work/pg"
[ "$(id -u)" != 0 ] || chown postgres "$work/pg"
pg_port=$(free_port)
as_postgres "$pg_bin/initdb" -D "$work/pg" -U bench -A trust >/dev/null
as_postgres "$pg_bin/pg_ctl" -D "$work/pg" -w -l "$work/pg/log" -o "-p $pg_port -c listen_addresses=127.0.0.1 -k $work/pg" start >/dev/null
run postgresql "postgres://bench@127.0.0.1:$pg_port/postgres"
