//! Concurrent writers that remember what was acknowledged, for the tests that break things under them.

use super::calls::{PUT, READ, graphql_at};
use super::server::Server;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

/// A write that the server said is done.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    pub path: String,
    pub version: i64,
    pub data: Value,
}

/// Writers at work until they are stopped.
pub struct Writers {
    stop: Arc<AtomicBool>,
    refused: Arc<Mutex<Vec<String>>>,
    tasks: Vec<JoinHandle<Vec<Acknowledged>>>,
}

impl Writers {
    /// Starts so many writers. Each makes new secrets, and every third write is a new version of a secret of its own.
    pub fn start(server: &Server, count: usize, round: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let refused = Arc::new(Mutex::new(Vec::new()));
        let tasks = (0..count)
            .map(|writer| {
                let (stop, http) = (Arc::clone(&stop), server.http.clone());
                let refused = Arc::clone(&refused);
                let (address, root) = (server.address(), server.root.clone());
                tokio::spawn(async move {
                    let mut done = Vec::new();
                    let mut number = 0_u64;
                    while !stop.load(Ordering::Relaxed) {
                        number += 1;
                        let path = if number.is_multiple_of(3) {
                            format!("work.r{round}.w{writer}.versions")
                        } else {
                            format!("work.r{round}.w{writer}.n{number}")
                        };
                        let data = json!({"round": round, "writer": writer, "number": number});
                        let input = json!({"input": {"path": path, "data": data}});
                        match graphql_at(&http, &address, Some(&root), PUT, input).await {
                            Some(reply) if reply.is_ok() => {
                                let version = reply.data["putSecret"]["secret"]["version"].as_i64().unwrap();
                                done.push(Acknowledged { path, version, data });
                            }
                            // the server is gone or its store is: not acknowledged, nothing to remember
                            other => {
                                refused
                                    .lock()
                                    .unwrap()
                                    .push(other.map_or_else(String::new, |reply| reply.body));
                                tokio::time::sleep(Duration::from_millis(5)).await;
                            }
                        }
                    }
                    done
                })
            })
            .collect();
        Self { stop, refused, tasks }
    }

    /// As [`Writers::finish`], where nothing gave the server a reason to refuse a write.
    pub async fn finish_unrefused(self) -> Vec<Acknowledged> {
        let refused = Arc::clone(&self.refused);
        let done = self.finish().await;
        let refused = refused.lock().unwrap();
        assert!(
            refused.is_empty(),
            "{} writes done, {} refused, such as {}",
            done.len(),
            refused.len(),
            refused[0]
        );
        done
    }

    /// Ends the writers; everything that was acknowledged to them.
    pub async fn finish(self) -> Vec<Acknowledged> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for task in self.tasks {
            all.extend(task.await.unwrap());
        }
        all
    }
}

/// Fails unless every acknowledged write is there with its value. A version that was since pruned (only the newest ten are kept) counts
/// by its successors.
pub async fn all_there(server: &Server, writes: &[Acknowledged]) {
    let mut newest: std::collections::HashMap<&str, i64> = std::collections::HashMap::new();
    for write in writes {
        let at = newest.entry(&write.path).or_default();
        *at = write.version.max(*at);
    }
    for chunk in writes.chunks(16) {
        let mut reads = Vec::new();
        for write in chunk.iter().filter(|write| write.version + 8 > newest[write.path.as_str()]) {
            let (http, address, root) = (server.http.clone(), server.address(), server.root.clone());
            let write = write.clone();
            reads.push(tokio::spawn(async move {
                let variables = json!({"path": write.path, "version": write.version});
                let read = graphql_at(&http, &address, Some(&root), READ, variables).await.unwrap().ok();
                assert_eq!(read["secret"]["data"], write.data, "{write:?}");
                assert!(read["secret"]["version"].as_i64().unwrap() >= write.version, "{write:?}");
            }));
        }
        for read in reads {
            read.await.expect("an acknowledged write is there");
        }
    }
}
