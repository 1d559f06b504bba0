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
. "$(dirname "$0")/common.sh"
seconds=${1:-10}
count=100000
need wrk jq curl openssl python3 psql
binary=${SECRETHUB_BINARY:-}
if [ -z "$binary" ]; then
  cargo build --release --quiet
  binary=${CARGO_TARGET_DIR:-target}/release/secrethub
fi

now() { date +%s%3N; }
row() { printf '| %s | %s | %s |\n' "$store" "$1" "$2"; }

load() { # SCRIPT PATH
  local rate p50 p99 failed
  read -r rate p50 p99 failed < <(wrk_run 16 "$seconds" "$1" "http://$address$2")
  echo "$rate/s, p50 $p50 ms, p99 $p99 ms, $failed failed"
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
  start_secrethub "$store" "$url"
  root=$(graphql 'mutation { createRootCa(input: {commonName: "Bench Root"}) { certificate { serialNumber } } }' '{}' | jq -r .data.createRootCa.certificate.serialNumber)
  full=$(authority Full "$root")
  empty=$(authority Empty "$root")
  issue "$full" >/dev/null
  good=$(issue "$empty")
  graphql 'mutation { putSecret(input: {path: "bench.read", data: {k: "v"}}) { secret { version } } }' '{}' >/dev/null
  echo '{"query":"{ secret(path: \"bench.read\") { data } }"}' >"$work/read.json"
  wrk_script "$work/read.lua" POST "$work/read.json" 'Content-Type: application/json' "Authorization: Bearer $SECRETHUB_TOKEN"
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
    wrk_script "$work/$asked.lua" POST "$work/$asked.der" 'Content-Type: application/ocsp-request'
    row "OCSP, authority $asked" "$(load "$work/$asked.lua" "/v1/pki/${!who}/ocsp")"
  done

  row 'reads of a secret, nothing else' "$(load "$work/read.lua" /graphql)"
  for _ in $(seq "$seconds"); do issue "$full"; done >"$work/serials"
  (while read -r serial; do revoke "$serial"; sleep 0.8; done <"$work/serials") &
  row 'reads of a secret, a revocation a second and lists as they come' "$(load "$work/read.lua" /graphql)"
  wait $!
  stop "$server"
}

echo "$(date -u +%F), $(nproc) cores, wrk with 16 connections on the same machine, ${seconds} s a run"
echo
echo '| store | what | measured |'
echo '|---|---|---|'
run sqlite "sqlite:$work/store.db"
start_postgres store
run postgresql "postgres://bench:$PGPASSWORD@127.0.0.1:$pg_port/postgres"
