//! One operation, from its parameters to what it answers: the same over every transport.

use super::{Api, GraphqlDoor, Introspection};
use crate::error::{Error, Result};
use crate::graphql::documents::Document;
use crate::graphql::guard::{OperationMeasure, of_text, price};
use crate::graphql::{definitions, nulls, operations, order, variables};
use crate::http::params::Params;
use async_graphql::parser::types::{OperationType, Selection};
use async_graphql::{Request, Response};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::sync::Arc;

/// An operation that may run.
pub struct Operation {
    pub kind: OperationType,
    request: Request,
    document: Arc<Document>,
    name: Option<String>,
}

impl Operation {
    /// Whether it asks for the schema and nothing else.
    pub fn is_introspection(&self) -> bool {
        let ran = definitions::chosen(&self.document.parsed, self.name.as_deref());
        ran.is_some_and(|operation| {
            operation.selection_set.node.items.iter().all(|selection| match &selection.node {
                Selection::Field(field) => field.node.name.node.starts_with("__"),
                _ => false,
            })
        })
    }
}

impl Operation {
    /// What it counts as in the metrics.
    pub fn counted_as(&self) -> operations::Operation {
        operations::Operation::of(&self.document.parsed, self.name.as_deref())
    }
}

impl<A: Api> GraphqlDoor<A> {
    /// Parses and measures what is asked, and admits it.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`, `QUERY_TOO_COMPLEX`, `RATE_LIMITED`; of persisted documents `PERSISTED_QUERY_NOT_FOUND` and `FORBIDDEN`; for introspection that is not for everyone also `FORBIDDEN` and `UNAUTHENTICATED`.
    pub async fn operation(&self, params: Params, context: A::Context) -> Result<Operation> {
        let asked = params.asked();
        let for_text = of_text(asked.bytes());
        self.api.charge(&context, for_text, 0).await?;
        let prepared = self.documents.prepare(&asked, params.operation_name.as_deref(), &params.variables)?;
        self.api.charge(&context, price(&prepared.operation), for_text).await?;
        self.admit_introspection(&prepared.operation, &context).await?;
        let (mut parsed, mut values) = (prepared.document.parsed.clone(), params.variables);
        variables::settle(&mut parsed, params.operation_name.as_deref(), &mut values)?;
        let mut request = Request::new(params.query.unwrap_or_default()).variables(values).data(context);
        request.operation_name.clone_from(&params.operation_name);
        request.set_parsed_query(parsed);
        Ok(Operation {
            kind: prepared.operation.operation_type,
            request,
            document: prepared.document,
            name: params.operation_name,
        })
    }

    async fn admit_introspection(&self, operation: &OperationMeasure, context: &A::Context) -> Result<()> {
        if !operation.cost.introspects {
            return Ok(());
        }
        match self.options.introspection {
            Introspection::Always => Ok(()),
            Introspection::Authenticated => self.api.authenticate(context).await,
            Introspection::Never => Err(Error::forbidden(
                "introspection is turned off: the schema is in schema.graphql of the release",
            )),
        }
    }

    /// Runs a query or a mutation.
    pub async fn execute(&self, operation: Operation) -> Response {
        let Operation { request, document, name, .. } = operation;
        let mut response = self.api.execute(request).await;
        mend(&document, name.as_deref(), &mut response);
        response
    }

    /// Runs a subscription. An event of it that fails is a response with errors; if the subscription itself fails, that is the last
    /// response.
    pub fn subscribe(&self, operation: Operation) -> BoxStream<'static, Response> {
        let Operation { request, document, name, .. } = operation;
        self.api
            .subscribe(request)
            .map(move |mut response| {
                mend(&document, name.as_deref(), &mut response);
                response
            })
            .boxed()
    }
}

fn mend(document: &Document, name: Option<&str>, response: &mut Response) {
    nulls::complete(&document.parsed, name, response);
    order::arrange(&document.parsed, name, response);
}
