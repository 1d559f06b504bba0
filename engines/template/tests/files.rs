//! The conformance kit on a directory of its own for each test, and what is special to files.

#![allow(clippy::unwrap_used, reason = "tests")]

use secrethub_engine::conformance::{Client, Fixture, Kit, installation};
use secrethub_engine::{ErrorKind, Lease};
use secrethub_engine_template::Files;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;
use uuid::Uuid;

struct Directory(TempDir);

secrethub_engine::conformance!(Directory);

impl Directory {
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Fixture for Directory {
    type Engine = Files;

    async fn start() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn config(&self) -> Value {
        json!({ "directory": self.0.path(), "password": { "length": 24 } })
    }

    fn role(&self) -> Value {
        json!({ "group": "staff" })
    }

    // as the program that reads the directory would
    async fn works(&self, credentials: &Value) -> bool {
        let Ok(bytes) = fs::read(self.0.path().join(credentials["username"].as_str().unwrap())) else {
            return false;
        };
        let entry: Value = serde_json::from_slice(&bytes).unwrap();
        let hash = Sha256::digest(credentials["password"].as_str().unwrap());
        entry["password_sha256"] == data_encoding::HEXLOWER.encode(&hash)
            && entry["group"] == credentials["group"]
    }

    async fn accounts(&self) -> Vec<String> {
        self.names().into_iter().filter(|name| name.contains(installation().as_str())).collect()
    }

    async fn plant_foreign(&self) {
        fs::write(self.0.path().join("boss"), "hers").unwrap();
    }

    async fn foreign_is_there(&self) -> bool {
        fs::read(self.0.path().join("boss")).is_ok_and(|bytes| bytes == b"hers")
    }
}

#[tokio::test]
async fn files_are_private_and_hold_no_password() {
    let kit = Kit::<Directory>::start().await;
    let lease = Lease { id: Uuid::new_v4(), expires_at: Default::default() };
    let issued = kit.issue(&lease).await;
    assert_eq!(kit.fixture.names(), [installation().name(lease.id)], "no temporary file is left");
    let path = kit.fixture.0.path().join(installation().name(lease.id));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(issued.credentials["password"].as_str().unwrap()), "{text}");
}

#[tokio::test]
async fn what_will_never_do_is_told_from_what_may_pass() {
    let relative = Client::connect::<Files>(json!({ "directory": "here" }), installation()).await;
    assert_eq!(relative.err().unwrap().field.as_deref(), Some("directory"));
    let config = json!({ "directory": "/no/such/directory" });
    let client = Client::connect::<Files>(config, installation()).await.unwrap();
    assert_eq!(client.list().await.unwrap_err().kind, ErrorKind::Refused);
    let kit = Kit::<Directory>::start().await;
    let lease = Lease { id: Uuid::new_v4(), expires_at: Default::default() };
    let error = kit.client.issue(&json!({ "group": "a b" }), &lease).await.err().unwrap();
    assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::BadInput, Some("group")));
    let outside = json!({ "username": "../../etc/passwd", "password": "x" });
    assert_eq!(kit.client.try_credentials(&outside).await.unwrap_err().kind, ErrorKind::Refused);
}
