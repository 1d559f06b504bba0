//! The engine's connections: a bounded number, kept while they are of use.

use crate::accounts::is_login_refusal;
use crate::failure::{Failure, Result};
use crate::link::{Access, Link};
use secrethub_engine::EngineError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore};

/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(60);

/// The connections to all databases of the target. A call holds one at a time, so calls cannot keep each other waiting in a
/// circle.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    /// Held while the account that connections are made with gets another password, until [`Pool::change`].
    pub(crate) changing: AsyncMutex<()>,
}

struct Shared {
    state: Mutex<State>,
}

struct State {
    access: Arc<Access>,
    /// Counts the changes of `access`: connections made by an earlier one are not kept.
    generation: u64,
    /// The one given back last is at the end.
    idle: Vec<Link>,
}

impl Shared {
    /// Never held across an await.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    pub(crate) fn new(access: Access, most: u32) -> Self {
        let state = State { access: Arc::new(access), generation: 0, idle: Vec::new() };
        Self {
            shared: Arc::new(Shared { state: Mutex::new(state) }),
            places: Arc::new(Semaphore::new(most as usize)),
            changing: AsyncMutex::default(),
        }
    }

    pub(crate) fn access(&self) -> Arc<Access> {
        Arc::clone(&self.shared.state().access)
    }

    /// Makes connections another way from now on. Those in use finish their call.
    pub(crate) fn change(&self, access: Access) {
        let mut state = self.shared.state();
        state.access = Arc::new(access);
        state.generation += 1;
        state.idle.clear();
    }

    /// A connection to a database: an idle one, or a new one.
    ///
    /// # Errors
    /// To be tried again if all are in use for as long as a statement may take; as [`Access::open`].
    pub(crate) async fn session(&self, database: &str) -> Result<Session> {
        let patience = self.access().patience();
        let place = tokio::time::timeout(patience, Arc::clone(&self.places).acquire_owned());
        let busy = || Failure::from(EngineError::retry("all connections to the target are in use"));
        let place = place.await.map_err(|_| busy())?.map_err(|_| busy())?;
        let (access, generation) = {
            let mut state = self.shared.state();
            state.idle.retain(|link| link.is_clean() && link.since.elapsed() < IDLE);
            if let Some(at) = state.idle.iter().rposition(|link| link.database == database) {
                let link = state.idle.remove(at);
                let (generation, shared) = (state.generation, Arc::clone(&self.shared));
                return Ok(Session { link: Some(link), generation, shared, _place: place });
            }
            // those of other databases make room: this call's place is taken already
            let excess = state.idle.len().saturating_sub(self.places.available_permits());
            state.idle.drain(..excess);
            (Arc::clone(&state.access), state.generation)
        };
        let (link, generation) = self.open(database, access, generation).await?;
        Ok(Session { link: Some(link), generation, shared: Arc::clone(&self.shared), _place: place })
    }

    /// With the password in force, even if it is replaced at this moment.
    async fn open(&self, database: &str, mut access: Arc<Access>, mut made: u64) -> Result<(Link, u64)> {
        loop {
            let refused = match access.open(database).await {
                Err(failure) if is_login_refusal(&failure) => failure,
                opened => return Ok((opened?, made)),
            };
            drop(self.changing.lock().await);
            let state = self.shared.state();
            if state.generation == made {
                return Err(refused);
            }
            (access, made) = (Arc::clone(&state.access), state.generation);
        }
    }
}

/// A connection while one call has it. It goes back to the others if the call left it clean.
pub(crate) struct Session {
    /// `None` only while it is dropped.
    link: Option<Link>,
    generation: u64,
    shared: Arc<Shared>,
    _place: OwnedSemaphorePermit,
}

impl Session {
    /// The connection itself.
    pub(crate) fn link(&mut self) -> Result<&mut Link> {
        self.link.as_mut().ok_or_else(|| EngineError::retry("the connection is gone").into())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        let mut state = self.shared.state();
        if link.is_suspect() {
            // the others lead to the same server
            state.idle.clear();
        } else if link.is_clean() && self.generation == state.generation {
            link.since = Instant::now();
            state.idle.push(link);
        }
    }
}
