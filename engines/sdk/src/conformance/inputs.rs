//! Configurations and roles: what is refused, and what is not shown.

use super::kit::lease;
use super::{Client, DEADLINE, Fixture, Kit, installation, schema};
use crate::wire::Operation;
use crate::{Engine, EngineError, ErrorKind, Result};
use serde_json::{Value, json};
use std::fmt::Debug;

/// A field that no engine has.
const NO_FIELD: &str = "no_engine_has_this_field";
/// A value that must not come back.
const MARKER: &str = "kit-marker-5ec2e7";
const NUMBER: u64 = 918_273_645_546_372;

pub async fn unknown_fields_are_refused_by_name<F: Fixture>() {
    let kit = Kit::<F>::start().await;
    let with = |mut json: Value| {
        json[NO_FIELD] = json!(MARKER);
        json
    };
    for (what, result) in [
        ("Config", connect::<F>(with(kit.fixture.config())).await),
        ("Role", check(&kit, with(kit.fixture.role())).await),
    ] {
        let error = refused(result, &format!("`{what}` MUST refuse unknown fields"));
        assert!(error.to_string().contains(NO_FIELD), "the unknown field is named: {error}");
        assert!(!error.to_string().contains(MARKER), "secrets MUST NOT be in errors: {what} repeats a value");
    }
}

pub async fn wrong_types_are_refused_by_name<F: Fixture>() {
    let kit = Kit::<F>::start().await;
    for (field, json) in wrong_types(&kit.fixture.config()) {
        assert_names(connect::<F>(json).await, "Config", &field);
    }
    for (field, json) in wrong_types(&kit.fixture.role()) {
        assert_names(check(&kit, json).await, "Role", &field);
    }
    for json in [json!(MARKER), Value::Null, json!([MARKER])] {
        refused(connect::<F>(json.clone()).await, "`Config` is an object");
        refused(check(&kit, json).await, "`Role` is an object");
    }
}

/// The same, with one field after another of a wrong type.
fn wrong_types(right: &Value) -> Vec<(String, Value)> {
    let fields = right.as_object().into_iter().flatten();
    fields
        .filter(|(_, value)| !value.is_null())
        .map(|(field, value)| {
            let mut json = right.clone();
            json[field] = if value.is_string() { json!(NUMBER) } else { json!(MARKER) };
            (field.clone(), json)
        })
        .collect()
}

fn assert_names(result: Result<()>, what: &str, field: &str) {
    let error = refused(result, &format!("`{what}` refuses a wrong type in `{field}`"));
    let named = error.field.clone().unwrap_or_default();
    assert!(named.starts_with(field), "`{what}` names `{field}`, which has a wrong type: {error:?}");
    let shown = format!("{error} {error:?}");
    for value in [MARKER.to_owned(), NUMBER.to_string()] {
        assert!(!shown.contains(&value), "secrets MUST NOT be in errors: `{what}.{field}` repeats a value");
    }
}

fn refused(result: Result<()>, sentence: &str) -> EngineError {
    match result {
        Ok(()) => panic!("{sentence}: it was taken"),
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::BadInput, "{sentence}: {error:?}");
            error
        }
    }
}

pub async fn secrets_of_the_configuration_are_marked<F: Fixture>() {
    let kit = Kit::<F>::start().await;
    let hello = kit.client.hello();
    let fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    assert!(!hello.kind.is_empty() && hello.kind.chars().all(fit), "`KIND` is letters, digits and '-'");
    for schema in [&hello.config_schema, &hello.role_schema] {
        assert!(schema.is_object(), "a schema is an object");
        assert_eq!(
            schema["additionalProperties"],
            json!(false),
            "the schema says that no other field is taken"
        );
    }
    let config = kit.fixture.config();
    for (number, secret) in kit.fixture.secrets().iter().enumerate() {
        let places = schema::places_of(&config, secret);
        assert!(!places.is_empty(), "secret {number} of the fixture is in its configuration");
        for place in places {
            assert!(
                schema::is_write_only(&hello.config_schema, &place),
                "secrets in `Config` MUST be `SecretString`s: {}",
                place.join(".")
            );
        }
    }
}

pub async fn a_wrong_secret_is_not_repeated<F: Fixture>() {
    let kit = Kit::<F>::start().await;
    let mut config = kit.fixture.config();
    for secret in kit.fixture.secrets() {
        schema::replace(&mut config, &secret, MARKER);
    }
    if config == kit.fixture.config() {
        return;
    }
    let client = match Client::connect::<F::Engine>(config, installation()).await {
        Ok(client) => client,
        Err(error) => return assert_no_marker(&error),
    };
    let issue = Operation::Issue { role: kit.fixture.role(), lease: lease() };
    for operation in [Operation::Check, issue, Operation::List] {
        match client.call(operation, DEADLINE).await {
            Ok(_) => panic!("a configuration with a wrong secret does not work"),
            Err(error) => assert_no_marker(&error),
        }
    }
    kit.assert_accounts(0, "a configuration with a wrong secret issues nothing").await;
}

fn assert_no_marker(error: &EngineError) {
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(MARKER), "secrets MUST NOT be in errors: a wrong one is repeated");
}

async fn connect<F: Fixture>(config: Value) -> Result<()> {
    Client::connect::<F::Engine>(config, installation()).await.map(|_| ())
}

async fn check<F: Fixture>(kit: &Kit<F>, role: Value) -> Result<()> {
    kit.client.call(Operation::CheckRole { role }, DEADLINE).await.map(|_| ())
}

/// The fixture's configuration as the engine's type.
///
/// # Panics
/// If it is not of that type.
pub fn config_of<F: Fixture>(fixture: &F) -> <F::Engine as Engine>::Config {
    super::typed(fixture.config())
}

/// # Panics
/// If a secret of the configuration is in the text.
pub fn assert_no_secret_is_shown<F: Fixture>(fixture: &F, shown: &str) {
    for secret in fixture.secrets() {
        assert!(
            !shown.contains(&secret),
            "secrets MUST NOT be in `Debug`: that of the configuration has one"
        );
    }
}

/// Finds out whether a type has `Debug`: of the two methods below the first is taken where there is one.
pub struct Probe<'a, T>(pub &'a T);

pub trait Debuggable {
    /// What `Debug` shows.
    fn shown(&self) -> String;
}

impl<T: Debug> Debuggable for Probe<'_, T> {
    fn shown(&self) -> String {
        format!("{:?} {:#?}", self.0, self.0)
    }
}

pub trait NotDebuggable {
    /// Nothing: there is no `Debug`.
    fn shown(&self) -> String;
}

impl<T> NotDebuggable for &Probe<'_, T> {
    fn shown(&self) -> String {
        String::new()
    }
}
