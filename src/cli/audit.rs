//! `secrethub audit`: fetch the log, and check it without trusting the server.

use super::client::{Client, ServerArgs};
use super::failure::{FAILED, Failure};
use crate::crypto::audit::{Anchor, ChainVerifier, Checkpoint, Fault, Problem, Summary};
use crate::crypto::export::{ReadError, read_csv, read_jsonl};
use crate::model::audit::AuditEvent;
use data_encoding::HEXLOWER_PERMISSIVE;
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(clap::Subcommand, Debug)]
enum AuditCommand {
    /// Write the audit log of a running server to a file or to standard output. Needs a token.
    Export {
        #[command(flatten)]
        server: ServerArgs,
        /// The first sequence number.
        #[arg(long, default_value_t = 1)]
        from: i64,
        #[arg(long, value_enum, default_value_t = Format::Jsonl)]
        format: Format,
        /// The file to write; without it, standard output.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Check an exported log offline. Exit code 0: unaltered; 1: altered; 2: it could not be checked.
    Verify {
        file: PathBuf,
        /// The public key of the log, as `auditCheckpoint` gives it.
        #[arg(long, value_name = "HEX")]
        public_key: String,
        /// A checkpoint noted earlier: SEQUENCE:HASH:SIGNATURE in hex, or a file with the JSON of `auditCheckpoint`. Finds a
        /// log whose end was cut off or that was rewritten as a whole.
        #[arg(long, value_name = "SEQ:HASH:SIG|FILE")]
        checkpoint: Option<String>,
        /// By default from the file's extension.
        #[arg(long, value_enum)]
        format: Option<Format>,
        /// Take a part of a log that does not begin with event 1. What came before it is then not checked.
        #[arg(long)]
        partial: bool,
    },
}

#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Jsonl,
    Csv,
}

pub async fn run(args: AuditArgs) -> Result<ExitCode, Failure> {
    match args.command {
        AuditCommand::Export { server, from, format, output } => {
            export(&Client::new(&server)?, from, format, output.as_deref()).await?;
            Ok(ExitCode::SUCCESS)
        }
        AuditCommand::Verify { file, public_key, checkpoint, format, partial } => {
            let public_key = hex::<32>(&public_key)
                .ok_or_else(|| Failure::misused("the public key is 64 hexadecimal digits"))?;
            let checkpoint = checkpoint.as_deref().map(read_checkpoint).transpose()?;
            let format = match format {
                Some(format) => format,
                None => by_extension(&file)?,
            };
            let verdict = verify(&file, format, public_key, checkpoint.as_ref(), partial)?;
            report(&mut std::io::stdout().lock(), &verdict, checkpoint.as_ref(), partial)
        }
    }
}

async fn export(client: &Client, from: i64, format: Format, output: Option<&Path>) -> Result<(), Failure> {
    client.require_token()?;
    let name = if format == Format::Csv { "csv" } else { "jsonl" };
    let mut response = client.stream(&format!("/v1/audit/export?from={from}&format={name}")).await?;
    let mut out: Box<dyn Write> =
        match output {
            // readable by its owner alone, as the log is on the server
            Some(path) => Box::new(
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(
                    |error| Failure::new(format!("{} cannot be written: {error}", path.display())),
                )?,
            ),
            None => Box::new(std::io::stdout().lock()),
        };
    let broken = |_| Failure::new("the export broke off: what was written is not complete");
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        out.write_all(&chunk)?;
    }
    out.flush()?;
    Ok(())
}

fn verify(
    path: &Path,
    format: Format,
    public_key: [u8; 32],
    checkpoint: Option<&Checkpoint>,
    partial: bool,
) -> Result<Verdict, Failure> {
    let file = File::open(path)
        .map_err(|error| Failure::misused(format!("{} cannot be read: {error}", path.display())))?;
    let reader = BufReader::with_capacity(1 << 20, file);
    let events: Box<dyn Iterator<Item = Result<AuditEvent, ReadError>>> = match format {
        Format::Jsonl => Box::new(read_jsonl(reader)),
        Format::Csv => Box::new(read_csv(reader)),
    };
    check(events, public_key, checkpoint, partial)
        .map_err(|error| Failure::misused(format!("{}: {error}", path.display())))
}

/// What came of the check.
struct Verdict {
    chain: Result<Summary, Fault>,
    /// The checkpoint lies before the part of the log that was given, so that nothing is known about it.
    checkpoint_before_log: bool,
}

fn check(
    events: impl Iterator<Item = Result<AuditEvent, ReadError>>,
    public_key: [u8; 32],
    checkpoint: Option<&Checkpoint>,
    partial: bool,
) -> Result<Verdict, ReadError> {
    let mut events = events.peekable();
    let start = match events.peek() {
        Some(Ok(first)) if partial => Some(Anchor::before(first)),
        _ => None,
    };
    let mut verifier = ChainVerifier::new(public_key, start);
    let mut checkpoint_before_log = false;
    let verdict = |chain, checkpoint_before_log| Ok(Verdict { chain, checkpoint_before_log });
    match checkpoint.map(|checkpoint| verifier.expect(checkpoint)) {
        Some(Err(Fault { problem: Problem::CheckpointNotCovered, .. })) => checkpoint_before_log = true,
        Some(Err(fault)) => return verdict(Err(fault), false),
        Some(Ok(())) | None => {}
    }
    for event in events {
        if let Err(fault) = verifier.push(&event?) {
            return verdict(Err(fault), checkpoint_before_log);
        }
    }
    verdict(verifier.finish(None), checkpoint_before_log)
}

fn report(
    out: &mut impl Write,
    verdict: &Verdict,
    checkpoint: Option<&Checkpoint>,
    partial: bool,
) -> Result<ExitCode, Failure> {
    let summary = match &verdict.chain {
        Ok(summary) => summary,
        Err(fault) => {
            writeln!(out, "altered: {fault}")?;
            return Ok(ExitCode::from(FAILED));
        }
    };
    if summary.checked == 0 {
        // every log begins with the event of the initialisation
        return Err(Failure::misused("the file holds no event: nothing was checked, export the log again"));
    }
    writeln!(out, "valid: {} events, the last is {}", summary.checked, summary.last.sequence)?;
    if partial {
        writeln!(out, "what came before the first of them was not checked")?;
    }
    let Some(Checkpoint { sequence, .. }) = checkpoint else { return Ok(ExitCode::SUCCESS) };
    if verdict.checkpoint_before_log {
        out.flush()?;
        return Err(Failure::misused(format!(
            "the checkpoint could not be compared: it names event {sequence}, which lies before this part of the log: \
             export it from event {sequence} on"
        )));
    }
    writeln!(out, "the checkpoint matches: event {sequence} is the one that it names")?;
    Ok(ExitCode::SUCCESS)
}

fn by_extension(path: &Path) -> Result<Format, Failure> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("jsonl" | "ndjson" | "json") => Ok(Format::Jsonl),
        Some("csv") => Ok(Format::Csv),
        _ => Err(Failure::misused("the file's extension is neither .jsonl nor .csv: say --format")),
    }
}

fn read_checkpoint(text: &str) -> Result<Checkpoint, Failure> {
    let wrong = || {
        Failure::misused(
            "the checkpoint is neither SEQUENCE:HASH:SIGNATURE in hex nor a file with the JSON of auditCheckpoint",
        )
    };
    if let Some(checkpoint) = checkpoint_of_text(text.trim()) {
        return Ok(checkpoint);
    }
    let content = std::fs::read_to_string(text).map_err(|_| wrong())?;
    if let Some(checkpoint) = checkpoint_of_text(content.trim()) {
        return Ok(checkpoint);
    }
    let json: Value = serde_json::from_str(&content).map_err(|_| wrong())?;
    let inner = [&json["data"]["auditCheckpoint"], &json["auditCheckpoint"], &json]
        .into_iter()
        .find(|value| value["hash"].is_string())
        .ok_or_else(wrong)?;
    let sequence = match &inner["sequenceNumber"] {
        Value::String(text) => text.parse().ok(),
        number => number.as_i64(),
    };
    let part = |name: &str| inner[name].as_str().unwrap_or_default().to_owned();
    checkpoint_of(sequence.ok_or_else(wrong)?, &part("hash"), &part("signature")).ok_or_else(wrong)
}

fn checkpoint_of_text(text: &str) -> Option<Checkpoint> {
    let mut parts = text.split(':');
    let (sequence, hash, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    checkpoint_of(sequence.parse().ok()?, hash, signature)
}

fn checkpoint_of(sequence: i64, hash: &str, signature: &str) -> Option<Checkpoint> {
    Some(Checkpoint { sequence, hash: hex::<32>(hash)?, signature: hex::<64>(signature)?.to_vec() })
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_not_called_valid() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for partial in [false, true] {
            let verdict = verify(file.path(), Format::Jsonl, [7; 32], None, partial).unwrap();
            let mut said = Vec::new();
            let refused = report(&mut said, &verdict, None, partial).unwrap_err();
            assert!(refused.to_string().contains("no event"), "{refused}");
            assert!(said.is_empty());
        }
    }

    #[test]
    fn checkpoints_are_read_from_texts_and_files() {
        let (hash, signature) = ("ab".repeat(32), "CD".repeat(64));
        let text = format!("17:{hash}:{signature}");
        let expected = read_checkpoint(&text).unwrap();
        assert_eq!((expected.sequence, expected.hash[0], expected.signature.len()), (17, 0xab, 64));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        let inner = serde_json::json!({ "sequenceNumber": "17", "hash": hash, "signature": signature });
        for content in [
            text.clone(),
            inner.to_string(),
            serde_json::json!({ "auditCheckpoint": inner }).to_string(),
            serde_json::json!({ "data": { "auditCheckpoint": inner } }).to_string(),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read_checkpoint(path.to_str().unwrap()).unwrap(), expected);
        }
        for wrong in ["17:ab:cd", "/nonexistent", "x:y:z", &format!("{text}:1")] {
            assert!(read_checkpoint(wrong).is_err(), "{wrong}");
        }
        assert_eq!(by_extension(Path::new("a.csv")).unwrap(), Format::Csv);
        assert!(by_extension(Path::new("a.txt")).is_err());
    }
}
