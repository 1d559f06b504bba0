#!/usr/bin/env bash
# Rates of issuing, renewing and revoking PostgreSQL credentials over HTTP at 1, 16 and 64 concurrent callers, on SQLite and then on
# PostgreSQL as the store, and beside them the raw rate of the same DDL by pgbench. Prints a table.
#
#   benches/leases.sh [SECONDS]     length of each pgbench run, 10 by default
#
# Needs PostgreSQL's programs, jq and curl (Debian: apt-get install postgresql jq curl). Starts its own servers on free ports in a temporary
# folder, talks to 127.0.0.1 only, and ends by itself.
. "$(dirname "$0")/common.sh"
seconds=${1:-10}
need psql jq curl
cargo build --release --quiet --workspace
cargo bench --bench leases --no-run --quiet
binary=${CARGO_TARGET_DIR:-target}/release/secrethub
start_postgres target
sql() { psql -qAt -h 127.0.0.1 -p "$pg_port" -U bench postgres -c "$1"; }
sql 'CREATE ROLE readonly NOLOGIN'
sql 'CREATE DATABASE store'

echo "$(date -u +%F), $(nproc) cores, load generator and PostgreSQL on the same machine"
echo
echo '| store | work | callers | per second | p50 ms | p99 ms |'
echo '|---|---|---|---|---|---|'

# the same DDL with nothing around it: a verifier that is computed once, since that is the client's work
sql "CREATE ROLE sample LOGIN PASSWORD 'sample-password-of-the-bench'"
verifier=$(sql "SELECT rolpassword FROM pg_authid WHERE rolname = 'sample'")
for callers in 1 16 64; do
  cat >"$work/create.sql" <<SQL
\\set n random(1, 2000000000)
CREATE ROLE "raw_${callers}_:client_id:n" LOGIN PASSWORD '$verifier' VALID UNTIL '2030-01-01' IN ROLE readonly;
SQL
  rate=$("$pg_bin/pgbench" -n -h 127.0.0.1 -p "$pg_port" -U bench -f "$work/create.sql" -c "$callers" -T "$seconds" postgres 2>/dev/null |
    awk '/^tps/ {printf "%.0f", $3; exit}')
  echo "| none | raw CREATE ROLE (pgbench) | $callers | $rate | | |"
  sql "SELECT format('DROP ROLE %I', rolname) FROM pg_roles WHERE rolname LIKE 'raw\\_%' LIMIT 1000" | sed 's/$/;/' >"$work/drop.sql"
  dropped=$(wc -l <"$work/drop.sql")
  started=$(date +%s.%N)
  psql -q -h 127.0.0.1 -p "$pg_port" -U bench -f "$work/drop.sql" postgres
  awk -v n="$dropped" -v a="$started" -v b="$(date +%s.%N)" 'BEGIN {printf "| none | raw DROP ROLE, one by one | 1 | %.0f | | |\n", n / (b - a)}'
  sql "SELECT format('DROP ROLE %I', rolname) FROM pg_roles WHERE rolname LIKE 'raw\\_%'" | sed 's/$/;/' >"$work/drop.sql"
  psql -q -1 -h 127.0.0.1 -p "$pg_port" -U bench -f "$work/drop.sql" postgres
done

run() { # STORE URL
  start_secrethub "$1" "$2"
  graphql 'mutation($i: EnableEngineInput!) { enableEngine(input: $i) { engine { name } } }' \
    "{\"i\":{\"name\":\"bench\",\"kind\":\"postgresql\",\"config\":{\"host\":\"127.0.0.1\",\"port\":$pg_port,\"username\":\"bench\",\"password\":\"$PGPASSWORD\",\"tls\":\"disable\",\"max_connections\":16}}}" >/dev/null
  graphql 'mutation($i: EngineRoleInput!) { putEngineRole(input: $i) { secret { path } } }' \
    '{"i":{"path":"bench.role","engine":"bench","config":{"groups":["readonly"]}}}' >/dev/null
  local callers leases
  for callers in 1 16 64; do
    leases=$((callers == 1 ? 300 : 2000))
    cargo bench --bench leases --quiet -- "http://$address" "$SECRETHUB_TOKEN" bench.role "$callers" "$leases" | sed "s/^|/| $1 |/"
  done
  stop "$server"
}
run sqlite ''
run postgresql "postgres://bench:$PGPASSWORD@127.0.0.1:$pg_port/store"
