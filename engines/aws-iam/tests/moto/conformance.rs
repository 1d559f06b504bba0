//! The conformance kit of the SDK.

use crate::target::{Moto, document};
use secrethub_engine::conformance::{Fixture, installation};
use secrethub_engine_aws_iam::AwsIam;
use serde_json::{Value, json};
use std::time::Duration;

impl Fixture for Moto {
    type Engine = AwsIam;

    async fn start() -> Self {
        Moto::start().await
    }

    fn config(&self) -> Value {
        self.config()
    }

    fn role(&self) -> Value {
        json!({ "iam_user": { "policies": { "list": document(&["iam:ListUsers"]) }, "path": "/secrethub/kit/" } })
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.key["secret_access_key"].as_str().unwrap().to_owned()]
    }

    /// moto answers what it has begun, and on a busy machine it is slow.
    fn settling(&self) -> Duration {
        Duration::from_secs(3)
    }

    async fn works(&self, credentials: &Value) -> bool {
        self.client(credentials).list_users().send().await.is_ok()
    }

    async fn accounts(&self) -> Vec<String> {
        self.users().await.into_iter().filter(|name| name.contains(installation().as_str())).collect()
    }

    async fn plant_foreign(&self) {
        self.admin.create_user().user_name("alice").path("/secrethub/").send().await.unwrap();
    }

    async fn foreign_is_there(&self) -> bool {
        self.users().await.iter().any(|name| name == "alice")
    }
}

secrethub_engine::conformance!(Moto);
