//! What the tests stand on: a server process, the two stores, and the calls that most tests make.

pub mod calls;
pub mod plugins;
pub mod postgres;
pub mod redis;
pub mod server;
pub mod sql;
pub mod store;
pub mod writers;

pub use calls::Reply;
pub use server::{Options, Server};
pub use store::Store;

/// Makes, of each `async fn name(store: Store)` named, one test for SQLite and one for PostgreSQL.
macro_rules! both_stores {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name($crate::support::Store::Sqlite).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$name($crate::support::Store::Postgres).await;
            }
        }
    )+};
}

/// The value at a JSON pointer, as text; panics with the whole document when it is not there.
pub fn text<'a>(value: &'a serde_json::Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(serde_json::Value::as_str)
        .unwrap_or_else(|| panic!("no text at {pointer} in {value}"))
}
