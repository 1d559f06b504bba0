//! Ending accounts, a batch at a time.

mod objects;
mod sessions;

use crate::engine::PostgresEngine;
use crate::failure::Failure;
use crate::role::Role;
use crate::statements::{identifier, identifiers, lock_number};
use secrethub_engine::{EngineError, Result, Revocation};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use tokio_postgres::types::Type;
use uuid::Uuid;

/// Accounts that go through the steps together.
const BATCH: usize = 100;
/// How long to wait for an issue that is under way.
const MAKERS_PATIENCE: Duration = Duration::from_secs(10);

impl PostgresEngine {
    /// Ends the accounts of these leases; one result for each.
    pub(crate) async fn end(&self, revocations: &[Revocation<Role>]) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(revocations.len());
        for chunk in revocations.chunks(BATCH) {
            let names: Vec<String> =
                chunk.iter().map(|one| self.name_of(one.lease_id, one.handle.as_ref())).collect();
            let mut batch = Batch { engine: self, standing: Vec::new(), failed: HashMap::new() };
            let outcome = batch.end(&names, chunk).await;
            results.extend(names.iter().map(|name| match (&outcome, batch.failed.get(name)) {
                (_, Some(error)) => Err(error.clone()),
                // what stopped the batch concerns those that were not done
                (Err(error), None) if batch.standing.contains(name) => Err(error.clone()),
                _ => Ok(()),
            }));
        }
        results
    }

    pub(crate) async fn end_one(&self, revocation: &Revocation<Role>) -> Result<()> {
        let mut results = self.end(std::slice::from_ref(revocation)).await;
        results.pop().unwrap_or_else(|| Err(EngineError::retry("the revocation has no result")))
    }
}

/// Accounts on their way out.
struct Batch<'a> {
    engine: &'a PostgresEngine,
    /// Those that are there still and have not failed.
    standing: Vec<String>,
    /// Those that cannot be ended, and why.
    failed: HashMap<String, EngineError>,
}

impl Batch<'_> {
    /// # Errors
    /// If the target does not answer: it concerns all that are still standing.
    async fn end(&mut self, names: &[String], revocations: &[Revocation<Role>]) -> Result<()> {
        self.standing = names.to_vec();
        let mut found = self.find(names).await?;
        let missing: HashMap<i64, &String> = names
            .iter()
            .zip(revocations)
            .filter(|(name, _)| !found.contains_key(*name))
            .map(|(name, one)| (lock_number(one.lease_id), name))
            .collect();
        if !missing.is_empty() {
            self.await_makers(&missing).await?;
            let missing: Vec<String> = missing.into_values().cloned().collect();
            found.extend(self.find(&missing).await?);
        }
        self.standing.retain(|name| found.contains_key(name) && !self.failed.contains_key(name));
        let mut seen = HashSet::new();
        self.standing.retain(|name| seen.insert(name.clone()));

        let open: Vec<String> = self.standing.iter().filter(|name| found[*name]).cloned().collect();
        self.each(&open, |names| names.iter().map(|name| no_login(name)).collect()).await;
        self.end_sessions().await?;

        let entangled = self.entangled().await?;
        let plans: HashMap<&str, Plan> = names
            .iter()
            .zip(revocations)
            .map(|(name, revocation)| (name.as_str(), Plan::of(self.engine, revocation)))
            .collect();
        let (dirty, clean): (Vec<String>, Vec<String>) = self.standing.iter().cloned().partition(|name| {
            entangled.contains(name)
                || plans.get(name.as_str()).is_some_and(|plan| !plan.statements.is_empty())
        });
        let gone = self.each(&clean, drop_roles).await;
        self.standing.retain(|name| !gone.contains(name));
        for name in dirty {
            let Some(plan) = plans.get(name.as_str()) else { continue };
            if let Err(failure) = self.end_with_objects(&name, plan).await {
                self.fail(&name, failure);
            }
            self.standing.retain(|other| *other != name);
        }
        Ok(())
    }

    /// Those of these that exist, and whether they may log in.
    async fn find(&self, names: &[String]) -> Result<HashMap<String, bool>> {
        let query = "SELECT rolname::text, rolcanlogin FROM pg_roles WHERE rolname = ANY($1)";
        let rows = self.engine.ask(query, &[(&names, Type::TEXT_ARRAY)]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Waits until nobody is making one of these accounts: a call that was broken off may have sent its commit.
    async fn await_makers(&mut self, names: &HashMap<i64, &String>) -> Result<()> {
        let until = Instant::now() + MAKERS_PATIENCE;
        let locks: Vec<i64> = names.keys().copied().collect();
        // of all databases, which taking the lock would not do
        let query = "SELECT lock FROM (SELECT (classid::int8 << 32) | objid::int8 AS lock FROM pg_locks \
             WHERE locktype = 'advisory' AND objsubid = 1) AS held WHERE lock = ANY($1)";
        loop {
            let rows = self.engine.ask(query, &[(&locks, Type::INT8_ARRAY)]).await?;
            if rows.is_empty() {
                return Ok(());
            }
            if Instant::now() > until {
                for name in rows.iter().filter_map(|row| names.get(&row.get(0))) {
                    let message = "the target is still at work on issuing what is to be revoked";
                    self.fail(name, EngineError::retry(message).into());
                }
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn fail(&mut self, name: &str, failure: Failure) {
        self.failed.insert(name.to_owned(), failure.error);
        self.standing.retain(|other| other != name);
    }

    /// Runs one transaction for these accounts. If the target refuses it, one for each, so that one account does not keep
    /// the others; those that fail then are out. Returns those that it was done for.
    async fn each(&mut self, names: &[String], statement: fn(&[&str]) -> String) -> HashSet<String> {
        let mut done = HashSet::new();
        if names.is_empty() {
            return done;
        }
        let engine = self.engine;
        let database = engine.config().database.clone();
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        match engine.run(&database, &statement(&all)).await {
            Ok(()) => done.extend(names.iter().cloned()),
            Err(failure) if failure.is_answer() && names.len() > 1 => {
                for name in names {
                    match engine.run(&database, &statement(&[name.as_str()])).await {
                        Ok(()) => drop(done.insert(name.clone())),
                        Err(failure) => self.fail(name, failure),
                    }
                }
            }
            Err(failure) => {
                for name in names {
                    self.failed.insert(name.clone(), failure.error.clone());
                }
                self.standing.retain(|name| !self.failed.contains_key(name));
            }
        }
        done
    }
}

fn no_login(name: &str) -> String {
    format!("ALTER ROLE {} NOLOGIN;", identifier(name))
}

fn drop_roles(names: &[&str]) -> String {
    format!("DROP ROLE IF EXISTS {}", identifiers(names.iter().copied()))
}

/// What is known about how to end one account.
struct Plan {
    lease_id: Uuid,
    /// The role's own statements. Those of the role as it is now count, so that a mistake in them can be put right.
    statements: Vec<String>,
    /// Where they are run.
    database: String,
    /// Who may get what the account owns, in this order.
    owners: Vec<String>,
}

impl Plan {
    fn of(engine: &PostgresEngine, revocation: &Revocation<Role>) -> Self {
        let handle = revocation.handle.as_ref().unwrap_or(&Value::Null);
        let role = revocation.role.as_ref();
        let text = |key: &str| handle[key].as_str().map(str::to_owned);
        let issued = || serde_json::from_value(handle["revocation_statements"].clone()).unwrap_or_default();
        let owner = role.and_then(Role::owner).map(str::to_owned);
        Self {
            lease_id: revocation.lease_id,
            statements: role.map_or_else(issued, |role| role.revocation_statements.clone()),
            // a database may be gone with its role; the account's objects are found wherever they are
            database: match role {
                Some(role) => engine.database(role),
                None => text("database").unwrap_or_else(|| engine.config().database.clone()),
            },
            owners: owner.into_iter().chain(text("owner")).collect(),
        }
    }
}
