//! The section `telemetry`: where spans go. Without an endpoint none are made.

use super::source::Source;
use crate::error::{Error, Result};
use http::Uri;
use std::collections::BTreeMap;

const ENDPOINT: &str = "telemetry.otlp_endpoint";
const RATIO: &str = "telemetry.sample_ratio";
/// What OpenTelemetry's own programs read; the setting wins over it.
const VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Where spans go, and how many of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// Takes spans by OTLP over HTTP.
    pub traces_url: String,
    /// Of the traces that begin here, 0 to 1.
    pub sample_ratio: f64,
}

pub(super) fn telemetry(
    source: &Source,
    environment: &BTreeMap<String, String>,
) -> Result<Option<Telemetry>> {
    let ratio = source.ratio(RATIO)?.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&ratio) {
        return Err(Error::bad_input(RATIO, "write a number from 0 to 1"));
    }
    match source.text(ENDPOINT)? {
        Some(text) => at(text, ENDPOINT, ratio).map(Some),
        None => Telemetry::from_environment(environment, ratio),
    }
}

impl Telemetry {
    /// Where the environment says, if it does.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for what is no address.
    pub fn from_environment(environment: &BTreeMap<String, String>, ratio: f64) -> Result<Option<Self>> {
        let given = environment.get(VARIABLE).filter(|text| !text.trim().is_empty());
        given.map(|text| at(text, VARIABLE, ratio)).transpose()
    }
}

fn at(text: &str, field: &'static str, sample_ratio: f64) -> Result<Telemetry> {
    let text = text.trim().trim_end_matches('/');
    let uri = text.parse::<Uri>().ok().filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.query().is_none()
            && uri.authority().is_some_and(|place| !place.as_str().contains('@'))
    });
    match uri {
        Some(_) => Ok(Telemetry { traces_url: format!("{text}/v1/traces"), sample_ratio }),
        None => Err(Error::bad_input(
            field,
            "write the address of a collector that takes OTLP over HTTP, such as http://127.0.0.1:4318",
        )),
    }
}
