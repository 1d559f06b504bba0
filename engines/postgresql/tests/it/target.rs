//! A part of the server that one test has to itself: a database, a group, an account for the engine, an installation.

use crate::server::Server;
use chrono::{DateTime, Utc};
use secrethub_engine::{Engine, Installation, Issued, Lease, Revocation};
use secrethub_engine_postgresql::{PostgresEngine, Role};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_postgres::Client;
use uuid::Uuid;

/// What the engine's account is.
#[derive(Clone, Copy)]
pub enum Admin {
    Superuser,
    /// CREATEROLE, and on PostgreSQL 16 and later ADMIN OPTION on the group.
    Createrole,
}

pub struct Target {
    pub server: Arc<Server>,
    pub installation: Installation,
    pub database: String,
    pub group: String,
    pub admin: String,
    pub admin_password: String,
}

impl Target {
    pub async fn new(admin: Admin) -> Self {
        Self::on(Server::shared(), admin).await
    }

    /// On a server that the test may stop.
    pub async fn on(server: Arc<Server>, admin: Admin) -> Self {
        let id = Uuid::new_v4();
        let tag = id.simple().to_string().split_off(20);
        let mut mark = [0; 5];
        mark.copy_from_slice(&id.as_bytes()[..5]);
        let target = Self {
            installation: Installation::from_bytes(mark),
            database: "postgres".to_owned(),
            group: format!("Group {tag}"),
            admin: format!("admin_{tag}"),
            admin_password: format!("first-password-of-{tag}"),
            server,
        };
        let root = target.server.root("postgres").await;
        let rights = match admin {
            Admin::Superuser => "SUPERUSER",
            Admin::Createrole => "CREATEROLE",
        };
        let Self { group, admin, admin_password, .. } = &target;
        root.batch_execute(&format!(
            "CREATE ROLE \"{group}\" NOLOGIN; CREATE ROLE {admin} LOGIN {rights} PASSWORD '{admin_password}'"
        ))
        .await
        .unwrap();
        let version: i32 =
            root.query_one("SELECT current_setting('server_version_num')::int4", &[]).await.unwrap().get(0);
        if version >= 160_000 {
            let grant = format!("GRANT \"{group}\" TO {admin} WITH ADMIN OPTION, INHERIT FALSE");
            root.batch_execute(&grant).await.unwrap();
        }
        target
    }

    /// With a database of its own, in which the group may make tables.
    pub async fn with_database(admin: Admin) -> Self {
        let target = Self::new(admin).await;
        let database = format!("db {}", target.installation);
        let root = target.root().await;
        root.batch_execute(&format!("CREATE DATABASE \"{database}\"")).await.unwrap();
        let target = Self { database, ..target };
        let grant = format!("GRANT ALL ON SCHEMA public TO \"{}\"", target.group);
        target.root().await.batch_execute(&grant).await.unwrap();
        target
    }

    /// A connection to the target's database around the engine.
    pub async fn root(&self) -> Client {
        self.server.root(&self.database).await
    }

    pub fn config(&self) -> Value {
        json!({
            "host": "127.0.0.1",
            "port": self.server.port,
            "database": self.database,
            "username": self.admin,
            "password": self.admin_password,
            "tls": "disable",
        })
    }

    pub async fn engine(&self) -> PostgresEngine {
        self.engine_with(json!({})).await
    }

    /// With these fields of the configuration in place of others.
    pub async fn engine_with(&self, fields: Value) -> PostgresEngine {
        let mut config = self.config();
        for (name, value) in fields.as_object().unwrap() {
            config[name] = value.clone();
        }
        let config = serde_json::from_value(config).unwrap();
        PostgresEngine::connect(config, self.installation.clone()).await.unwrap()
    }

    pub fn role(&self) -> Role {
        role(json!({ "groups": [self.group] }))
    }

    pub async fn log_in(&self, issued: &Issued) -> Result<Client, tokio_postgres::Error> {
        self.log_in_to(&self.database, issued).await
    }

    pub async fn log_in_to(&self, database: &str, issued: &Issued) -> Result<Client, tokio_postgres::Error> {
        self.server.log_in(database, username(issued), password(issued)).await
    }

    /// The accounts of this installation, looked at around the engine.
    pub async fn accounts(&self) -> Vec<String> {
        let query = "SELECT rolname::text FROM pg_roles WHERE strpos(rolname::text, $1) > 0 ORDER BY 1";
        let rows = self.root().await.query(query, &[&self.installation.as_str()]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

pub fn role(json: Value) -> Role {
    serde_json::from_value(json).unwrap()
}

/// A lease of an hour.
pub fn lease() -> Lease {
    lease_until(3600)
}

/// A lease of so many seconds.
pub fn lease_until(seconds: i64) -> Lease {
    let now = std::fs::metadata("/proc/self").unwrap().modified().unwrap();
    let now: DateTime<Utc> = now.into();
    Lease { id: Uuid::new_v4(), expires_at: now + chrono::TimeDelta::seconds(seconds) }
}

pub fn revocation(lease: &Lease) -> Revocation<Role> {
    Revocation { lease_id: lease.id, handle: None, role: None }
}

pub fn username(issued: &Issued) -> &str {
    issued.credentials["username"].as_str().unwrap()
}

pub fn password(issued: &Issued) -> &str {
    issued.credentials["password"].as_str().unwrap()
}
