#!/usr/bin/env bash
# Rates of issuing, renewing and revoking PostgreSQL credentials over HTTP at 1, 16 and 64 concurrent callers, on SQLite and then on
# PostgreSQL as the store, and beside them the raw rate of the same DDL by pgbench. Prints a table.
#
#   benches/leases.sh [SECONDS]     length of each pgbench run, 10 by default
#
# Needs PostgreSQL's programs, jq and curl (Debian: apt-get install postgresql jq curl). Starts its own servers on free ports in a temporary
# folder, talks to 127.0.0.1 only, and ends by itself.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10}
pg_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$pg_bin" ] || { echo "benches/leases.sh: PostgreSQL is missing" >&2; exit 1; }

cargo build --release --quiet --workspace
cargo bench --bench leases --no-run --quiet
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

mkdir "$work/pg"
[ "$(id -u)" != 0 ] || chown postgres "$work/pg"
pg_port=$(free_port)
export PGPASSWORD=bench-password-0123
printf '%s' "$PGPASSWORD" >"$work/password" && chmod 644 "$work/password"
as_postgres "$pg_bin/initdb" -D "$work/pg" -U bench -A scram-sha-256 --pwfile="$work/password" >/dev/null
as_postgres "$pg_bin/pg_ctl" -D "$work/pg" -w -l "$work/pg/log" \
  -o "-p $pg_port -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=300" start >/dev/null
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

token=bench-root-token-0123456789
run() { # STORE URL
  local port address
  port=$(free_port)
  address=http://127.0.0.1:$port
  "$binary" dev --listen "127.0.0.1:$port" --root-token "$token" ${2:+--store "$2"} >"$work/$1.out" 2>"$work/$1.err" &
  server=$!
  for _ in $(seq 100); do curl -sf "$address/v1/sys/health" >/dev/null && break; sleep 0.05; done
  gql() {
    jq -cn --arg q "$1" --argjson v "$2" '{query: $q, variables: $v}' |
      curl -sf "$address/graphql" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d @- | tee -a "$work/answers" >/dev/null
  }
  gql 'mutation($i: EnableEngineInput!) { enableEngine(input: $i) { engine { name } } }' \
    "{\"i\":{\"name\":\"bench\",\"kind\":\"postgresql\",\"config\":{\"host\":\"127.0.0.1\",\"port\":$pg_port,\"username\":\"bench\",\"password\":\"$PGPASSWORD\",\"tls\":\"disable\",\"max_connections\":16}}}"
  gql 'mutation($i: EngineRoleInput!) { putEngineRole(input: $i) { secret { path } } }' \
    '{"i":{"path":"bench.role","engine":"bench","config":{"groups":["readonly"]}}}'
  local callers leases
  for callers in 1 16 64; do
    leases=$((callers == 1 ? 300 : 2000))
    cargo bench --bench leases --quiet -- "$address" "$token" bench.role "$callers" "$leases" | sed "s/^|/| $1 |/"
  done
  kill "$server" && wait "$server" || true
  server=
}
run sqlite ''
run postgresql "postgres://bench:$PGPASSWORD@127.0.0.1:$pg_port/store"
