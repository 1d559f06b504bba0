//! What every engine must do.

use crate::target::{Admin, Target};
use secrethub_engine::conformance::{Fixture, installation};
use secrethub_engine_postgresql::PostgresEngine;
use serde_json::{Value, json};

struct Postgres {
    target: Target,
    foreign: String,
}

impl Fixture for Postgres {
    type Engine = PostgresEngine;

    async fn start() -> Self {
        let mut target = Target::new(Admin::Createrole).await;
        // names of another installation, or nearly those of this one
        let foreign = format!("shub_{}x", target.installation);
        target.installation = installation();
        Self { target, foreign }
    }

    fn config(&self) -> Value {
        self.target.config()
    }

    fn role(&self) -> Value {
        json!({ "groups": [self.target.group], "connection_limit": 5 })
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.target.admin_password.clone()]
    }

    async fn works(&self, credentials: &Value) -> bool {
        let text = |name: &str| credentials[name].as_str().unwrap().to_owned();
        let login = self.target.server.log_in(&text("database"), &text("username"), &text("password")).await;
        match login {
            Ok(client) => client.query_one("SELECT 1", &[]).await.is_ok(),
            Err(_) => false,
        }
    }

    async fn accounts(&self) -> Vec<String> {
        self.target.accounts().await
    }

    async fn plant_foreign(&self) {
        let text = format!("CREATE ROLE {} LOGIN PASSWORD 'foreign'", self.foreign);
        self.target.root().await.batch_execute(&text).await.unwrap();
    }

    async fn foreign_is_there(&self) -> bool {
        self.target.server.log_in("postgres", &self.foreign, "foreign").await.is_ok()
    }
}

secrethub_engine::conformance!(Postgres);
