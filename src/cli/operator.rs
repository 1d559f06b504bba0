//! `secrethub operator`: the life of a server, over its HTTP doors.

use super::client::{Client, ServerArgs};
use super::failure::{Failure, SEALED};
use super::{prompt, rekey};
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub struct OperatorArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: OperatorCommand,
}

#[derive(clap::Subcommand, Debug)]
enum OperatorCommand {
    /// Make the keys, the key shares and the root token. They are shown once.
    Init {
        /// How many shares the key is split into, 1 to 255.
        #[arg(long, default_value_t = 5)]
        shares: u8,
        /// How many of them unseal the server.
        #[arg(long, default_value_t = 3)]
        threshold: u8,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give one key share: at a prompt, or as one line on standard input.
    Unseal {
        /// Forget the shares given so far, instead.
        #[arg(long)]
        reset: bool,
    },
    /// Drop the keys from the server's memory. Needs a token.
    Seal,
    /// Show whether the server is initialised and unsealed; exit code 3 if not.
    Status {
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make new key shares. Needs a token and a quorum of the present shares.
    Rekey(rekey::RekeyArgs),
    /// Make a new data key; records are rewrapped in the background. Needs a token.
    Rotate,
}

pub async fn run(args: OperatorArgs) -> Result<ExitCode, Failure> {
    let client = Client::new(&args.server)?;
    let mut out = std::io::stdout().lock();
    match args.command {
        OperatorCommand::Init { shares, threshold, json } => {
            let made =
                client.post("/v1/sys/init", &json!({ "shares": shares, "threshold": threshold })).await?;
            show_init(&mut out, &made, json)?;
        }
        OperatorCommand::Unseal { reset } => unseal(&client, reset, &mut out).await?,
        OperatorCommand::Seal => {
            client.require_token()?;
            let status = client.post("/v1/sys/seal", &json!({})).await?;
            show_status(&mut out, &status)?;
        }
        OperatorCommand::Status { json } => {
            let status = client.get("/v1/sys/seal-status").await?;
            if json {
                writeln!(out, "{status}")?;
            } else {
                show_status(&mut out, &status)?;
            }
            if status["sealed"] != Value::Bool(false) {
                return Ok(ExitCode::from(SEALED));
            }
        }
        OperatorCommand::Rekey(args) => rekey::run(&client, &args, &mut out).await?,
        OperatorCommand::Rotate => {
            client.require_token()?;
            let query = "mutation { rotateEncryptionKey { keyVersion rotatedAt } }";
            let data = client.graphql(query, json!({})).await?;
            let version = &data["rotateEncryptionKey"]["keyVersion"];
            writeln!(
                out,
                "New records are sealed with key version {version}; older ones are rewrapped in the background."
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the server before the person: a share is not to be typed in for nothing.
async fn unseal(client: &Client, reset: bool, out: &mut impl Write) -> Result<(), Failure> {
    let body = if reset {
        json!({ "reset": true })
    } else {
        let status = client.get("/v1/sys/seal-status").await?;
        match wants_share(&status)? {
            true => json!({ "share": prompt::secret("Key share (not shown): ")?.as_str() }),
            false => {
                writeln!(out, "The server is unsealed already: no share is needed.")?;
                return show_status(out, &status);
            }
        }
    };
    let status = client.post("/v1/sys/unseal", &body).await?;
    show_status(out, &status)
}

/// Whether a share would bring a server in this state further. Fails with what to do where shares are of no use.
fn wants_share(status: &Value) -> Result<bool, Failure> {
    if status["initialized"] != Value::Bool(true) {
        return Err(Failure::new("the server is not initialised: run 'secrethub operator init' first"));
    }
    if status["sealed"] == Value::Bool(false) {
        return Ok(false);
    }
    if status["sealType"] == "static" {
        return Err(Failure::new(
            "the server has a static seal, which no key shares open: set seal.type = \"static\" with seal.key_file or \
             seal.key_env to its key in the server's configuration, and restart it: it then unseals itself",
        ));
    }
    Ok(true)
}

fn show_init(out: &mut impl Write, made: &Value, json: bool) -> Result<(), Failure> {
    if json {
        writeln!(out, "{made}")?;
        return Ok(());
    }
    let shares: Vec<&str> =
        made["shares"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (index, share) in shares.iter().enumerate() {
        writeln!(out, "Key share {}: {share}", index + 1)?;
    }
    writeln!(out, "Root token: {}", made["rootToken"].as_str().unwrap_or_default())?;
    writeln!(out)?;
    if shares.is_empty() {
        writeln!(out, "The server has a static seal: it unseals itself with its key.")?;
    } else {
        writeln!(
            out,
            "These are shown only now. Give each share to another person, then unseal the server:"
        )?;
        writeln!(out, "secrethub operator unseal")?;
    }
    Ok(())
}

fn show_status(out: &mut impl Write, status: &Value) -> Result<(), Failure> {
    let state = match (&status["initialized"], &status["sealed"]) {
        (Value::Bool(true), Value::Bool(false)) => "unsealed",
        (Value::Bool(true), _) => "sealed",
        _ => "not initialised",
    };
    writeln!(out, "State:   {state}")?;
    if let (Some(threshold), Some(shares)) = (status["threshold"].as_i64(), status["shares"].as_i64()) {
        writeln!(out, "Shares:  {threshold} of {shares} unseal")?;
        if state == "sealed" {
            writeln!(out, "Given:   {} of {threshold}", status["progress"])?;
        }
    }
    for (label, name) in [("Seal", "sealType"), ("Cluster", "clusterName"), ("Version", "version")] {
        if let Some(text) = status[name].as_str() {
            writeln!(out, "{:<8} {text}", format!("{label}:"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_asked_for_only_where_it_helps() {
        let status = |initialized, sealed, kind| json!({ "initialized": initialized, "sealed": sealed, "sealType": kind });
        assert!(wants_share(&status(true, true, "shamir")).unwrap());
        assert!(!wants_share(&status(true, false, "shamir")).unwrap());
        assert!(!wants_share(&status(true, false, "static")).unwrap());
        let failure = wants_share(&status(true, true, "static")).unwrap_err();
        assert!(failure.to_string().contains("seal.key_file"), "{failure}");
        assert!(
            wants_share(&status(false, true, "shamir")).unwrap_err().to_string().contains("operator init")
        );
    }
}
