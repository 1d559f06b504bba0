//! A running node: the doors over an [`App`], from the bound socket to the orderly end. `dev` and `server` share it.

use super::failure::Failure;
use crate::config::in_the_clear;
use crate::crypto::memory::Hardening;
use crate::error::Error;
use crate::graphql;
use crate::http::router::Doors;
use crate::http::server::{ServerOptions, serve};
use crate::http::transport::TransportOptions;
use crate::service::{App, HostIdentity};
use crate::storage::db::StoreUrl;
use crate::tasks;
use ipnet::IpNet;
use rustix::fs::Mode;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

/// What a node listens with.
pub struct Front {
    pub listener: TcpListener,
    pub tls: Option<TlsAcceptor>,
    pub trusted_proxies: Vec<IpNet>,
    pub transport: TransportOptions,
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
    let doors = Arc::new(Doors::new(Arc::clone(&app), schema, front.transport, front.trusted_proxies));
    let mut tasks = tasks::start(&app);
    let served = serve(front.listener, front.tls, doors, &front.server, stop).await;
    tasks.shutdown().await;
    app.shutdown().await;
    tracing::info!("stopped");
    served.map_err(|error: Error| Failure::of_process(&error))
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
