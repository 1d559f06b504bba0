use super::*;
use serde_json::{Value, json};

fn config() -> Config {
    serde_json::from_value(json!({ "access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "s" }))
        .unwrap()
}

fn refused_at(role: &Value) -> Option<String> {
    let role: Role = serde_json::from_value(role.clone()).unwrap();
    role.validate(&config()).err().map(|error| error.field.unwrap())
}

fn document() -> Value {
    json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }] })
}

#[test]
fn one_of_each_is_valid() {
    let policy = "arn:aws:iam::123456789012:policy/p";
    for role in [
        json!({ "iam_user": {} }),
        json!({ "iam_user": {
            "groups": ["readers"], "policies": { "s3": document() }, "managed_policies": [policy],
            "permissions_boundary": policy, "path": "/secrethub/ci/", "tags": { "team": "a b" },
            "deny_after_expiry": true,
        } }),
        json!({ "assume_role": { "role_arn": "arn:aws:iam::123456789012:role/r", "session_policy": document(),
            "managed_policies": [policy], "external_id": "x:y" } }),
        json!({ "federation_token": { "session_policy": document() } }),
    ] {
        assert_eq!(refused_at(&role), None, "{role}");
    }
}

#[test]
fn what_will_never_do_is_refused_by_its_field() {
    let long = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "s3:*", "Resource": "r".repeat(2000) }] });
    for (role, field) in [
        (json!({}), ""),
        (json!({ "iam_user": {}, "federation_token": {} }), ""),
        (json!({ "iam_user": { "groups": ["a", "b c"] } }), "iam_user.groups[1]"),
        (json!({ "iam_user": { "groups": vec!["g"; 11] } }), "iam_user.groups"),
        (json!({ "iam_user": { "policies": { "p": {} } } }), "iam_user.policies.p.Statement"),
        (json!({ "iam_user": { "policies": { "a/b": document() } } }), "iam_user.policies.a/b"),
        (json!({ "iam_user": { "policies": { "p": long } } }), "iam_user.policies"),
        (
            json!({ "iam_user": { "policies": { "secrethub-expiry": document() }, "deny_after_expiry": true } }),
            "iam_user.policies",
        ),
        (json!({ "iam_user": { "managed_policies": ["ReadOnly"] } }), "iam_user.managed_policies[0]"),
        (json!({ "iam_user": { "permissions_boundary": "x" } }), "iam_user.permissions_boundary"),
        (json!({ "iam_user": { "path": "/other/" } }), "iam_user.path"),
        (json!({ "iam_user": { "tags": { "secrethub:lease": "x" } } }), "iam_user.tags.secrethub:lease"),
        (json!({ "iam_user": { "tags": { "A": "x", "a": "y" } } }), "iam_user.tags.a"),
        (json!({ "iam_user": { "tags": { "a": "<" } } }), "iam_user.tags.a"),
        (json!({ "assume_role": { "role_arn": "r" } }), "assume_role.role_arn"),
        (
            json!({ "assume_role": { "role_arn": "arn:aws:iam::123456789012:role/r", "external_id": " " } }),
            "assume_role.external_id",
        ),
        (json!({ "federation_token": {} }), "federation_token"),
        (
            json!({ "federation_token": { "session_policy": {} } }),
            "federation_token.session_policy.Statement",
        ),
    ] {
        assert_eq!(refused_at(&role).as_deref(), Some(field), "{role}");
    }
}

#[test]
fn unknown_fields_are_refused_at_every_level() {
    for role in [
        json!({ "iam_user": {}, "x": 1 }),
        json!({ "iam_user": { "x": 1 } }),
        json!({ "assume_role": { "role_arn": "r", "x": 1 } }),
        json!({ "federation_token": { "x": 1 } }),
    ] {
        let error = serde_json::from_value::<Role>(role).unwrap_err();
        assert!(error.to_string().contains("unknown field `x`"), "{error}");
    }
}
