//! Families of metrics, as the encoder of prometheus-client takes them: rows of labels and values, read at one moment.

use crate::error::{Error, Result};
use crate::model::meter::{Histogram, Spread};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;

type Labels = Vec<(&'static str, String)>;

/// What the numbers of a histogram are.
#[derive(Debug, Clone, Copy)]
pub enum Unit {
    One,
    /// Shown as seconds.
    Microseconds,
}

#[derive(Debug)]
enum Value {
    Count(u64),
    Level(i64),
    Spread(Spread, Unit),
}

#[derive(Debug)]
struct Family {
    kind: MetricType,
    rows: Vec<(Labels, Value)>,
}

/// Everything that one answer shows.
pub struct Families(Registry);

impl Default for Families {
    fn default() -> Self {
        Self(Registry::with_prefix("secrethub"))
    }
}

/// Labels of one row.
type Row<'a, const N: usize, V> = ([(&'static str, &'a str); N], V);

impl Families {
    pub fn counter<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = Row<'a, N, u64>>,
    ) {
        self.add(name, help, MetricType::Counter, rows, Value::Count);
    }

    pub fn gauge<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = Row<'a, N, i64>>,
    ) {
        self.add(name, help, MetricType::Gauge, rows, Value::Level);
    }

    pub fn histogram<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Unit,
        rows: impl IntoIterator<Item = Row<'a, N, &'a Histogram>>,
    ) {
        self.add(name, help, MetricType::Histogram, rows, |value| Value::Spread(value.spread(), unit));
    }

    fn add<'a, const N: usize, V>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        rows: impl IntoIterator<Item = Row<'a, N, V>>,
        value: impl Fn(V) -> Value,
    ) {
        let owned =
            |labels: [(&'static str, &str); N]| labels.map(|(key, word)| (key, word.to_owned())).to_vec();
        let rows = rows.into_iter().map(|(labels, number)| (owned(labels), value(number))).collect();
        self.0.register(name, help, Family { kind, rows });
    }

    /// # Errors
    /// `INTERNAL`.
    pub fn text(&self) -> Result<String> {
        let mut text = String::with_capacity(16 * 1024);
        encode(&mut text, &self.0).map_err(Error::internal)?;
        Ok(text)
    }
}

impl EncodeMetric for Family {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, value) in &self.rows {
            if labels.is_empty() {
                value.encode(&mut encoder)?;
            } else {
                value.encode(&mut encoder.encode_family(labels)?)?;
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        self.kind
    }
}

impl Value {
    fn encode(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => encoder.encode_counter::<NoLabelSet, _, f64>(count, None),
            Self::Level(level) => encoder.encode_gauge(level),
            Self::Spread(spread, unit) => {
                let scaled = |number: u64| number as f64 / unit.per_shown();
                let buckets: Vec<_> = spread
                    .buckets
                    .iter()
                    .map(|(bound, count)| (bound.map_or(f64::INFINITY, scaled), *count))
                    .collect();
                encoder.encode_histogram::<NoLabelSet>(scaled(spread.sum), spread.count, &buckets, None)
            }
        }
    }
}

impl Unit {
    fn per_shown(self) -> f64 {
        match self {
            Self::One => 1.0,
            Self::Microseconds => 1_000_000.0,
        }
    }
}
