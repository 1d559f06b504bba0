//! The section `pki`.

use super::seconds;
use super::source::Source;
use crate::error::{Error, Result};
use crate::service::certificates::PkiSettings;

const DAY: u64 = 86400;

pub(super) fn pki(source: &Source) -> Result<PkiSettings> {
    let whole = |key, default, least, most| {
        seconds(source, key, default, least, most)
            .map(|duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
    };
    Ok(PkiSettings {
        base_url: source.text("pki.base_url")?.map(base_url).transpose()?,
        crl_validity: whole("pki.crl_validity", 3 * DAY, 3600, 365 * DAY)?,
        tidy_after: whole("pki.tidy_after", 30 * DAY, 3600, 3650 * DAY)?,
        expiring_within: whole("pki.expiring_within", 14 * DAY, 60, 3650 * DAY)?,
    })
}

/// It goes into every certificate, so a slip would be there for years.
fn base_url(text: &str) -> Result<String> {
    let url = text.trim_end_matches('/');
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let fine = host.is_some_and(|host| {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&b))
    });
    if !fine || url.len() > 200 {
        return Err(Error::bad_input(
            "pki.base_url",
            "write the address at which relying parties reach this server, such as http://pki.example:8200",
        ));
    }
    Ok(url.to_owned())
}
