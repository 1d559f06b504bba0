//! TLS to the target.

use crate::target::{Admin, Target, lease};
use secrethub_engine::{Engine, ErrorKind, Result};
use secrethub_engine_postgresql::{Config, PostgresEngine};
use serde_json::{Value, json};

async fn check(target: &Target, fields: Value) -> Result<()> {
    let mut config = target.config();
    for (name, value) in fields.as_object().unwrap() {
        config[name] = value.clone();
    }
    let config: Config = serde_json::from_value(config).unwrap();
    PostgresEngine::connect(config, target.installation.clone()).await?.check().await
}

#[tokio::test]
async fn certificates_are_checked() {
    let target = Target::new(Admin::Createrole).await;
    let (ca, other) = (target.server.pem("ca"), target.server.pem("other"));
    let full = |host: &str, pem: &str| json!({ "host": host, "tls": "verify-full", "ca_pem": pem });
    check(&target, full("localhost", &ca)).await.unwrap();
    check(&target, full("localhost", &format!("{other}\n{ca}"))).await.unwrap();
    check(&target, json!({ "tls": "require" })).await.unwrap();
    for (fields, words) in [
        (full("localhost", &other), "UnknownIssuer"),
        // it is the same server, but not by this name
        (full("127.0.0.1", &ca), "not valid for name"),
        (json!({ "host": "localhost", "tls": "verify-full" }), "UnknownIssuer"),
    ] {
        let error = check(&target, fields).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused, "{error}");
        assert!(error.message.contains(words), "{error}");
    }
    for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let error = check(&target, full("localhost", pem)).await.unwrap_err();
        assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::BadInput, Some("ca_pem")), "{error}");
    }
}

#[tokio::test]
async fn connections_are_encrypted_and_verified_unless_told_otherwise() {
    let target = Target::new(Admin::Createrole).await;
    let mut config = target.config();
    config.as_object_mut().unwrap().remove("tls");
    let error = check(&target, json!({ "tls": "verify-full" })).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    let config: Config = serde_json::from_value(config).unwrap();
    assert_eq!(serde_json::to_value(config.tls).unwrap(), "verify-full");

    let ca = target.server.pem("ca");
    let engine = target.engine_with(json!({ "host": "localhost", "tls": "verify-full", "ca_pem": ca })).await;
    let issued = engine.issue(&target.role(), &lease()).await.unwrap();
    engine.try_credentials(&issued.credentials).await.unwrap();
    let query = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = $1";
    let row = target.root().await.query_one(query, &[&target.admin]).await.unwrap();
    assert_eq!(row.get::<_, Option<bool>>(0), Some(true));
}
