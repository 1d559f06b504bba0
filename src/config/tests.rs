use super::*;
use crate::graphql::guard::{QueryLimits, VariableLimits};
use crate::http::tls::ClientCertificates;
use crate::http::transport::Introspection;
use crate::service::rate::{Allowance, FailedLoginLimits, WorkLimits};
use std::os::unix::fs::PermissionsExt;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn load(toml: &str, environment: &[(&str, &str)]) -> Result<Config> {
    let environment =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut source = Source::default();
    source.add_toml(toml)?;
    source.add_environment(&environment)?;
    Config::from_source(&source, &environment)
}

#[test]
fn a_store_is_all_that_is_needed() {
    let config = load("[storage]\nurl = \"sqlite:x.db\"", &[]).unwrap();
    assert_eq!(config.listener.address.to_string(), DEFAULT_ADDRESS);
    assert!(config.listener.playground);
    assert_eq!(config.graphql.limits, QueryLimits::default());
    assert_eq!(config.graphql.introspection, Introspection::Authenticated);
    assert!(matches!(config.seal, Seal::Shamir));
    assert!(matches!(config.storage.url, StoreUrl::Sqlite(_)));
}

#[test]
fn clients_may_show_certificates_wherever_there_is_tls() {
    let of = |toml: &str| {
        load(&format!("[storage]\nurl = \"x.db\"\n[listener]\n{toml}"), &[]).unwrap().listener.tls
    };
    assert!(of("").is_none());
    assert!(of("client_certificates = \"off\"").is_none());
    let files = of("tls_cert = \"a\"\ntls_key = \"b\"").unwrap();
    assert_eq!((files.clients, files.names), (ClientCertificates::Optional, None));
    let issued = of("tls = \"issued\"\ntls_names = [\"localhost\"]\nclient_certificates = \"off\"").unwrap();
    assert_eq!((issued.clients, issued.files), (ClientCertificates::Off, None));
    let environment = [
        ("SECRETHUB_STORAGE__URL", "x.db"),
        ("SECRETHUB_LISTENER__TLS", "issued"),
        ("SECRETHUB_LISTENER__TLS_NAMES", "localhost, 127.0.0.1"),
    ];
    assert_eq!(load("", &environment).unwrap().listener.tls.unwrap().names.unwrap().len(), 2);
}

#[test]
fn the_reference_names_every_key_and_its_default() {
    let readme = include_str!("../../README.md");
    for (key, _) in source::KEYS {
        assert!(
            readme.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{key}`"))),
            "{key}"
        );
    }
    let default = TransportOptions::default();
    assert!(readme.contains(&format!("| `listener.max_body_bytes` | {} |", default.max_body_bytes)));
}

#[test]
#[allow(clippy::too_many_lines, reason = "every key there is")]
fn everything_can_be_set_and_the_environment_and_flags_win() {
    let toml = r#"
        [listener]
        address = "[::]:443"
        tls_cert = "a.pem"
        tls_key = "b.pem"
        tls = "issued"
        tls_names = ["Vault.example", "10.0.0.1", "::1"]
        client_certificates = "required"
        trusted_proxies = ["10.0.0.0/8", "::1"]
        max_connections = 10
        max_connections_per_address = 4
        max_concurrent_requests = 5
        request_timeout = "5s"
        shutdown_timeout = "1m"
        max_body_bytes = 4096
        playground = false
        max_bodies_bytes = 2000000
        [storage]
        url = "sqlite:x.db"
        max_connections = 3
        [seal]
        type = "static"
        key_env = "THE_KEY"
        [graphql]
        introspection = "never"
        max_bytes = 1000
        max_tokens = 100
        max_depth = 5
        max_aliases = 1
        max_root_fields = 2
        max_root_mutations = 3
        max_directives = 4
        max_complexity = 6
        max_operations = 7
        max_variables = 8
        max_variables_bytes = 9
        max_values = 10
        max_list_length = 11
        max_json_depth = 12
        cached_documents = 13
        documents = "any"
        [rate_limits]
        enabled = true
        cost_per_second = 14
        burst = 15
        anonymous_cost_per_second = 16
        anonymous_burst = 17
        failed_logins = 18
        failed_logins_window = "19s"
        [audit]
        partitions_ahead = 2
        [log]
        format = "json"
        level = "secrethub=debug,warn"
        [tokens]
        default_ttl = "1h"
        max_ttl = "2h"
        [cluster]
        name = "eu-1"
        [cache]
        bytes = 2000000
        [engines]
        sandbox = "best-effort"
        idle_timeout = "1m"
        [[engines.plugins]]
        file = "/a.so"
        sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    "#;
    let environment = [
        ("THE_KEY", KEY),
        ("SECRETHUB_STORAGE__URL", "sqlite:y.db"),
        ("SECRETHUB_GRAPHQL__MAX_DEPTH", "7"),
        ("SECRETHUB_LISTENER__TRUSTED_PROXIES", "192.0.2.0/24, 192.0.3.1"),
        ("SECRETHUB_ADDR", "http://x"),
        ("SECRETHUB_TOKEN", "t"),
        ("SECRETHUB_SERVICE_HOST", "10.0.0.1"),
    ];
    let config = load(toml, &environment).unwrap();
    assert!(matches!(&config.storage.url, StoreUrl::Sqlite(path) if path == Path::new("y.db")));
    assert_eq!(config.graphql.limits.max_depth, 7);
    assert_eq!(config.graphql.limits.max_complexity, 6);
    let variables =
        VariableLimits { max_variables: 8, max_bytes: 9, max_values: 10, max_list_length: 11, max_depth: 12 };
    assert_eq!((config.graphql.limits.max_operations, config.graphql.limits.variables), (7, variables));
    assert_eq!((config.graphql.max_bodies_bytes, config.graphql.max_documents), (2_000_000, 13));
    let allowance = |per_second: u32, burst: u32| Allowance {
        per_second: per_second.try_into().unwrap(),
        burst: burst.try_into().unwrap(),
    };
    let work = WorkLimits { caller: allowance(14, 15), anonymous: allowance(16, 17) };
    assert_eq!(config.rates.work, Some(work));
    assert_eq!(config.rates.failed_logins, Some(FailedLoginLimits { failures: 18, window_seconds: 19 }));
    assert_eq!(config.listener.max_connections_per_address, 4);
    assert!(!config.listener.playground);
    assert_eq!(config.listener.trusted_proxies.len(), 2);
    let tls = config.listener.tls.unwrap();
    assert_eq!(tls.clients, ClientCertificates::Required);
    assert_eq!(tls.files.unwrap().key, Path::new("b.pem"));
    let names: Vec<_> = tls.names.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["DNS:vault.example", "IP:10.0.0.1", "IP:::1"]);
    assert_eq!((config.tokens.default_ttl, config.tokens.max_ttl), (3600, 7200));
    assert_eq!(config.listener.shutdown_timeout, Duration::from_secs(60));
    assert!(matches!(&config.seal, Seal::Static(key) if key.expose()[1] == 1));
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!((config.engines.plugins.len(), config.engines.idle), (1, Duration::from_secs(60)));

    let mut source = Source::default();
    source.add_toml("[listener]\naddress = \"127.0.0.1:1\"\n[storage]\nurl = \"x.db\"").unwrap();
    source.add_overrides(&[Override { key: "listener.address", value: "127.0.0.1:2".to_owned() }]);
    let config = Config::from_source(&source, &BTreeMap::new()).unwrap();
    assert_eq!(config.listener.address.port(), 2);
}

#[test]
#[allow(clippy::too_many_lines, reason = "it is one table")]
fn every_mistake_names_its_key_and_no_value() {
    let table: &[(&str, &str)] = &[
        ("", "storage.url"),
        ("[storage]\nurl = \"mysql://u:s3cret@h/d\"", "storage.url"),
        ("[storage]\nurl = 5", "storage.url"),
        ("[storage]\nurl = \"x.db\"\nmax_connections = 0", "storage.max_connections"),
        ("[storage]\nurl = \"x.db\"\nurll = \"s3cret\"", "storage.urll"),
        ("[storrage]\nurl = \"x.db\"", "storrage.url"),
        ("[storrage]", "storrage"),
        ("storage = 1", "storage"),
        ("[storage]\nurl = \"s3cret", "config"),
        ("[listener]\naddress = \"localhost\"", "listener.address"),
        ("[listener]\ntls_cert = \"a\"", "listener.tls_key"),
        ("[listener]\ntls_key = \"a\"", "listener.tls_cert"),
        ("[listener]\ntls = \"files\"", "listener.tls"),
        ("[listener]\ntls = \"issued\"", "listener.tls_names"),
        ("[listener]\ntls = \"issued\"\ntls_names = []", "listener.tls_names"),
        ("[listener]\ntls = \"issued\"\ntls_names = [\"a b\"]", "listener.tls_names"),
        ("[listener]\ntls = \"issued\"\ntls_names = [\"https://a.example\"]", "listener.tls_names"),
        ("[listener]\ntls_names = [\"localhost\"]", "listener.tls_names"),
        ("[listener]\nclient_certificates = \"required\"", "listener.client_certificates"),
        (
            "[listener]\ntls_cert = \"a\"\ntls_key = \"b\"\nclient_certificates = \"yes\"",
            "listener.client_certificates",
        ),
        ("[listener]\ntrusted_proxies = \"10.0.0.0/8\"", "listener.trusted_proxies"),
        ("[listener]\ntrusted_proxies = [\"10.0.0.0/33\"]", "listener.trusted_proxies"),
        ("[listener]\nplayground = \"off\"", "listener.playground"),
        ("[listener]\nmax_connections = -1", "listener.max_connections"),
        ("[listener]\nmax_concurrent_requests = 0", "listener.max_concurrent_requests"),
        ("[listener]\nrequest_timeout = 30", "listener.request_timeout"),
        ("[listener]\nrequest_timeout = \"30 seconds\"", "listener.request_timeout"),
        ("[listener]\nshutdown_timeout = \"2h\"", "listener.shutdown_timeout"),
        ("[listener]\nmax_body_bytes = 1", "listener.max_body_bytes"),
        ("[seal]\ntype = \"kms\"", "seal.type"),
        ("[seal]\ntype = \"static\"", "seal.key_file"),
        ("[seal]\nkey_env = \"X\"", "seal.key_env"),
        ("[seal]\nkey_file = \"X\"", "seal.key_file"),
        ("[seal]\ntype = \"static\"\nkey_env = \"NOT_SET\"", "seal.key_env"),
        ("[seal]\ntype = \"static\"\nkey_file = \"/nonexistent\"", "seal.key_file"),
        ("[graphql]\nintrospection = \"sometimes\"", "graphql.introspection"),
        ("[graphql]\nmax_bytes = 0", "graphql.max_bytes"),
        ("[graphql]\nmax_tokens = 0", "graphql.max_tokens"),
        ("[graphql]\nmax_depth = 31", "graphql.max_depth"),
        ("[graphql]\nmax_aliases = \"1\"", "graphql.max_aliases"),
        ("[graphql]\nmax_root_fields = 0", "graphql.max_root_fields"),
        ("[graphql]\nmax_root_mutations = 0", "graphql.max_root_mutations"),
        ("[graphql]\nmax_directives = -1", "graphql.max_directives"),
        ("[graphql]\nmax_complexity = 1.5", "graphql.max_complexity"),
        ("[graphql]\nmax_operations = 0", "graphql.max_operations"),
        ("[graphql]\nmax_variables = -1", "graphql.max_variables"),
        ("[graphql]\nmax_variables_bytes = 1", "graphql.max_variables_bytes"),
        ("[graphql]\nmax_values = 0", "graphql.max_values"),
        ("[graphql]\nmax_list_length = 0", "graphql.max_list_length"),
        ("[graphql]\nmax_json_depth = 128", "graphql.max_json_depth"),
        ("[graphql]\ncached_documents = 0", "graphql.cached_documents"),
        ("[graphql]\ndocuments = \"all\"", "graphql.documents"),
        ("[graphql]\ndocuments = \"trusted-only\"", "graphql.documents"),
        ("[graphql]\npersisted_documents = \"/nonexistent\"", "graphql.persisted_documents"),
        ("[listener]\nmax_bodies_bytes = 1", "listener.max_bodies_bytes"),
        ("[rate_limits]\nenabled = \"yes\"", "rate_limits.enabled"),
        ("[rate_limits]\ncost_per_second = 0", "rate_limits.cost_per_second"),
        ("[rate_limits]\nburst = 0", "rate_limits.burst"),
        ("[rate_limits]\nanonymous_cost_per_second = 0", "rate_limits.anonymous_cost_per_second"),
        ("[rate_limits]\nanonymous_burst = 4000000000", "rate_limits.anonymous_burst"),
        ("[rate_limits]\nfailed_logins = -1", "rate_limits.failed_logins"),
        ("[rate_limits]\nfailed_logins_window = \"2d\"", "rate_limits.failed_logins_window"),
        ("[audit]\npartitions_ahead = 0", "audit.partitions_ahead"),
        ("[log]\nformat = \"xml\"", "log.format"),
        ("[log]\nlevel = \"a=b=c\"", "log.level"),
        ("[tokens]\ndefault_ttl = \"never\"", "tokens.default_ttl"),
        ("[tokens]\nmax_ttl = \"1000000h\"", "tokens.max_ttl"),
        ("[tokens]\ndefault_ttl = \"3h\"\nmax_ttl = \"2h\"", "tokens.default_ttl"),
        ("[cluster]\nname = \"a b\"", "cluster.name"),
        ("[cache]\nbytes = 0", "cache.bytes"),
        ("[telemetry]\notlp_endpoint = \"collector:4318\"", "telemetry.otlp_endpoint"),
        ("[telemetry]\notlp_endpoint = \"http://u:s3cret@collector\"", "telemetry.otlp_endpoint"),
        ("[telemetry]\notlp_endpoint = \"ftp://collector\"", "telemetry.otlp_endpoint"),
        ("[telemetry]\nsample_ratio = 1.5", "telemetry.sample_ratio"),
        ("[telemetry]\nsample_ratio = nan", "telemetry.sample_ratio"),
        ("[telemetry]\nsample_ratio = \"1\"", "telemetry.sample_ratio"),
    ];
    for (toml, field) in table {
        let toml = if toml.contains("storage") || toml.contains("storrage") || toml.is_empty() {
            (*toml).to_owned()
        } else {
            format!("[storage]\nurl = \"x.db\"\n{toml}")
        };
        let error = load(&toml, &[]).err().unwrap_or_else(|| panic!("{toml} was taken"));
        assert_eq!(error.field(), Some(*field), "{toml}: {error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    let error = load("[storage]\nurl = \"x.db\"", &[("SECRETHUB_STORAGE__URLL", "s3cret")]).err().unwrap();
    assert_eq!(error.field(), Some("SECRETHUB_STORAGE__URLL"));
    let error = load("[storage]\nurl = \"x.db\"", &[("SECRETHUB_CACHE__BYTES", "many")]).err().unwrap();
    assert_eq!(error.field(), Some("cache.bytes"));
}

#[test]
fn rate_limits_can_be_turned_off() {
    let of = |toml: &str, environment: &[(&str, &str)]| {
        load(&format!("[storage]\nurl = \"x.db\"\n{toml}"), environment).unwrap().rates
    };
    let default = of("", &[]);
    assert!(default.work.is_some() && default.failed_logins.is_some());
    let off = of("[rate_limits]\nenabled = false\nfailed_logins = 0", &[]);
    assert!(off.work.is_none() && off.failed_logins.is_none());
    assert!(of("", &[("SECRETHUB_RATE_LIMITS__ENABLED", "false")]).work.is_none());
}

#[tokio::test]
async fn a_manifest_is_read_and_its_mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("documents.json");
    let toml = format!(
        "[storage]\nurl = \"x.db\"\n[graphql]\ndocuments = \"trusted-only\"\npersisted_documents = {path:?}"
    );
    let built = async |json: &str| {
        std::fs::write(&path, json).unwrap();
        let config = load(&toml, &[])?;
        config.documents.build(&config.graphql.limits).await
    };
    assert!(built(r#"{"me": "{ me { displayName } }"}"#).await.is_ok());
    for json in ["[]", r#"{"me": "{ nobody { displayName } }"}"#] {
        assert_eq!(built(json).await.err().unwrap().field(), Some("graphql.persisted_documents"), "{json}");
    }
}

#[test]
fn spans_go_where_the_file_or_the_environment_says() {
    let of = |toml: &str, environment: &[(&str, &str)]| {
        load(&format!("[storage]\nurl = \"x.db\"\n[telemetry]\n{toml}"), environment).unwrap().telemetry
    };
    assert_eq!(of("sample_ratio = 1", &[]), None);
    let telemetry = of("otlp_endpoint = \"https://c.example:4318/\"\nsample_ratio = 0.25", &[]).unwrap();
    assert_eq!(
        telemetry,
        Telemetry { traces_url: "https://c.example:4318/v1/traces".to_owned(), sample_ratio: 0.25 }
    );
    let variable = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
    let ratio = ("SECRETHUB_TELEMETRY__SAMPLE_RATIO", "0.5");
    let telemetry = of("", &[variable, ratio]).unwrap();
    assert_eq!(
        (telemetry.traces_url.as_str(), telemetry.sample_ratio),
        ("http://127.0.0.1:4318/v1/traces", 0.5)
    );
    let telemetry = of("otlp_endpoint = \"http://other\"", &[variable]).unwrap();
    assert_eq!(telemetry.traces_url, "http://other/v1/traces");
    assert_eq!(of("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), None);
}

#[test]
fn the_seal_key_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let read = |text: &str, mode: u32| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        key::from_file(&path).map(|key| key.expose()[31])
    };
    assert_eq!(read(&format!("{KEY}\n"), 0o600).unwrap(), 31);
    assert_eq!(read(&KEY.to_uppercase(), 0o400).unwrap(), 31);
    assert_eq!(read("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 0o600).unwrap(), 31);
    assert_eq!(read("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", 0o600).unwrap(), 31);
    for mode in [0o640, 0o604, 0o620, 0o660, 0o644] {
        let error = read(KEY, mode).unwrap_err();
        assert!(error.message().contains("chmod 600"), "{error}");
    }
    for text in ["", "abc", &KEY[2..], &format!("{KEY}00"), &"00".repeat(32), &"x".repeat(1000)] {
        assert_eq!(read(text, 0o600).unwrap_err().field(), Some("seal.key_file"), "{text}");
    }
}
