#!/usr/bin/env bash
# What it costs to have much in the store: a node with nothing but a secret, then with ten thousand secrets, leases and audit events, so that
# every page is full, and then with a million of each, on SQLite and on PostgreSQL. Start, unseal, reads, pages and filters over HTTP with wrk
# on the same machine. Prints a table.
#
#   benches/scale.sh [ROWS] [SECONDS]     1000000 by default, and 5 seconds for each run
#
# Needs wrk, jq, curl, python3, and PostgreSQL's programs (Debian: apt-get install wrk jq curl python3 postgresql). Rows are copies of real ones,
# written by SQL while the server is stopped; the copied audit events do not verify, since nobody hashed them.
. "$(dirname "$0")/common.sh"
rows=${1:-1000000}
seconds=${2:-5}
few=10000
[ "$rows" -gt "$few" ] || { echo "benches/scale.sh: ROWS must be more than $few" >&2; exit 1; }
need wrk jq curl psql python3
cargo build --release --quiet
binary=${CARGO_TARGET_DIR:-target}/release/secrethub
head -c 32 /dev/urandom | base64 >"$work/seal.key"
chmod 600 "$work/seal.key"

start() { # STORE-URL: the seconds until it answers a read, in `took`
  local started
  address=127.0.0.1:$(free_port)
  printf '[listener]\naddress = "%s"\n[storage]\nurl = "%s"\n[seal]\ntype = "static"\nkey_file = "%s"\n[rate_limits]\nenabled = false\n' \
    "$address" "$1" "$work/seal.key" >"$work/config.toml"
  started=$(date +%s.%N)
  "$binary" server --config "$work/config.toml" >>"$work/out" 2>&1 &
  server=$!
  servers+=("$server")
  until curl -sf "http://$address/v1/sys/health" >/dev/null || [ "$(curl -s "http://$address/v1/sys/seal-status" | jq .initialized)" = false ]; do sleep 0.005; done
  [ -z "${SECRETHUB_TOKEN:-}" ] || until graphql '{ secret(path: "bench.read") { version data } }' '{}' | jq -e .data.secret.version >/dev/null; do sleep 0.005; done
  took=$(awk -v a="$started" -v b="$(date +%s.%N)" 'BEGIN {printf "%.2f", b - a}')
}

# The same statements for both; n(i) counts from FROM to TO. An actor has a hundred events and leases at first, then a thousand.
copies() { # DIALECT FROM TO
  local n id bytes time actors=$(($3 > few ? 1000 : 100))
  if [ "$1" = sqlite ]; then
    n="WITH RECURSIVE n(i) AS (SELECT $2 UNION ALL SELECT i + 1 FROM n WHERE i < $3)"
    id="randomblob(16)" bytes="zeroblob(32)" time="'2126-01-01T00:00:00.000000+00:00'"
  else
    n="WITH n(i) AS (SELECT generate_series($2, $3))"
    id="gen_random_uuid()" bytes="decode(repeat('00', 32), 'hex')" time="timestamptz '2126-01-01'"
  fi
  cat <<SQL
$n INSERT INTO secrets (id, secret_path, secret_type, version, metadata, max_versions, rotation_enabled, created_by, created_at, updated_at)
  SELECT $id, 'scale.s' || i, secret_type, version, metadata, max_versions, rotation_enabled, created_by, created_at, updated_at
  FROM n, secrets WHERE secret_path = 'bench.read';
INSERT INTO secret_versions (secret_id, version, encrypted_data, key_version, created_at, created_by, destroyed)
  SELECT s.id, v.version, v.encrypted_data, v.key_version, v.created_at, v.created_by, v.destroyed
  FROM secrets s, secret_versions v WHERE s.secret_path LIKE 'scale.%' AND v.secret_id = (SELECT id FROM secrets WHERE secret_path = 'bench.read')
    AND NOT EXISTS (SELECT 1 FROM secret_versions known WHERE known.secret_id = s.id);
$n INSERT INTO leases (lease_id, secret_id, secret_path, engine_id, engine_type, actor_id, token_accessor, state, issued_at, expires_at, max_expires_at,
    ttl_seconds, renewed_count, due_at, revoked, revocation_attempts, engine_metadata)
  SELECT $id, id, 'scale.role', id, 'postgresql', 'role:' || (i % $actors), id, 'active', created_at, $time, $time,
    3600, 0, $time, false, 0, metadata FROM n, secrets WHERE secret_path = 'bench.read';
$n INSERT INTO audit_logs (sequence_number, event_id, timestamp, event_type, actor_type, actor_id, access_granted, event_data, batch_end, previous_hash, current_hash)
  SELECT h.sequence_number + i - $2 + 1, $id, h.updated_at, 'secret.accessed', 'app', 'role:' || (i % $actors), true, s.metadata, false, $bytes, $bytes
  FROM n, audit_head h, secrets s WHERE s.secret_path = 'bench.read';
UPDATE audit_head SET sequence_number = (SELECT max(sequence_number) FROM audit_logs);
SQL
}

measure() { # STORE ROWS KINDS...
  local kind rate p50 p99 failed store=$1 stored=$2 any=- page=- audit=- leases=-
  shift 2
  for kind in "$@"; do
    read -r rate p50 p99 failed < <(wrk_run 32 "$seconds" "$work/$kind.lua" "http://$address/graphql")
    [ "$failed" = 0 ] || echo "$bench: $failed requests ($kind) failed" >&2
    eval "$kind='$rate ($p99)'"
  done
  # shellcheck disable=SC2154
  echo "| $store | $stored | $took | $read | $any | $page | $audit | $leases | $(resident "$server") |"
}

scripts() { # SECRETS
  local kind
  echo '{"query":"{ secret(path: \"bench.read\") { version data } }"}' >"$work/read.json"
  echo '{"query":"{ secret(path: \"scale.s0\") { version } }"}' >"$work/any.json"
  echo '{"query":"{ secrets(prefix: \"scale\", first: 50) { nodes { path version } pageInfo { endCursor } } }"}' >"$work/page.json"
  echo '{"query":"{ auditEvents(filter: {actorId: \"role:7\"}, first: 50) { nodes { sequenceNumber eventType } } }"}' >"$work/audit.json"
  echo '{"query":"{ leases(filter: {pathPrefix: \"scale\", states: [ACTIVE]}, first: 50) { nodes { leaseId expiresAt } } }"}' >"$work/leases.json"
  for kind in read any page audit leases; do
    wrk_script "$work/$kind.lua" POST "$work/$kind.json" 'Content-Type: application/json' "Authorization: Bearer $SECRETHUB_TOKEN"
  done
  # another secret each time, of those that are there
  printf 'function request() return wrk.format(nil, nil, nil, (wrk.body:gsub("s0", "s" .. math.random(1, %d)))) end\n' "$1" >>"$work/any.lua"
}

fill() { # STORE URL FROM TO
  copies "$1" "$3" "$4" >"$work/copies.sql"
  if [ "$1" = sqlite ]; then
    python3 -c 'import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript("BEGIN;" + open(sys.argv[2]).read() + "COMMIT;")' "${2#sqlite:}" "$work/copies.sql"
  else
    psql -qAt1 "$2" <"$work/copies.sql"
    psql -qAt "$2" -c 'VACUUM ANALYZE'
  fi
}

run() { # STORE URL
  unset SECRETHUB_TOKEN
  start "$2"
  SECRETHUB_TOKEN=$(SECRETHUB_ADDR=http://$address "$binary" operator init | sed -n 's/^Root token: //p')
  export SECRETHUB_TOKEN
  graphql 'mutation { putSecret(input: {path: "bench.read", data: {value: "0123456789abcdef0123456789abcdef"}}) { secret { version } } }' '{}' >/dev/null
  stop "$server"
  local stored=0 more
  scripts "$few"
  start "$2"
  measure "$1" one read
  stop "$server"
  for more in "$few" "$rows"; do
    fill "$1" "$2" $((stored + 1)) "$more"
    stored=$more
    scripts "$stored"
    start "$2"
    measure "$1" "$stored" read any page audit leases
    stop "$server"
  done
}

echo "$(date -u +%F), $(nproc) cores, 32 connections, $seconds s a run; per second (p99 in ms)"
echo
echo '| store | secrets, leases, events | start to first read, s | read one | any of them, metadata | page of 50 secrets | 50 audit events of an actor | page of 50 leases | resident MiB |'
echo '|---|---|---|---|---|---|---|---|---|'
run sqlite "sqlite:$work/store.db"
start_postgres store
run postgresql "postgres://bench:$PGPASSWORD@127.0.0.1:$pg_port/postgres"
