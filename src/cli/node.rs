//! A running node: the doors over an [`App`], from the bound socket to the orderly end. `dev` and `server` share it.

use super::failure::Failure;
use crate::config::in_the_clear;
use crate::crypto::memory::Hardening;
use crate::error::Error;
use crate::graphql;
use crate::http::router::Doors;
use crate::http::server::{ServerOptions, serve};
use crate::http::tls::{Prepared, Tls};
use crate::http::transport::TransportOptions;
use crate::service::{App, HostIdentity};
use crate::storage::db::StoreUrl;
use crate::tasks;
use ipnet::IpNet;
use rustix::fs::Mode;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

/// What a node listens with.
pub struct Front {
    pub listener: TcpListener,
    /// `None`: plain HTTP.
    pub tls: Option<Prepared>,
    /// `None`: SIGHUP ends the process, as it does when the terminal is closed.
    pub hangups: Option<Hangups>,
    pub trusted_proxies: Vec<IpNet>,
    pub transport: TransportOptions,
    pub playground: bool,
    pub server: ServerOptions,
}

/// Binds the socket; done before anything else, so that a second server on one address changes nothing.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Failure::new(format!("cannot listen on {address}: {error}")))
}

/// A future that completes at the first SIGTERM or SIGINT. To be called before the node is announced.
pub fn termination() -> Result<impl Future<Output = ()>, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: finishing what is in flight");
    })
}

/// Serves until `stop`, then finishes what is in flight and closes the store.
pub async fn run(app: Arc<App>, front: Front, stop: impl Future<Output = ()>) -> Result<(), Failure> {
    let schema = graphql::schema(graphql::SchemaOptions { introspection: front.transport.introspection });
    let doors = Doors::new(Arc::clone(&app), schema, front.transport, front.trusted_proxies);
    let doors = Arc::new(doors.with_playground(front.playground));
    let mut tasks = tasks::start(&app);
    let served = match start_tls(&app, front.tls, &mut tasks).await {
        Ok(tls) => {
            if let Some(hangups) = front.hangups {
                tasks.spawn(hangups.reload(tls.clone()));
            }
            serve(front.listener, tls, doors, &front.server, stop).await
        }
        Err(error) => Err(error),
    };
    tasks.shutdown().await;
    app.shutdown().await;
    tracing::info!("stopped");
    served.map_err(|error: Error| Failure::of_process(&error))
}

/// What SIGHUP does, which would otherwise end the process.
pub struct Hangups(Signal);

/// Takes SIGHUP from here on: certificate files are read again.
pub fn hangups() -> Result<Hangups, Failure> {
    Ok(Hangups(signal(SignalKind::hangup())?))
}

impl Hangups {
    async fn reload(mut self, tls: Option<Arc<Tls>>) {
        while self.0.recv().await.is_some() {
            match &tls {
                Some(tls) => tls.reload(),
                None => tracing::info!("SIGHUP: there are no certificate files to read again"),
            }
        }
    }
}

/// The listener's TLS, with what keeps it up to date among the tasks.
async fn start_tls(
    app: &Arc<App>,
    prepared: Option<Prepared>,
    tasks: &mut JoinSet<()>,
) -> Result<Option<Arc<Tls>>, Error> {
    let Some(prepared) = prepared else { return Ok(None) };
    let tls = Tls::start(prepared, Arc::new(Arc::clone(app)), Arc::clone(app.clock())).await?;
    tasks.spawn(Arc::clone(&tls).watch());
    Ok(Some(tls))
}

/// The variables of this process. Names and values that are no text are none of ours.
#[must_use]
pub fn environment() -> BTreeMap<String, String> {
    let texts =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(texts).collect()
}

/// What this process creates from here on is for its own user only.
pub fn keep_files_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Says if the way to the store can be listened to.
pub fn report_store(url: &StoreUrl) {
    if in_the_clear(url) {
        tracing::warn!(
            "the connection to PostgreSQL may be unencrypted: add sslmode=verify-full (or require) to storage.url"
        );
    }
}

/// Says what of the process's protection could not be had.
pub fn report_hardening(hardening: Hardening) {
    if !hardening.core_dumps_off || !hardening.not_dumpable {
        tracing::warn!("core dumps or tracing of this process could not be turned off");
    }
    if !hardening.memory_locking {
        tracing::warn!(
            "keys cannot be locked into memory and may reach swap: raise the limit of locked memory"
        );
    }
}

/// Where this process runs, as the audit log records it.
#[must_use]
pub fn host_identity() -> HostIdentity {
    let file = |path: &str| {
        let text = std::fs::read_to_string(path).ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let in_kubernetes = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let hostname = file("/proc/sys/kernel/hostname").or_else(|| variable("HOSTNAME"));
    HostIdentity {
        k8s_namespace: variable("POD_NAMESPACE")
            .or_else(|| file("/var/run/secrets/kubernetes.io/serviceaccount/namespace")),
        // a pod's hostname is its name
        k8s_pod: variable("POD_NAME").or_else(|| hostname.clone().filter(|_| in_kubernetes)),
        hostname,
    }
}
