//! Reading a secret: from the terminal without echo, or a line of standard input. Never from an argument, which other
//! users of the machine can see.

use super::failure::Failure;
use std::io::{BufRead, IsTerminal, Read};
use zeroize::Zeroizing;

/// A share has some eighty characters; a longer line is something else.
const MAX_LINE: u64 = 4096;

/// One secret, without the white space around it.
pub fn secret(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let stdin = std::io::stdin();
    let line = if stdin.is_terminal() {
        Zeroizing::new(rpassword::prompt_password(prompt)?)
    } else {
        let mut line = Zeroizing::new(String::with_capacity(MAX_LINE as usize));
        stdin.lock().by_ref().take(MAX_LINE).read_line(&mut line)?;
        line
    };
    let text = line.trim();
    if text.is_empty() {
        return Err(Failure::misused(
            "nothing was entered: type the share at the prompt, or pipe it in as one line",
        ));
    }
    Ok(Zeroizing::new(text.to_owned()))
}
