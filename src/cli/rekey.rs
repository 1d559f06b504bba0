//! `secrethub operator rekey`: new key shares in three steps, of which the last makes sure that nobody was left without.

use super::client::Client;
use super::failure::Failure;
use super::prompt;
use serde_json::{Value, json};
use std::io::Write;

#[derive(clap::Args, Debug)]
pub struct RekeyArgs {
    /// How many new shares to make, 1 to 255.
    #[arg(long, default_value_t = 5)]
    shares: u8,
    /// How many of them will unseal the server.
    #[arg(long, default_value_t = 3)]
    threshold: u8,
    /// Give up a re-key that is under way: the present shares stay in force.
    #[arg(long)]
    cancel: bool,
}

const STATUS: &str = "started shares threshold progress required confirmed complete";

/// Goes through the whole re-key, or goes on with the one that is under way.
pub async fn run(client: &Client, args: &RekeyArgs, out: &mut impl Write) -> Result<(), Failure> {
    client.require_token()?;
    if args.cancel {
        client.graphql(&format!("mutation {{ cancelRekey {{ status {{ {STATUS} }} }} }}"), json!({})).await?;
        writeln!(out, "The re-key is given up; the present shares stay in force.")?;
        return Ok(());
    }
    let mut status =
        client.graphql(&format!("{{ rekeyStatus {{ {STATUS} }} }}"), json!({})).await?["rekeyStatus"].take();
    if status["started"] == Value::Bool(true) {
        writeln!(
            out,
            "A re-key to {} of {} shares is under way: going on with it.",
            status["threshold"], status["shares"]
        )?;
    } else {
        let query = format!(
            "mutation ($input: StartRekeyInput!) {{ startRekey(input: $input) {{ status {{ {STATUS} }} shares }} }}"
        );
        let input = json!({ "input": { "shares": args.shares, "threshold": args.threshold } });
        status = client.graphql(&query, input).await?["startRekey"]["status"].take();
    }
    if number(&status, "progress") < number(&status, "required") {
        status = give_present_shares(client, status, out).await?;
    }
    while status["complete"] != Value::Bool(true) {
        let prompt = format!(
            "New share {} of {} (not shown): ",
            number(&status, "confirmed") + 1,
            number(&status, "shares")
        );
        let share = ask(&prompt, out)?;
        let query = format!(
            "mutation ($input: ConfirmRekeyInput!) {{ confirmRekey(input: $input) {{ status {{ {STATUS} }} shares }} }}"
        );
        status = client.graphql(&query, json!({ "input": { "share": share.as_str() } })).await?["confirmRekey"]["status"].take();
    }
    writeln!(out, "The new shares are in force; the earlier ones unseal nothing any more.")?;
    Ok(())
}

async fn give_present_shares(
    client: &Client,
    mut status: Value,
    out: &mut impl Write,
) -> Result<Value, Failure> {
    let query = format!(
        "mutation ($input: SubmitRekeyShareInput!) {{ submitRekeyShare(input: $input) {{ status {{ {STATUS} }} shares }} }}"
    );
    loop {
        let prompt = format!(
            "Present share {} of {} (not shown): ",
            number(&status, "progress") + 1,
            number(&status, "required")
        );
        let share = ask(&prompt, out)?;
        let mut answer = client.graphql(&query, json!({ "input": { "share": share.as_str() } })).await?;
        let payload = &mut answer["submitRekeyShare"];
        status = payload["status"].take();
        let shares: Vec<&str> =
            payload["shares"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if shares.is_empty() {
            continue;
        }
        for (index, share) in shares.iter().enumerate() {
            writeln!(out, "New key share {}: {share}", index + 1)?;
        }
        writeln!(out)?;
        writeln!(out, "These are shown only now. They come into force once each was entered here again:")?;
        out.flush()?;
        return Ok(status);
    }
}

fn ask(prompt: &str, out: &mut impl Write) -> Result<zeroize::Zeroizing<String>, Failure> {
    // what was written so far must be readable before the prompt
    out.flush()?;
    prompt::secret(prompt)
}

fn number(status: &Value, name: &str) -> i64 {
    status[name].as_i64().unwrap_or_default()
}
