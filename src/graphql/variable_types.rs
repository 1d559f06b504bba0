//! The types of a document's variables. async-graphql 7.2.1 panics in its validation at the default value of a variable whose type is
//! a list of what the schema does not know, so such a document is refused before.

use super::definitions::{innermost, named};
use crate::error::{Error, ErrorCode, Result};
use async_graphql::parser::types::{BaseType, ExecutableDocument};

/// # Errors
/// `BAD_USER_INPUT` for a variable with a default value whose type is a list of an unknown type.
pub fn check(document: &ExecutableDocument) -> Result<()> {
    let definitions =
        document.operations.iter().flat_map(|(_, operation)| &operation.node.variable_definitions);
    for definition in definitions.filter(|definition| definition.node.default_value.is_some()) {
        let declared = &definition.node.var_type.node;
        let name = innermost(declared);
        if matches!(declared.base, BaseType::List(_)) && named(name).is_none() {
            return Err(Error::new(ErrorCode::BadUserInput, format!("Unknown type \"{name}\"")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{SchemaOptions, schema};
    use super::*;
    use async_graphql::parser::parse_query;

    #[tokio::test]
    async fn lists_of_unknown_types_do_not_reach_the_schema() {
        for text in [
            "query ($l: [Nope] = [1]) { __typename }",
            "query ($l: [[Nope!]!]! = [[1]]) { __typename }",
            "query A { __typename } query B ($l: [Nope] = 1) { __typename }",
        ] {
            assert!(check(&parse_query(text).unwrap()).is_err(), "{text}");
        }
        // these are the schema's own to refuse or take
        for text in [
            "query ($l: Nope = 1) { __typename }",
            "query ($l: [Nope]) { __typename }",
            "query ($l: [[Int!]] = [[1]]) { __typename }",
            "query ($l: [SecretPath!] = [\"a\"]) { __typename }",
        ] {
            assert!(check(&parse_query(text).unwrap()).is_ok(), "{text}");
            schema(SchemaOptions::default()).execute(text).await;
        }
    }
}
