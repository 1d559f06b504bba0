//! Stored ciphertexts flipped, cut or moved: an error for that record, and the server goes on.

use crate::support::sql::Sql;
use crate::support::{Server, Store};
use serde_json::json;

/// The bytes of a record with one bit of one byte turned over. `at` counts from the end when negative.
fn flipped(hex: &str, at: isize) -> String {
    let mut bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    let at = if at < 0 { bytes.len() - at.unsigned_abs() } else { at.unsigned_abs() };
    bytes[at] ^= 0x10;
    data_encoding::HEXLOWER.encode(&bytes)
}

fn where_is(path: &str, version: i64) -> String {
    format!("secret_id = (SELECT id FROM secrets WHERE secret_path = '{path}') AND version = {version}")
}

async fn ciphertext(sql: &mut Sql, path: &str, version: i64) -> String {
    let column = sql.hex("encrypted_data");
    let query = format!("SELECT {column} FROM secret_versions WHERE {}", where_is(path, version));
    sql.rows(&query).await.remove(0).remove(0).unwrap()
}

async fn store_bytes(sql: &mut Sql, path: &str, version: i64, hex: &str) {
    let bytes = sql.bytes(hex);
    let statement =
        format!("UPDATE secret_versions SET encrypted_data = {bytes} WHERE {}", where_is(path, version));
    assert_eq!(sql.run(&statement).await, 1);
}

both_stores!(ciphertexts, keys);

async fn ciphertexts(store: Store) {
    let mut server = Server::unsealed(store).await;
    let root = server.root.clone();
    let names = [
        "whole",
        "flip0",
        "flip1",
        "flip3",
        "flip20",
        "flip_last",
        "cut",
        "empty",
        "longer",
        "moved",
        "older",
        "swapped",
        "column",
        "keyversion",
        "text",
    ];
    for name in names {
        for version in 1..=2 {
            server.put(&root, &format!("t.{name}"), json!({"value": name, "of": version})).await.ok();
        }
    }
    server.stop().await;

    let mut sql = Sql::open(&server.database.url).await;
    for (name, at) in [("flip0", 0), ("flip1", 1), ("flip3", 3), ("flip20", 20), ("flip_last", -1)] {
        let bytes = ciphertext(&mut sql, &format!("t.{name}"), 2).await;
        store_bytes(&mut sql, &format!("t.{name}"), 2, &flipped(&bytes, at)).await;
    }
    let bytes = ciphertext(&mut sql, "t.cut", 2).await;
    store_bytes(&mut sql, "t.cut", 2, &bytes[..bytes.len() - 2]).await;
    store_bytes(&mut sql, "t.empty", 2, "").await;
    let bytes = ciphertext(&mut sql, "t.longer", 2).await;
    store_bytes(&mut sql, "t.longer", 2, &format!("{bytes}00")).await;
    // another secret's ciphertext of the same version; an older version of its own; two exchanged
    let other = ciphertext(&mut sql, "t.whole", 2).await;
    store_bytes(&mut sql, "t.moved", 2, &other).await;
    let older = ciphertext(&mut sql, "t.older", 1).await;
    store_bytes(&mut sql, "t.older", 2, &older).await;
    let (one, two) = (ciphertext(&mut sql, "t.swapped", 1).await, ciphertext(&mut sql, "t.swapped", 2).await);
    store_bytes(&mut sql, "t.swapped", 1, &two).await;
    store_bytes(&mut sql, "t.swapped", 2, &one).await;
    // a ciphertext of another column of another table
    let column = sql.hex("audit_private_key_encrypted");
    let sealed = sql.rows(&format!("SELECT {column} FROM seal_config")).await.remove(0).remove(0).unwrap();
    store_bytes(&mut sql, "t.column", 2, &sealed).await;
    sql.run(&format!("UPDATE secret_versions SET key_version = 7 WHERE {}", where_is("t.keyversion", 2)))
        .await;
    store_bytes(&mut sql, "t.text", 2, &data_encoding::HEXLOWER.encode(br#"{"value": "plain"}"#)).await;

    server.launch().await;
    server.unseal().await;
    for name in names.iter().skip(1).filter(|name| **name != "keyversion") {
        let path = format!("t.{name}");
        let reply = server.read(&root, &path).await;
        assert_eq!(reply.code(), Some("INTERNAL"), "{path}: {}", reply.body);
        assert!(reply.errors[0].pointer("/extensions/requestId").is_some(), "{path}: {}", reply.body);
        assert!(reply.data["secret"]["data"].is_null(), "{path}: {}", reply.body);
        if *name != "swapped" {
            let first = server.read_version(&root, &path, 1).await.ok();
            assert_eq!(
                first["secret"]["data"],
                json!({"value": name, "of": 1}),
                "the other version is whole"
            );
        }
    }
    // the column is for finding what to rewrap: which key a record is under, the record itself says, or else it is refused
    let keyversion = server.read(&root, "t.keyversion").await;
    if keyversion.is_ok() {
        assert_eq!(keyversion.data["secret"]["data"], json!({"value": "keyversion", "of": 2}));
    } else {
        keyversion.refused("INTERNAL");
    }
    server.read_version(&root, "t.swapped", 1).await.refused("INTERNAL");
    let whole = server.read(&root, "t.whole").await.ok();
    assert_eq!(whole["secret"]["data"], json!({"value": "whole", "of": 2}));
    // a damaged record can be written over, and one damaged record stops no rotation
    server.put(&root, "t.flip20", json!({"value": "new"})).await.ok();
    assert_eq!(server.read(&root, "t.flip20").await.ok()["secret"]["data"], json!({"value": "new"}));
    server.as_root("mutation { rotateEncryptionKey { keyVersion } }", json!({})).await.ok();
    let rewrapped =
        format!("SELECT count(*) FROM secret_versions WHERE {} AND key_version = 2", where_is("t.whole", 2));
    let since = std::time::Instant::now();
    while sql.number(&rewrapped).await == 0 {
        assert!(since.elapsed().as_secs() < 60, "damaged records stop the rewrapping of whole ones");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    server.audit_is_whole().await;
}

/// Damaged keys: the server does not come up with wrong ones, it says that it cannot unseal.
async fn keys(store: Store) {
    let mut server = Server::unsealed(store).await;
    let root = server.root.clone();
    server.put(&root, "t.whole", json!({"k": "v"})).await.ok();
    server.stop().await;
    let mut sql = Sql::open(&server.database.url).await;
    for (table, column) in [
        ("seal_config", "wrapped_root_key"),
        ("seal_config", "audit_private_key_encrypted"),
        ("keyring", "wrapped_key"),
    ] {
        let select = format!("SELECT {} FROM {table}", sql.hex(column));
        let good = sql.rows(&select).await.remove(0).remove(0).unwrap();
        let (bad, good) = (sql.bytes(&flipped(&good, -1)), sql.bytes(&good));
        sql.run(&format!("UPDATE {table} SET {column} = {bad}")).await;
        server.launch().await;
        let mut last = None;
        for share in server.shares.iter().take(2) {
            last = Some(server.give_share(share).await);
        }
        let last = last.unwrap();
        assert!(!last.is_ok(), "{table}.{column}: {}", last.body);
        let status = server.graphql(None, "{ sealStatus { sealed } }", json!({})).await.ok();
        assert_eq!(status["sealStatus"]["sealed"], json!(true), "{table}.{column}");
        server.stop().await;
        sql.run(&format!("UPDATE {table} SET {column} = {good}")).await;
    }
    server.launch().await;
    server.unseal().await;
    assert_eq!(server.read(&root, "t.whole").await.ok()["secret"]["data"], json!({"k": "v"}));
    server.audit_is_whole().await;
}
