//! Who asks, and from where: every operation goes through an [`Access`], so no door can forget to ask.

use super::App;
pub use super::access::Access;
pub(super) use super::access::note_refusal;
use super::certificates::PeerCertificate;
use super::ledger::{Attempt, Decided};
use super::rate;
use super::tokens::{self, TokenState};
use crate::crypto::primitives::sha256;
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::{ActorType, AuditEvent, EventType};
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Where a request came from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The client's address as far as it can be trusted.
    pub source_ip: Option<IpAddr>,
    /// Made by this server for each request.
    pub request_id: String,
    /// The client's own id for what it does, if it sent one.
    pub correlation_id: Option<String>,
    /// The client certificate of the connection, which was good when the connection began.
    pub certificate: Option<Arc<PeerCertificate>>,
    pub started: Instant,
}

struct Inner {
    app: Arc<App>,
    origin: Origin,
    /// The hash of the presented token; the token itself is not kept.
    token: Option<[u8; 32]>,
    actor: ActorType,
    /// Set once a use of a token with limited uses has been counted: one per request.
    counted: OnceCell<()>,
    /// Set once the token has been rejected, on the record: one event per request, however many operations it holds.
    rejected: OnceCell<()>,
    /// What the time that it took is counted from: the beginning of the request, or of the event that a subscription is at.
    since: Mutex<Instant>,
}

/// One request, as it goes through the service.
#[derive(Clone)]
pub struct OpContext(Arc<Inner>);

impl OpContext {
    /// `bearer` is the token's text, if one was presented.
    #[must_use]
    pub fn new(app: Arc<App>, bearer: Option<&str>, origin: Origin) -> Self {
        let token = bearer.map(|text| sha256(text.as_bytes()));
        let since = origin.started;
        Self(Arc::new(Inner {
            app,
            origin,
            token,
            actor: ActorType::Anonymous,
            counted: OnceCell::new(),
            rejected: OnceCell::new(),
            since: Mutex::new(since),
        }))
    }

    /// For the server's own tasks; `name` becomes the correlation id of what they record.
    #[must_use]
    pub fn system(app: Arc<App>, name: &str) -> Self {
        let origin = Origin {
            source_ip: None,
            request_id: name.to_owned(),
            correlation_id: Some(name.to_owned()),
            certificate: None,
            started: Instant::now(),
        };
        let since = origin.started;
        Self(Arc::new(Inner {
            app,
            origin,
            token: None,
            actor: ActorType::System,
            counted: OnceCell::new(),
            rejected: OnceCell::new(),
            since: Mutex::new(since),
        }))
    }

    /// The next operation of the same caller over the same connection.
    #[must_use]
    pub fn next(&self, request_id: String) -> Self {
        let inner = &self.0;
        let origin = Origin { request_id, started: Instant::now(), ..inner.origin.clone() };
        let since = origin.started;
        Self(Arc::new(Inner {
            app: Arc::clone(&inner.app),
            origin,
            token: inner.token,
            actor: inner.actor,
            counted: OnceCell::new(),
            rejected: OnceCell::new(),
            since: Mutex::new(since),
        }))
    }

    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.0.app
    }

    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    pub(super) fn token_hash(&self) -> Option<[u8; 32]> {
        self.0.token
    }

    /// Looks the caller up and readies everything an operation decides on.
    ///
    /// # Errors
    /// `SEALED`, `NOT_INITIALIZED`, `UNAUTHENTICATED` (recorded as `auth.failed`), `UNAVAILABLE`.
    pub(super) async fn access(&self) -> Result<Access, Attempt> {
        let app = self.app();
        let keys = app.keys.get()?;
        let generation = app.caches.generation();
        let book = app.policies(generation).await?;
        let now = app.clock.now();
        let caller = self.known(generation, now).await?;
        if caller.limited {
            let counted =
                self.0.counted.get_or_try_init(|| tokens::count_use(self, generation, &caller)).await;
            match counted {
                Ok(()) => {}
                Err(Attempt::Failed(error)) if error.code() == ErrorCode::Unauthenticated => {
                    return Err(self.reject(generation, Some(&caller), "the token is used up").await);
                }
                Err(other) => return Err(other),
            }
        }
        let policies = caller.policies(&book);
        Ok(Access { ctx: self.clone(), generation, caller, policies, now, keys })
    }

    /// Whose token it is. That it is nobody's, or cannot be used now and from there, goes on record.
    async fn known(&self, generation: i64, now: DateTime<Utc>) -> Result<Arc<TokenState>, Attempt> {
        if self.0.rejected.initialized() {
            return Err(Error::unauthenticated().into());
        }
        match tokens::lookup(self.app(), self.token_hash(), generation).await? {
            Some(state) => match state.problem(now, self.origin()) {
                None => Ok(state),
                Some(problem) => Err(self.reject(generation, Some(&state), problem).await),
            },
            None if self.0.token.is_some() => {
                Err(self.reject(generation, None, "unknown or revoked token").await)
            }
            None => Err(self.reject(generation, None, "no token").await),
        }
    }

    /// Whether a connection that lasts may be opened with this token; each operation on it counts a use of its own.
    ///
    /// # Errors
    /// `SEALED`, `NOT_INITIALIZED`, `UNAUTHENTICATED` (recorded as `auth.failed`), `UNAVAILABLE`.
    pub(super) async fn admit(&self) -> Result<(), Attempt> {
        let app = self.app();
        app.keys.get()?;
        let generation = app.caches.generation();
        self.known(generation, app.clock.now()).await.map(drop)
    }

    /// Who asks and what they may by now, for what was opened before and goes on: no use is counted, and that the token has ended
    /// meanwhile is no failed attempt to put on record.
    ///
    /// # Errors
    /// `SEALED`, `NOT_INITIALIZED`, `UNAUTHENTICATED`, `UNAVAILABLE`.
    pub(super) async fn again(&self) -> Result<Access> {
        let app = self.app();
        let keys = app.keys.get()?;
        let generation = app.caches.generation();
        let book = app.policies(generation).await?;
        let now = app.clock.now();
        let caller = tokens::lookup(app, self.token_hash(), generation)
            .await?
            .filter(|caller| caller.problem(now, self.origin()).is_none())
            .ok_or_else(Error::unauthenticated)?;
        let policies = caller.policies(&book);
        Ok(Access { ctx: self.clone(), generation, caller, policies, now, keys })
    }

    /// What comes now is no longer the answer to the request itself: the time it takes counts from here.
    pub(super) fn begin_event(&self) {
        *self.0.since.lock() = Instant::now();
    }

    /// Turns the request away, once on the record; operations that run beside this one wait for that one event.
    async fn reject(&self, generation: i64, caller: Option<&TokenState>, reason: &str) -> Attempt {
        let record = || async {
            if caller.is_none() {
                rate::stranger(self).await?;
            }
            let mut event = self.event(EventType::AuthFailed, caller);
            event.access_granted = Some(false);
            event.denial_reason = Some(reason.to_owned());
            self.app().ledger.record(Decided { generation, token: self.0.token }, vec![event]).await
        };
        match self.0.rejected.get_or_try_init(record).await.copied() {
            Ok(()) => Error::unauthenticated().into(),
            Err(failure) => failure,
        }
    }

    /// An event with everything filled in that is known of the request and the caller.
    pub(super) fn event(&self, event_type: EventType, caller: Option<&TokenState>) -> AuditEvent {
        let host = &self.app().host;
        let origin = self.origin();
        let actor = caller.map_or(self.0.actor, |caller| caller.actor);
        let actor_id = caller.map(|caller| caller.actor_id.clone());
        let of = |wanted: ActorType| actor_id.clone().filter(|_| actor == wanted);
        let shown = |wanted: &str| {
            let peer = origin.certificate.as_ref()?;
            (peer.cert_type.entity_type() == Some(wanted)).then(|| peer.fingerprint.clone())
        };
        AuditEvent {
            event_id: Uuid::now_v7(),
            sequence_number: 0,
            timestamp: DateTime::UNIX_EPOCH,
            event_type: event_type.as_str().to_owned(),
            actor_type: Some(actor.as_str().to_owned()),
            agent_id: of(ActorType::Agent),
            app_id: of(ActorType::App),
            admin_id: of(ActorType::Admin),
            actor_id,
            token_accessor: caller.map(|caller| caller.accessor.to_string()),
            role_name: caller.and_then(|caller| caller.role_name.clone()),
            agent_cert_fingerprint: shown("agent"),
            app_cert_fingerprint: shown("app"),
            admin_cert_fingerprint: shown("admin"),
            secret_id: None,
            secret_path: None,
            secret_version: None,
            secret_type: None,
            lease_id: None,
            access_granted: Some(true),
            policy_matched: None,
            denial_reason: None,
            source_ip: origin.source_ip,
            hostname: host.hostname.clone(),
            k8s_namespace: host.k8s_namespace.clone(),
            k8s_pod: host.k8s_pod.clone(),
            event_data: Value::Object(Map::new()),
            response_time_ms: Some(
                i64::try_from(self.0.since.lock().elapsed().as_millis()).unwrap_or(i64::MAX),
            ),
            correlation_id: Some(origin.correlation_id.clone().unwrap_or_else(|| origin.request_id.clone())),
            batch_end: false,
            previous_hash: [0; 32],
            current_hash: [0; 32],
            signature: None,
        }
    }
}

/// Makes attempts until one settles. Each is decided anew, on what the last one learnt of other nodes' changes.
macro_rules! settle {
    ($attempt:expr) => {{
        let mut left = $crate::service::context::ATTEMPTS;
        loop {
            left -= 1;
            match $attempt.await {
                Err($crate::service::ledger::Attempt::Stale) if left > 0 => {}
                Err($crate::service::ledger::Attempt::Stale) => {
                    break Err($crate::error::Error::unavailable("decisions went stale again and again"));
                }
                Err($crate::service::ledger::Attempt::Failed(error)) => break Err(error),
                Ok(value) => break Ok(value),
            }
        }
    }};
}
pub(super) use settle;

/// How often an operation is decided anew before the caller is told to try again.
pub(super) const ATTEMPTS: u32 = 8;
