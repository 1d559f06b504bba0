//! A batch of changes in one transaction: what they look up is read ahead for all of them, and rows that none of them looks at are
//! put off and written together. Statements then cost by the batch, not by the change.
//!
//! Both are safe by default. Any statement writes first what was put off, so it sees all that was done before it; any statement
//! that changes something forgets what was read ahead, so that it is read again. Only where that would cost too much does a
//! statement say itself what it makes untrue ([`exec_known!`]).
//!
//! [`exec_known!`]: crate::storage::db::exec_known

use crate::error::Result;
use crate::storage::certificates::{CertificateRow, Signing};
use crate::storage::db::{Connected, Tx};
use crate::storage::leases::{Activation, LeaseRow};
use crate::storage::leases_begun::{EngineRoom, RoleRoom, Room};
use crate::storage::roles::{LoginFailures, PresentedKey, RoleRow, SecretIdRow};
use crate::storage::secrets::{SecretRow, VersionRow};
use crate::storage::tokens::{TokenLife, TokenRow};
use crate::storage::{certificates, leases_begun, roles, secrets, tokens};
use std::collections::HashMap;
use std::hash::Hash;
use uuid::Uuid;

/// What a change is going to look up. No `Debug`: it holds a hash.
pub enum Want {
    /// The failed logins of a subject, and a role with one of its SecretIDs.
    Login { subject: String, presented: PresentedKey },
    /// A secret, by its path.
    Secret(String),
    /// Until when a token lives.
    Token(Uuid),
    /// What the role of this secret, and its engine, have room for.
    Room(Uuid),
    /// Whether this lease is being issued.
    Issuing(Uuid),
}

/// What is known without looking; `None`: there is no such row.
#[derive(Default)]
pub(crate) struct Ahead {
    pub(crate) failures: HashMap<String, Option<LoginFailures>>,
    pub(crate) presented: HashMap<PresentedKey, Option<(RoleRow, Option<SecretIdRow>)>>,
    pub(crate) secrets: HashMap<String, Option<SecretRow>>,
    pub(crate) tokens: HashMap<Uuid, Option<TokenLife>>,
    /// By secret, and by engine: each with what this batch has begun.
    pub(crate) lease_roles: HashMap<Uuid, Option<RoleRoom>>,
    pub(crate) lease_engines: HashMap<Uuid, EngineRoom>,
    pub(crate) issuing: HashMap<Uuid, Option<()>>,
    /// Nobody asks for these ahead; they are kept from when one is looked up, for one issuer signs most of a batch.
    pub(crate) signing: HashMap<Uuid, Option<Signing>>,
}

/// A row that is put off.
pub(crate) enum Later {
    Token(Box<TokenRow>),
    Certificate(Box<CertificateRow>),
    /// One that begins, and one that becomes active.
    Lease(Box<LeaseRow>),
    Active(Box<Activation>),
    /// A secret, whether it is there or not, and its new version.
    Version(Box<SecretRow>, Box<VersionRow>),
}

/// What a transaction knows and owes.
#[derive(Default)]
pub(crate) struct Batch {
    ahead: Ahead,
    later: Vec<Later>,
    /// How many of `later` the changes before the present one have put off.
    earlier: usize,
}

impl Tx {
    /// Reads ahead, and puts off from now on.
    ///
    /// # Errors
    /// As any statement.
    pub async fn gather(&mut self, wants: Vec<Want>) -> Result<()> {
        let mut ahead = Ahead::default();
        for want in wants {
            match want {
                Want::Login { subject, presented } => {
                    ahead.failures.insert(subject, None);
                    ahead.presented.insert(presented, None);
                }
                Want::Secret(path) => drop(ahead.secrets.insert(path, None)),
                Want::Token(accessor) => drop(ahead.tokens.insert(accessor, None)),
                Want::Room(secret) => drop(ahead.lease_roles.insert(secret, None)),
                Want::Issuing(lease) => drop(ahead.issuing.insert(lease, None)),
            }
        }
        let rows = roles::failures_of(self, &keys(&ahead.failures)).await?;
        fill(&mut ahead.failures, rows.into_iter().map(|row| (row.subject.clone(), row)));
        let rows = roles::presented_by(self, &keys(&ahead.presented)).await?;
        fill(&mut ahead.presented, rows);
        let rows = secrets::at_paths(self, &keys(&ahead.secrets)).await?;
        fill(&mut ahead.secrets, rows.into_iter().map(|row| (row.secret_path.clone(), row)));
        let rows = tokens::lives(self, &keys(&ahead.tokens)).await?;
        fill(&mut ahead.tokens, rows.into_iter().map(|row| (row.accessor, row)));
        for Room { role, engine } in leases_begun::rooms(self, &keys(&ahead.lease_roles)).await? {
            ahead.lease_engines.insert(engine.id, engine);
            ahead.lease_roles.insert(role.secret_id, Some(role));
        }
        let rows = leases_begun::issuing(self, &keys(&ahead.issuing)).await?;
        fill(&mut ahead.issuing, rows.into_iter().map(|row| (row.lease_id, ())));
        self.batch = Some(Box::new(Batch { ahead, ..Batch::default() }));
        Ok(())
    }

    /// What is known without looking; `None` outside of a batch.
    pub(crate) fn ahead(&mut self) -> Option<&mut Ahead> {
        self.batch.as_deref_mut().map(|batch| &mut batch.ahead)
    }

    /// Puts a row off; outside of a batch it is written at once.
    ///
    /// # Errors
    /// As [`Tx::settle`].
    pub(crate) async fn put_off(&mut self, row: Later) -> Result<()> {
        if let Some(batch) = &mut self.batch {
            batch.later.push(row);
            return Ok(());
        }
        self.touch();
        write(&mut self.connection, vec![row]).await
    }

    /// Whether something is put off.
    pub(crate) fn owes(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| !batch.later.is_empty())
    }

    /// Writes what was put off.
    ///
    /// # Errors
    /// As any statement; `CONFLICT` if one of the rows cannot be.
    pub async fn settle(&mut self) -> Result<()> {
        let Some(batch) = &mut self.batch else { return Ok(()) };
        if batch.later.is_empty() {
            return Ok(());
        }
        let later = std::mem::take(&mut batch.later);
        // what earlier changes have put off is not undone with this one
        self.touched |= later.len() > std::mem::take(&mut batch.earlier);
        let done = write(&mut self.connection, later).await;
        self.touched |= done.is_err();
        done
    }

    /// A change begins: from here on [`Tx::was_touched`] and [`Tx::drop_put_off`] are about this one.
    pub fn next_change(&mut self) {
        self.touched = false;
        if let Some(batch) = &mut self.batch {
            batch.earlier = batch.later.len();
        }
    }

    /// Forgets what the present change has put off.
    pub fn drop_put_off(&mut self) {
        let Some(batch) = &mut self.batch else { return };
        if batch.later.len() > batch.earlier {
            batch.later.truncate(batch.earlier);
            // it knew what it had put off as written
            batch.ahead = Ahead::default();
        }
    }

    /// Something was changed: what was read ahead may not be so any more.
    pub(crate) fn forget_ahead(&mut self) {
        if let Some(ahead) = self.ahead() {
            *ahead = Ahead::default();
        }
    }
}

fn keys<K: Clone, V>(map: &HashMap<K, V>) -> Vec<K> {
    map.keys().cloned().collect()
}

fn fill<K: Eq + Hash, V>(map: &mut HashMap<K, Option<V>>, rows: impl IntoIterator<Item = (K, V)>) {
    map.extend(rows.into_iter().map(|(key, row)| (key, Some(row))));
}

async fn write(connection: &mut Connected, later: Vec<Later>) -> Result<()> {
    let (mut new_tokens, mut new_certificates, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    let (mut begun, mut active) = (Vec::new(), Vec::new());
    for row in later {
        match row {
            Later::Token(row) => new_tokens.push(*row),
            Later::Certificate(row) => new_certificates.push(*row),
            Later::Lease(row) => begun.push(*row),
            Later::Active(row) => active.push(*row),
            Later::Version(secret, version) => versions.push((*secret, *version)),
        }
    }
    tokens::insert_all(connection, &new_tokens).await?;
    certificates::insert_all(connection, &new_certificates).await?;
    leases_begun::begin_all(connection, &begun).await?;
    leases_begun::activate_all(connection, &active).await?;
    secrets::write_all(connection, versions).await
}
