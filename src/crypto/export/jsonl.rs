//! One JSON object per line, with the fields of [`AuditEvent`] under their own names and in their order.

use std::io::{BufRead, Write};
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::lines::Lines;
use super::{ReadError, ReadProblem};
use crate::error::{Error, Result};
use crate::model::audit::AuditEvent;

/// The mirror through which serde sees [`AuditEvent`]; the compiler holds the fields equal.
#[derive(Serialize, Deserialize)]
#[serde(remote = "AuditEvent", deny_unknown_fields)]
struct Row {
    event_id: Uuid,
    sequence_number: i64,
    #[serde(with = "timestamp")]
    timestamp: DateTime<Utc>,
    event_type: String,
    actor_type: Option<String>,
    actor_id: Option<String>,
    token_accessor: Option<String>,
    role_name: Option<String>,
    agent_id: Option<String>,
    app_id: Option<String>,
    admin_id: Option<String>,
    agent_cert_fingerprint: Option<String>,
    app_cert_fingerprint: Option<String>,
    admin_cert_fingerprint: Option<String>,
    secret_id: Option<Uuid>,
    secret_path: Option<String>,
    secret_version: Option<i64>,
    secret_type: Option<String>,
    lease_id: Option<Uuid>,
    access_granted: Option<bool>,
    policy_matched: Option<String>,
    denial_reason: Option<String>,
    source_ip: Option<IpAddr>,
    hostname: Option<String>,
    k8s_namespace: Option<String>,
    k8s_pod: Option<String>,
    #[serde(with = "event_data")]
    event_data: Value,
    response_time_ms: Option<i64>,
    correlation_id: Option<String>,
    batch_end: bool,
    #[serde(with = "hash")]
    previous_hash: [u8; 32],
    #[serde(with = "hash")]
    current_hash: [u8; 32],
    #[serde(with = "signature")]
    signature: Option<Vec<u8>>,
}

#[derive(Serialize)]
struct Written<'a>(#[serde(with = "Row")] &'a AuditEvent);

#[derive(Deserialize)]
pub(super) struct Read(#[serde(with = "Row")] pub(super) AuditEvent);

/// Writes one event and its line end.
pub fn write_jsonl(event: &AuditEvent, out: &mut impl Write) -> Result<()> {
    serde_json::to_writer(&mut *out, &Written(event)).map_err(Error::internal)?;
    out.write_all(b"\n").map_err(Error::internal)
}

/// The event as a JSON object, from which CSV is made.
pub(super) fn to_object(event: &AuditEvent) -> Result<serde_json::Map<String, Value>> {
    match serde_json::to_value(Written(event)).map_err(Error::internal)? {
        Value::Object(map) => Ok(map),
        _ => Err(Error::internal("an event is written as an object")),
    }
}

/// The events of a file, in its order; ends after the first error.
pub struct JsonlEvents<R>(Lines<R>);

#[must_use]
pub fn read_jsonl<R: BufRead>(reader: R) -> JsonlEvents<R> {
    JsonlEvents(Lines::new(reader))
}

impl<R: BufRead> Iterator for JsonlEvents<R> {
    type Item = Result<AuditEvent, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(|line| {
            let read: serde_json::Result<Read> = serde_json::from_str(line);
            read.map(|read| read.0).map_err(|error| ReadProblem::Malformed(error.to_string()))
        })
    }
}

mod timestamp {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    fn text(time: &DateTime<Utc>) -> String {
        time.to_rfc3339_opts(SecondsFormat::Micros, true)
    }

    pub(super) fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        let written = String::deserialize(deserializer)?;
        let time = DateTime::parse_from_rfc3339(&written).map(|time| time.to_utc()).ok();
        // only as it is written: nothing below a microsecond is hashed, so nothing below may be shown
        time.filter(|time| text(time) == written)
            .ok_or_else(|| D::Error::custom("timestamp is not RFC 3339 in UTC with six decimals"))
    }
}

mod event_data {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
    use serde_json::Value;
    use serde_json::value::RawValue;

    use crate::crypto::audit::write_json;

    fn text(value: &Value) -> Option<String> {
        let mut out = Vec::new();
        write_json(value, &mut out);
        String::from_utf8(out).ok()
    }

    pub(super) fn serialize<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(text(value).unwrap_or_default()).map_err(ser::Error::custom)?;
        raw.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let value: Value = serde_json::from_str(raw.get()).map_err(de::Error::custom)?;
        if text(&value).as_deref() == Some(raw.get()) {
            Ok(value)
        } else {
            Err(de::Error::custom("event_data is not canonical JSON"))
        }
    }
}

mod hash {
    use data_encoding::HEXLOWER;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(hash: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(hash))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let bytes = HEXLOWER.decode(String::deserialize(deserializer)?.as_bytes()).ok();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| D::Error::custom("a hash is not 64 lower-case hex digits"))
    }
}

mod signature {
    use data_encoding::HEXLOWER;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_ref().map(|bytes| HEXLOWER.encode(bytes)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        text.map(|text| HEXLOWER.decode(text.as_bytes()))
            .transpose()
            .map_err(|_| D::Error::custom("the signature is not lower-case hex"))
    }
}
