//! A policy's document: read strictly, since a word that is not understood would silently widen or narrow access.

use super::conditions::{Conditions, TimeWindow, day_name, parse_day};
use super::reader::Reader;
use super::{Area, Operation, Pattern};
use crate::error::Error;
use crate::model::cidr::{Cidr, CidrList, MAX_RANGES};
use crate::model::duration;
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

/// Most patterns in one document.
pub const MAX_PATTERNS: usize = 256;

/// A valid document. [`Document::to_value`] gives it back in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub(super) allowed_secrets: Vec<Pattern>,
    pub(super) allowed_operations: Vec<Operation>,
    pub(super) administers: Vec<Area>,
    pub(super) conditions: Conditions,
}

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct DocumentError {
    /// Where it is, such as `document.conditions.ip_ranges[1]`.
    pub path: String,
    /// A sentence that says what to do.
    pub problem: String,
}

impl DocumentError {
    pub(super) fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

impl From<DocumentError> for Error {
    fn from(error: DocumentError) -> Self {
        Error::bad_input(error.path, error.problem)
    }
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// [`DocumentError`] names the first place that is wrong. Unknown keys are wrong everywhere.
    pub fn parse(value: &Value) -> Result<Self, DocumentError> {
        let known = ["version", "allowed_secrets", "allowed_operations", "administers", "conditions"];
        let reader = Reader::new(value, "document", &known)?;
        match reader.get("version") {
            Some(version) if version.as_u64() == Some(1) => {}
            Some(_) => {
                return Err(DocumentError::new(reader.at("version"), "write 1, the only version there is"));
            }
            None => return Err(DocumentError::new(reader.at("version"), "the version is missing: write 1")),
        }
        let allowed_secrets = reader.texts("allowed_secrets", MAX_PATTERNS, |text| {
            Pattern::parse(text).map_err(|error| error.to_string())
        })?;
        let allowed_operations = reader.texts("allowed_operations", Operation::ALL.len(), |text| {
            Operation::parse(text).ok_or_else(|| one_of(Operation::ALL.iter().map(|word| word.as_str())))
        })?;
        let administers = reader.texts("administers", Area::ALL.len(), |text| {
            Area::parse(text).ok_or_else(|| one_of(Area::ALL.iter().map(|word| word.as_str())))
        })?;
        match (allowed_secrets.is_empty(), allowed_operations.is_empty()) {
            (false, true) => {
                let problem = "allowed_secrets needs allowed_operations: say what is allowed on them";
                return Err(DocumentError::new(reader.at("allowed_operations"), problem));
            }
            (true, false) => {
                let problem =
                    "allowed_operations needs allowed_secrets: say on which secrets they are allowed";
                return Err(DocumentError::new(reader.at("allowed_secrets"), problem));
            }
            (true, true) if administers.is_empty() => {
                let problem = "write allowed_secrets and allowed_operations, or administers, or all three";
                return Err(DocumentError::new("document", problem));
            }
            _ => {}
        }
        let conditions = reader.get("conditions").map(parse_conditions).transpose()?.unwrap_or_default();
        Ok(Self { allowed_secrets, allowed_operations, administers, conditions })
    }

    /// The document as canonical JSON: lists in the order in which they were written, ranges with their prefix
    /// length, durations in the largest whole unit, and without empty conditions. Parsing it gives an equal document.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("version".to_owned(), json!(1));
        if !self.allowed_secrets.is_empty() {
            let patterns: Vec<&str> = self.allowed_secrets.iter().map(Pattern::as_str).collect();
            let operations: Vec<&str> = self.allowed_operations.iter().map(|word| word.as_str()).collect();
            map.insert("allowed_secrets".to_owned(), json!(patterns));
            map.insert("allowed_operations".to_owned(), json!(operations));
        }
        if !self.administers.is_empty() {
            let areas: Vec<&str> = self.administers.iter().map(|word| word.as_str()).collect();
            map.insert("administers".to_owned(), json!(areas));
        }
        if !self.conditions.is_empty() {
            map.insert("conditions".to_owned(), conditions_to_value(&self.conditions));
        }
        Value::Object(map)
    }

    /// Which secrets [`Document::allowed_operations`] are about.
    #[must_use]
    pub fn allowed_secrets(&self) -> &[Pattern] {
        &self.allowed_secrets
    }

    #[must_use]
    pub fn allowed_operations(&self) -> &[Operation] {
        &self.allowed_operations
    }

    #[must_use]
    pub fn administers(&self) -> &[Area] {
        &self.administers
    }

    #[must_use]
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }
}

fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    format!("write one of {}", words.collect::<Vec<_>>().join(", "))
}

fn parse_conditions(value: &Value) -> Result<Conditions, DocumentError> {
    let known = ["time_of_day", "time_zone", "days_of_week", "ip_ranges", "max_ttl"];
    let reader = Reader::new(value, "document.conditions", &known)?;
    let time_of_day = reader.text("time_of_day", TimeWindow::parse)?;
    let time_zone = reader.text("time_zone", |text| {
        text.parse::<Tz>()
            .map_err(|_| "write the name of an IANA time zone, such as Europe/Berlin".to_owned())
    })?;
    let days_of_week = reader.texts("days_of_week", 7, |text| {
        parse_day(text).ok_or_else(|| one_of(["mon", "tue", "wed", "thu", "fri", "sat", "sun"].into_iter()))
    })?;
    if time_zone.is_some() && time_of_day.is_none() && days_of_week.is_empty() {
        let problem = "a time zone alone restricts nothing: add time_of_day or days_of_week, or remove it";
        return Err(DocumentError::new(reader.at("time_zone"), problem));
    }
    let ranges =
        reader.texts("ip_ranges", MAX_RANGES, |text| Cidr::parse(text).map_err(|error| error.to_string()))?;
    let max_ttl_seconds =
        reader.text("max_ttl", |text| duration::parse(text).map_err(|error| error.to_string()))?;
    Ok(Conditions { time_of_day, time_zone, days_of_week, ip_ranges: CidrList::new(ranges), max_ttl_seconds })
}

fn conditions_to_value(conditions: &Conditions) -> Value {
    let mut map = Map::new();
    if let Some(window) = conditions.time_of_day {
        map.insert("time_of_day".to_owned(), json!(window.to_string()));
    }
    if let Some(zone) = conditions.time_zone {
        map.insert("time_zone".to_owned(), json!(zone.name()));
    }
    if !conditions.days_of_week.is_empty() {
        let days: Vec<&str> = conditions.days_of_week.iter().map(|day| day_name(*day)).collect();
        map.insert("days_of_week".to_owned(), json!(days));
    }
    if !conditions.ip_ranges.is_empty() {
        map.insert("ip_ranges".to_owned(), json!(conditions.ip_ranges.to_strings()));
    }
    if let Some(seconds) = conditions.max_ttl_seconds {
        map.insert("max_ttl".to_owned(), json!(duration::format(seconds)));
    }
    Value::Object(map)
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
