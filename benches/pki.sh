#!/usr/bin/env bash
# Certificates per second over HTTP with wrk on the same machine, on SQLite and then on PostgreSQL: issue with a P-256 key made by the
# server, sign a P-256 CSR, and OCSP answers (with and without a nonce), at 1, 16 and 64 connections. Prints a table.
#
#   benches/pki.sh [SECONDS]     length of each run, 10 by default
#
# Needs wrk, jq, curl, openssl, and PostgreSQL's programs (Debian: apt-get install wrk jq curl openssl postgresql). Starts its own servers
# on free ports in a temporary folder, talks to 127.0.0.1 only, and ends by itself.
. "$(dirname "$0")/common.sh"
seconds=${1:-10}
need wrk jq curl openssl
cargo build --release --quiet
binary=${CARGO_TARGET_DIR:-target}/release/secrethub

measure() { # STORE NAME SCRIPT PATH
  for connections in 1 16 64; do
    read -r rate p50 p99 failed < <(wrk_run "$connections" "$seconds" "$3" "http://$address$4")
    printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$1" "$2" "$connections" "$rate" "$p50" "$p99" "$failed"
  done
}

run() { # STORE URL
  local serial
  start_secrethub "$1" "$2"
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
  wrk_script "$work/issue.lua" POST "$work/issue.json" 'Content-Type: application/json' "Authorization: Bearer $SECRETHUB_TOKEN"
  wrk_script "$work/sign.lua" POST "$work/sign.json" 'Content-Type: application/json' "Authorization: Bearer $SECRETHUB_TOKEN"
  wrk_script "$work/ocsp.lua" POST "$work/ocsp.der" 'Content-Type: application/ocsp-request'
  wrk_script "$work/nonce.lua" POST "$work/nonce.der" 'Content-Type: application/ocsp-request'
  measure "$1" 'issue P-256' "$work/issue.lua" /graphql
  measure "$1" 'sign CSR' "$work/sign.lua" /graphql
  measure "$1" OCSP "$work/ocsp.lua" "/v1/pki/$serial/ocsp"
  measure "$1" 'OCSP with nonce' "$work/nonce.lua" "/v1/pki/$serial/ocsp"
  stop "$server"
}

echo "$(date -u +%F), $(nproc) cores, wrk on the same machine, ${seconds} s a run"
echo
echo '| store | work | connections | per second | p50 ms | p99 ms | failed |'
echo '|---|---|---|---|---|---|---|'
run sqlite ''
start_postgres store
run postgresql "postgres://bench:$PGPASSWORD@127.0.0.1:$pg_port/postgres"
