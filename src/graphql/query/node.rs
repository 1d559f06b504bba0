//! Anything by its id.

use crate::graphql::ids::NodeId;
use crate::graphql::result::{Result, op};
use crate::graphql::types::Node;
use crate::service::{audit, certificates, engines, leases, policies, roles, secrets, tokens};
use async_graphql::{Context, ID, Object};

#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// Anything by its id. Null if there is no such thing, or the caller may not know that there is: every fetch is
    /// authorised like the query of its own type.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "An id that an earlier answer gave, such as `secret:0190163d-8694-739b-aea5-966c26f8ad91`."
        )]
        id: ID,
    ) -> Result<Option<Node>> {
        let op = op(ctx)?;
        Ok(match NodeId::parse(&id)? {
            NodeId::Secret(uuid) => secrets::by_id(op, uuid).await?.map(|view| Node::Secret(view.into())),
            NodeId::Policy(uuid) => policies::by_id(op, uuid).await?.map(|view| Node::Policy(view.into())),
            NodeId::Role(uuid) => roles::by_id(op, uuid).await?.map(|view| Node::Role(view.into())),
            NodeId::Token(accessor) => {
                tokens::by_accessor(op, accessor).await?.map(|info| Node::Token(info.into()))
            }
            NodeId::Engine(uuid) => engines::by_id(op, uuid).await?.map(|view| Node::Engine(view.into())),
            NodeId::Lease(uuid) => leases::find(op, uuid).await?.map(|view| Node::Lease(view.into())),
            NodeId::Certificate(uuid) => {
                certificates::by_id(op, uuid).await?.map(|view| Node::Certificate(view.into()))
            }
            NodeId::CertificateAuthority(uuid) => {
                certificates::authority(op, uuid).await?.map(|view| Node::CertificateAuthority(view.into()))
            }
            NodeId::CertificateRole(uuid) => {
                certificates::role_by_id(op, uuid).await?.map(|view| Node::CertificateRole(view.into()))
            }
            NodeId::Enrollment(uuid) => {
                certificates::enrollment(op, uuid).await?.map(|view| Node::Enrollment(view.into()))
            }
            NodeId::IntermediateCaRequest(uuid) => certificates::authority_request(op, uuid)
                .await?
                .map(|view| Node::IntermediateCaRequest(view.into())),
            NodeId::EngineRole(secret_id) => {
                engines::role_by_id(op, secret_id).await?.map(|view| Node::EngineRole(view.into()))
            }
            NodeId::AuditEvent(uuid) => {
                audit::by_event_id(op, uuid).await?.map(|event| Node::AuditEvent(event.into()))
            }
        })
    }
}
