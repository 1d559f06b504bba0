# shellcheck shell=bash
# What the benchmarks over HTTP share; sourced by them. Everything is started on free ports of 127.0.0.1 in a temporary folder, `$work`,
# and ended when the script ends.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bench=${0##*/}

need() { # TOOL...
  local tool
  for tool; do
    command -v "$tool" >/dev/null || { echo "$bench: $tool is missing" >&2; exit 1; }
  done
  pg_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
  [ -n "$pg_bin" ] || { echo "$bench: PostgreSQL is missing" >&2; exit 1; }
}

work=$(mktemp -d)
chmod 755 "$work"
servers=()
finish() {
  local pid folder
  for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
  for folder in "$work"/pg-*; do
    [ ! -d "$folder" ] || as_postgres "$pg_bin/pg_ctl" -D "$folder" -m immediate stop >/dev/null 2>&1 || true
  done
  rm -rf "$work"
}
trap finish EXIT
as_postgres() { if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# A private PostgreSQL whose superuser is `bench`; its port in `pg_port`.
export PGPASSWORD=bench-password-0123
start_postgres() { # NAME
  local folder=$work/pg-$1
  mkdir "$folder"
  [ "$(id -u)" != 0 ] || chown postgres "$folder"
  pg_port=$(free_port)
  printf '%s' "$PGPASSWORD" >"$work/password" && chmod 644 "$work/password"
  as_postgres "$pg_bin/initdb" -D "$folder" -U bench -A scram-sha-256 --pwfile="$work/password" >/dev/null
  as_postgres "$pg_bin/pg_ctl" -D "$folder" -w -l "$folder/log" \
    -o "-p $pg_port -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=300" start >/dev/null
}

# An initialised, unsealed SecretHub with the plugins beside it; where it listens in `address`, its process in `server`.
export SECRETHUB_TOKEN=bench-root-token-0123456789
start_secrethub() { # NAME STORE-URL
  address=127.0.0.1:$(free_port)
  "$binary" dev --listen "$address" --root-token "$SECRETHUB_TOKEN" ${2:+--store "$2"} >"$work/$1.out" 2>"$work/$1.err" &
  server=$!
  servers+=("$server")
  for _ in $(seq 200); do curl -sf "http://$address/v1/sys/health" >/dev/null && return; sleep 0.05; done
  echo "$bench: SecretHub did not start" >&2
  return 1
}
stop() { # PID
  kill "$1" && wait "$1" || true
}
resident() { # PID: MiB
  awk '/^VmRSS/ {printf "%.0f", $2 / 1024}' "/proc/$1/status"
}

graphql() { # QUERY VARIABLES
  jq -cn --arg q "$1" --argjson v "$2" '{query: $q, variables: $v}' |
    curl -sf "http://$address/graphql" -H "Authorization: Bearer $SECRETHUB_TOKEN" -H 'Content-Type: application/json' -d @-
}

# A script for wrk: the same request over and over. A failure is a status other than 200 or 204, or an answer with errors.
wrk_script() { # FILE METHOD BODY-FILE HEADER...
  local file=$1 method=$2 body=$3 header
  shift 3
  {
    echo "wrk.method = \"$method\""
    [ -z "$body" ] || printf 'local file = io.open("%s", "rb")\nwrk.body = file:read("*a")\nfile:close()\n' "$body"
    for header; do echo "wrk.headers[\"${header%%: *}\"] = \"${header#*: }\""; done
    cat <<'LUA'
bad = 0
function response(status, headers, body)
  if (status ~= 200 and status ~= 204) or body:find('"errors"') then bad = bad + 1 end
end
local threads = {}
function setup(thread) table.insert(threads, thread) end
function done(summary, latency, requests)
  local failed = 0
  for _, t in ipairs(threads) do failed = failed + t:get("bad") end
  io.write(string.format("RESULT %.0f %.2f %.2f %d\n", summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed))
end
LUA
  } >"$file"
}
wrk_run() { # CONNECTIONS SECONDS SCRIPT URL: rate, p50 ms, p99 ms, failed
  wrk -t1 -c"$1" -d"${2}s" -s "$3" "$4" | sed -n 's/^RESULT //p'
}
