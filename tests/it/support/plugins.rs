//! The built plugins as a configuration file names them, and engines on a PostgreSQL server of the tests.

use super::server::program;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The section `engines` that pins the PostgreSQL engine, built beside the program.
pub fn postgresql_section() -> String {
    section("postgresql")
}

/// The section `engines` that pins the plugin of this name, built beside the program.
pub fn section(name: &str) -> String {
    let file = program().with_file_name(format!("libsecrethub_engine_{name}.so"));
    let bytes = std::fs::read(&file).expect("the plugins are built: run 'cargo build --workspace'");
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(bytes));
    format!(
        "[engines]\nsandbox = \"best-effort\"\n\n[[engines.plugins]]\nfile = {file:?}\nsha256 = \"{hash}\"\n"
    )
}

/// An engine's configuration for the server at this URL, as this account.
pub fn postgresql_config(url: &str, username: &str, password: &str) -> Value {
    let address = url.rsplit_once('@').expect("a URL with an account").1;
    let (host_and_port, _) = address.split_once('/').unwrap_or((address, ""));
    let (host, port) = host_and_port.rsplit_once(':').expect("a URL with a port");
    json!({
        "host": host, "port": port.parse::<u16>().unwrap(), "username": username, "password": password, "tls": "disable"
    })
}
