//! Opening stored records, also those that another node has sealed with a data key that this one has not read yet.

use super::super::App;
use super::refresh_keyring;
use crate::crypto::barrier::{RecordName, key_version_of};
use crate::crypto::memory::Secret;
use crate::error::Result;

/// Makes sure that this node holds the data key which a record is sealed with, if any node does. Reads the keyring only if it does
/// not. Never call it within a change, as [`refresh_keyring`].
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`.
pub async fn know_key(app: &App, sealed: &[u8]) -> Result<()> {
    let known = match key_version_of(sealed) {
        Some(version) => app.keys.get()?.barrier.keyring().get(version).is_some(),
        // what is no envelope does not open with any key
        None => true,
    };
    if known { Ok(()) } else { refresh_keyring(app).await }
}

/// A stored record in the clear. Never call it within a change, as [`refresh_keyring`].
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`, internal if the record does not open: that is in the log, with its name.
pub async fn open_record(app: &App, name: &RecordName<'_>, sealed: &[u8]) -> Result<Secret> {
    know_key(app, sealed).await?;
    app.keys.get()?.barrier.open(name, sealed).map_err(|error| {
        let RecordName { table, column, id, version } = name;
        tracing::error!(table, column, id, version, %error, "a stored record does not open");
        error.into()
    })
}
