//! What goes over the socket between the server and an engine's process.
//!
//! A frame is its length (4 bytes, big endian) and that many bytes of JSON. The process speaks first: the host says how it is
//! confined ([`FromEngine::Sandbox`]) or why it cannot load the plugin, then the plugin says what it is
//! ([`FromEngine::Hello`]). From then on the server calls ([`ToEngine::Call`]) and the plugin answers, in any order; an
//! id is used once. A frame longer than [`MAX_FRAME`], one that does not parse, or an answer to what was not asked ends the
//! process.

use crate::{EngineError, Installation, Lease, Live, Revocation, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

/// The version of what is said; both sides must have the same.
pub const PROTOCOL: u32 = 1;
/// The longest frame, in bytes without its length.
pub const MAX_FRAME: usize = 16 << 20;

/// What the server says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToEngine {
    Call {
        id: u64,
        /// How long the engine may take, in milliseconds; it then answers that it took too long.
        deadline_ms: u64,
        operation: Operation,
    },
    /// Nobody waits for this call any more. It is answered all the same, since calls are counted.
    Cancel { id: u64 },
}

/// What is asked for. `role` and `config` are checked against the engine's types by the plugin.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Comes first, and once. Answered by nothing.
    Connect {
        config: Value,
        installation: Installation,
    },
    Check,
    CheckRole {
        role: Value,
    },
    /// Answered by [`crate::Issued`].
    Issue {
        role: Value,
        lease: Lease,
    },
    Renew {
        role: Value,
        lease: Lease,
        handle: Value,
    },
    /// Answered by a list of [`Done`], one for each.
    Revoke {
        revocations: Vec<Revocation<Value>>,
    },
    TryCredentials {
        credentials: Value,
    },
    /// Answered by a list of [`crate::Account`]s.
    List,
    Restore {
        live: Live<Value>,
    },
    /// Answered by a configuration.
    ProposeRoot,
    RotateRoot {
        proposal: Value,
    },
    RotateAccount {
        account: String,
        password: SecretString,
    },
}

/// What the process says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromEngine {
    Sandbox(Sandbox),
    /// The plugin cannot be loaded; the process ends.
    Failed {
        message: String,
    },
    Hello(Hello),
    Answer {
        id: u64,
        outcome: Outcome,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok(Value),
    Error(EngineError),
}

/// One result of [`Operation::Revoke`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    Ok,
    Error(EngineError),
}

/// How the process is confined, as the host found out by doing it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    pub no_new_privs: bool,
    pub not_dumpable: bool,
    pub rlimits: bool,
    /// The Landlock version in force; 0 if there is none.
    pub landlock: u32,
    pub seccomp: bool,
}

/// What a plugin is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub protocol: u32,
    pub kind: String,
    /// The version of the plugin's crate.
    pub version: String,
    /// JSON Schema (2020-12) of the engine's configuration; secrets in it are `writeOnly`.
    pub config_schema: Value,
    pub role_schema: Value,
    /// Whether it makes accounts anew that a target has lost.
    #[serde(default)]
    pub restores: bool,
}

/// A message as a frame. It may hold secrets: it is wiped when it goes.
///
/// # Errors
/// If it is longer than [`MAX_FRAME`].
pub fn encode<T: Serialize>(message: &T) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut frame = Zeroizing::new(Vec::with_capacity(4096));
    frame.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut *frame, message)?;
    let length = frame.len() - 4;
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long for a frame"));
    }
    let length = u32::try_from(length).map_err(io::Error::other)?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

/// Sends one message.
///
/// # Errors
/// As the socket, and as [`encode`].
pub async fn write<T: Serialize>(out: &mut (impl AsyncWrite + Unpin), message: &T) -> io::Result<()> {
    out.write_all(&encode(message)?).await
}

/// Receives one message; `None` at the orderly end. Not to be dropped halfway: what was read of a frame would be lost.
///
/// # Errors
/// As the socket; `UnexpectedEof` if it ends within a frame; `InvalidData` if the frame is too long or does not parse. What came is not repeated.
pub async fn read<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    if from.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[1..]).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long"));
    }
    // grows with what really comes, so that a length alone costs nothing
    let mut frame = Zeroizing::new(Vec::with_capacity(length.min(64 << 10)));
    let mut rest = from.take(length as u64);
    rest.read_to_end(&mut frame).await?;
    if frame.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&frame)
        .map(Some)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a frame does not parse"))
}
