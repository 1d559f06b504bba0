//! The thread that starts processes. The kernel ends an engine's process with the *thread* that started it, so that has to be one
//! that lives as long as the server, which the runtime's threads need not.

use parking_lot::Mutex;
use std::sync::mpsc;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

struct Order {
    command: Command,
    runtime: Handle,
    reply: oneshot::Sender<std::io::Result<Child>>,
}

/// Starts processes, which end with this at the latest.
#[derive(Default)]
pub(super) struct Starter {
    /// Of the thread, once there is one.
    orders: Mutex<Option<mpsc::Sender<Order>>>,
}

impl Starter {
    /// Starts a process. Dropping the future ends it.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub async fn spawn(&self, command: Command) -> Result<Child, String> {
        let failed =
            || "the process cannot be started: see the server's limits and its program file".to_owned();
        let (reply, child) = oneshot::channel();
        let order = Order { command, runtime: Handle::current(), reply };
        self.orders().and_then(|orders| orders.send(order).ok()).ok_or_else(failed)?;
        match child.await {
            Ok(Ok(child)) => Ok(child),
            Ok(Err(error)) => {
                tracing::warn!(%error, "an engine's process cannot be started");
                Err(failed())
            }
            Err(_) => Err(failed()),
        }
    }

    fn orders(&self) -> Option<mpsc::Sender<Order>> {
        let mut orders = self.orders.lock();
        if orders.is_none() {
            let (sender, receiver) = mpsc::channel();
            std::thread::Builder::new()
                .name("engine-starter".to_owned())
                .spawn(move || serve(&receiver))
                .ok()?;
            *orders = Some(sender);
        }
        orders.clone()
    }
}

fn serve(orders: &mpsc::Receiver<Order>) {
    while let Ok(Order { mut command, runtime, reply }) = orders.recv() {
        let _runtime = runtime.enter();
        // whoever asked may be gone: the child is killed when it is dropped
        let _ = reply.send(command.spawn());
    }
}
