//! The service over a running node with SQLite.

mod audited;
mod delegation;
mod leases;
mod ledger;
mod secrets;
mod verification;

use super::context::{OpContext, Origin};
use super::policies::{self, PolicyInput};
use super::tokens::{self, CreateToken};
use super::{App, HostIdentity, Limits, Settings, audit, paging, seal};
use crate::crypto::memory::Key32;
use crate::error::{Error, ErrorCode, Result};
use crate::model::clock::SystemClock;
use crate::storage::db::StoreUrl;
use crate::storage::testing::shown;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

/// A node that is initialised and unsealed.
struct Node {
    app: Arc<App>,
    /// With the root token.
    root: OpContext,
    _directory: tempfile::TempDir,
}

impl Node {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = StoreUrl::Sqlite(directory.path().join("store.db"));
        Self::start_on(store, directory).await
    }

    async fn start_on(store: StoreUrl, directory: tempfile::TempDir) -> Self {
        let settings = Settings {
            store,
            max_connections: 4,
            cluster_name: "test".to_owned(),
            static_seal: Some(Key32::generate()),
            host: HostIdentity::default(),
            limits: Limits::default(),
            cache_bytes: 1 << 20,
            partitions_ahead: 1,
            engines: crate::engine::EngineSettings::default(),
            pki: crate::service::certificates::PkiSettings::default(),
            rates: crate::service::rate::RateSettings::default(),
        };
        let app = shown(App::start(settings, Arc::new(SystemClock)).await);
        let made = shown(seal::initialize(&context(&app, None), 1, 1).await);
        let root = context(&app, Some(&made.root_token));
        Self { app, root, _directory: directory }
    }

    fn with(&self, token: &str) -> OpContext {
        context(&self.app, Some(token))
    }

    /// Stores a policy of this document, bound to these entities.
    async fn policy(&self, name: &str, document: Value, bound_to: &[&str]) {
        let input = PolicyInput {
            name: name.to_owned(),
            document,
            entity_bindings: bound_to.iter().map(|&entity| entity.to_owned()).collect(),
            ..PolicyInput::default()
        };
        shown(policies::create(&self.root, input).await);
    }

    /// A caller whose token names these policies.
    async fn caller(&self, policies: &[&str]) -> OpContext {
        let input = CreateToken { policies: names(policies), ..CreateToken::default() };
        self.with(&shown(tokens::create(&self.root, input).await).token)
    }

    /// How many events there are of this type.
    async fn events(&self, event_type: &str) -> usize {
        let filter = audit::AuditFilter { event_types: names(&[event_type]), ..Default::default() };
        let page = paging::PageRequest { first: Some(100), ..Default::default() };
        shown(audit::list(&self.root, filter, page).await).edges.len()
    }
}

fn context(app: &Arc<App>, token: Option<&str>) -> OpContext {
    let origin = Origin {
        source_ip: Some([127, 0, 0, 1].into()),
        request_id: "r-1".to_owned(),
        correlation_id: None,
        certificate: None,
        started: Instant::now(),
    };
    OpContext::new(Arc::clone(app), token, origin)
}

fn names(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// The document of a policy that administers areas.
fn administers(areas: &[&str]) -> Value {
    json!({ "version": 1, "administers": areas })
}

fn code<T>(result: Result<T>) -> ErrorCode {
    result.err().as_ref().map(Error::code).expect("a refusal")
}
