//! The scalars of the schema.
//!
//! Values of another kind (a number for a path) the validation refuses, before anything of the request runs. What is within them is
//! taken as it comes: async-graphql would refuse it without a word on where it stood, so the resolver does, by `at`, naming the field.

use super::result::Result;
use crate::error::Error;
use crate::model::paths::SecretPath;
use async_graphql::parser::types::Field;
use async_graphql::registry::{MetaType, MetaTypeId, Registry};
use async_graphql::{
    ContextSelectionSet, InputType, InputValueError, InputValueResult, OutputType, Positioned, Scalar,
    ScalarType, ServerResult, Value as GqlValue,
};
use chrono::{SecondsFormat, Utc};
use serde_json::Value;
use std::borrow::Cow;

/// A point in time; `None` if what came in is none, which the resolver refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime(Option<chrono::DateTime<Utc>>);

/// A point in time: RFC 3339, such as `2026-11-24T03:31:30.123456Z`.
/// Answers are always in UTC, with up to six decimals; input may have any offset.
#[Scalar(name = "DateTime", specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: GqlValue) -> InputValueResult<Self> {
        let GqlValue::String(text) = value else { return Ok(Self(None)) };
        Ok(Self(chrono::DateTime::parse_from_rfc3339(&text).ok().map(|time| time.to_utc())))
    }

    fn is_valid(value: &GqlValue) -> bool {
        matches!(value, GqlValue::String(_))
    }

    fn to_value(&self) -> GqlValue {
        self.0.map_or(GqlValue::Null, |time| {
            GqlValue::String(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
        })
    }
}

impl DateTime {
    /// The point in time.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` at `field`.
    pub fn at(self, field: &'static str) -> Result<chrono::DateTime<Utc>> {
        let message = "a time is a string in RFC 3339 notation, such as \"2026-11-24T03:31:30Z\"";
        self.0.ok_or_else(|| Error::bad_input(field, message).into())
    }
}

impl From<chrono::DateTime<Utc>> for DateTime {
    fn from(time: chrono::DateTime<Utc>) -> Self {
        Self(Some(time))
    }
}

/// A whole number; `None` if what came in is none, which the resolver refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BigInt(Option<i64>);

/// A whole number of 64 bits, written as a string of decimal digits, since `Int` ends at 2^31 and the numbers of
/// JavaScript at 2^53. Input may also be a plain number.
#[Scalar(name = "BigInt")]
impl ScalarType for BigInt {
    fn parse(value: GqlValue) -> InputValueResult<Self> {
        Ok(Self(match &value {
            GqlValue::String(text) => text.parse().ok(),
            GqlValue::Number(number) => number.as_i64(),
            _ => None,
        }))
    }

    fn is_valid(value: &GqlValue) -> bool {
        matches!(value, GqlValue::String(_) | GqlValue::Number(_))
    }

    fn to_value(&self) -> GqlValue {
        self.0.map_or(GqlValue::Null, |number| GqlValue::String(number.to_string()))
    }
}

impl BigInt {
    /// The number.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` at `field`.
    pub fn at(self, field: &'static str) -> Result<i64> {
        let message = "a BigInt is a whole number of 64 bits in decimal digits, such as \"42\"";
        self.0.ok_or_else(|| Error::bad_input(field, message).into())
    }
}

impl From<i64> for BigInt {
    fn from(number: i64) -> Self {
        Self(Some(number))
    }
}

/// Kept as the text that came in: the resolver knows which field it stands in, and names it if it is wrong. `None` if it
/// was no text.
#[derive(Debug, Clone)]
pub struct Path(Option<String>);

/// The path of a secret: segments of `a-z`, `0-9`, `-` and `_`, joined by dots, up to 500 characters,
/// such as `prod.db.postgres.billing-db.password`.
#[Scalar(name = "SecretPath")]
impl ScalarType for Path {
    fn parse(value: GqlValue) -> InputValueResult<Self> {
        Ok(Self(match value {
            GqlValue::String(text) => Some(text),
            _ => None,
        }))
    }

    fn is_valid(value: &GqlValue) -> bool {
        matches!(value, GqlValue::String(_))
    }

    fn to_value(&self) -> GqlValue {
        self.0.clone().map_or(GqlValue::Null, GqlValue::String)
    }
}

impl Path {
    /// The checked path.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` at `field`, with the rule that is broken.
    pub fn at(&self, field: &'static str) -> Result<SecretPath> {
        let Some(text) = &self.0 else {
            return Err(Error::bad_input(field, "a path is a string, such as \"prod.db.password\"").into());
        };
        SecretPath::parse(text).map_err(|problem| Error::bad_input(field, problem.to_string()).into())
    }
}

impl From<&SecretPath> for Path {
    fn from(path: &SecretPath) -> Self {
        Self(Some(path.as_str().to_owned()))
    }
}

/// Any JSON value, in both directions.
#[derive(Debug, Clone)]
pub struct Json(pub Value);

const JSON: &str = "JSON";

fn json_type_info() -> MetaType {
    MetaType::Scalar {
        name: JSON.to_owned(),
        description: Some("Any JSON value: an object, list, string, number, boolean or null.".to_owned()),
        is_valid: None,
        visible: None,
        inaccessible: false,
        tags: Vec::new(),
        specified_by_url: Some("https://www.rfc-editor.org/rfc/rfc8259".to_owned()),
        directive_invocations: Vec::new(),
        requires_scopes: Vec::new(),
    }
}

impl InputType for Json {
    type RawValueType = Self;

    fn type_name() -> Cow<'static, str> {
        JSON.into()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        registry.create_input_type::<Self, _>(MetaTypeId::Scalar, |_| json_type_info())
    }

    fn parse(value: Option<GqlValue>) -> InputValueResult<Self> {
        from_graphql(value.unwrap_or_default())
            .map(Self)
            .ok_or_else(|| InputValueError::custom("an upload is no JSON value"))
    }

    fn to_value(&self) -> GqlValue {
        to_graphql(&self.0)
    }

    fn as_raw_value(&self) -> Option<&Self::RawValueType> {
        Some(self)
    }
}

impl OutputType for Json {
    fn type_name() -> Cow<'static, str> {
        JSON.into()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        registry.create_output_type::<Self, _>(MetaTypeId::Scalar, |_| json_type_info())
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<GqlValue> {
        Ok(to_graphql(&self.0))
    }
}

/// Moves the texts instead of copying them, as `ConstValue::into_json` does.
fn from_graphql(value: GqlValue) -> Option<Value> {
    Some(match value {
        GqlValue::Null => Value::Null,
        GqlValue::Number(number) => Value::Number(number),
        GqlValue::String(text) => Value::String(text),
        GqlValue::Boolean(truth) => Value::Bool(truth),
        GqlValue::Enum(name) => Value::String(name.to_string()),
        GqlValue::List(items) => Value::Array(items.into_iter().map(from_graphql).collect::<Option<_>>()?),
        GqlValue::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| Some((name.to_string(), from_graphql(value)?)))
                .collect::<Option<_>>()?,
        ),
        GqlValue::Binary(_) => return None,
    })
}

fn to_graphql(value: &Value) -> GqlValue {
    match value {
        Value::Null => GqlValue::Null,
        Value::Number(number) => GqlValue::Number(number.clone()),
        Value::String(text) => GqlValue::String(text.clone()),
        Value::Bool(truth) => GqlValue::Boolean(*truth),
        Value::Array(items) => GqlValue::List(items.iter().map(to_graphql).collect()),
        Value::Object(fields) => GqlValue::Object(
            fields.iter().map(|(name, value)| (async_graphql::Name::new(name), to_graphql(value))).collect(),
        ),
    }
}

/// A count or a number of seconds as `Int`. All of them are bounded far below 2^31 where they are written; a larger
/// one would be shown as the largest.
pub fn int(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::{EmptyMutation, EmptySubscription, Object, Request, Schema, Variables};
    use serde_json::json;

    struct Echo;

    #[Object]
    impl Echo {
        async fn json(&self, value: Json) -> Json {
            value
        }
        async fn time(&self, value: DateTime) -> DateTime {
            value
        }
        async fn number(&self, value: BigInt) -> BigInt {
            value
        }
    }

    async fn echo(field: &str, kind: &str, value: Value) -> Value {
        let request = Request::new(format!("query ($v: {kind}!) {{ x: {field}(value: $v) }}"))
            .variables(Variables::from_json(json!({ "v": value })));
        let response = Schema::new(Echo, EmptyMutation, EmptySubscription).execute(request).await;
        serde_json::to_value(&response).unwrap()
    }

    #[tokio::test]
    async fn json_goes_in_and_comes_out_unchanged() {
        let value = json!({ "a": [1, -2, 0.5, u64::MAX, true, null, ""], "\u{0}\"\u{1F511}": {}, "b": { "c": "\n" } });
        assert_eq!(echo("json", "JSON", value.clone()).await["data"]["x"], value);
    }

    #[tokio::test]
    async fn times_are_answered_in_utc_and_numbers_as_text() {
        let time = echo("time", "DateTime", json!("2026-11-24T05:31:30.123456+02:00")).await;
        assert_eq!(time["data"]["x"], "2026-11-24T03:31:30.123456Z");
        for value in [json!(i64::MIN), json!(i64::MIN.to_string())] {
            assert_eq!(echo("number", "BigInt", value).await["data"]["x"], i64::MIN.to_string());
        }
    }

    #[test]
    fn what_is_no_such_value_is_taken_and_refused_where_it_stands() {
        fn field<T>(refused: Result<T>) -> Option<String> {
            refused.err().and_then(|failure| failure.0.field().map(str::to_owned))
        }
        let kinds = [json!(7.5), json!(true), json!([]), json!({}), json!("Today at 8"), json!(null)];
        for value in kinds.into_iter().map(|kind| GqlValue::from_json(kind).unwrap()) {
            let time = <DateTime as ScalarType>::parse(value.clone()).ok().unwrap();
            assert_eq!(field(time.at("input.at")).as_deref(), Some("input.at"), "{value}");
            let number = <BigInt as ScalarType>::parse(value.clone()).ok().unwrap();
            assert_eq!(field(number.at("toSequence")).as_deref(), Some("toSequence"), "{value}");
            let path = <Path as ScalarType>::parse(value.clone()).ok().unwrap();
            assert_eq!(field(path.at("input.path")).as_deref(), Some("input.path"), "{value}");
        }
    }
}
