//! Reading with one statement: it is a snapshot of its own, so there is no transaction around it, which would be two round trips more.

use crate::error::Result;
use crate::storage::db::Db;
use sqlx::pool::PoolConnection;
use sqlx::{Postgres, Sqlite};

/// A connection for one statement that reads.
pub enum Glance {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// As [`on!`](super::db::on) with a [`Glance`], which it uses up.
macro_rules! look {
    ($glance:expr, $conn:ident => $body:expr) => {{
        let done = match $glance {
            $crate::storage::glance::Glance::Sqlite(mut connection) => {
                let $conn = &mut *connection;
                $body.await
            }
            $crate::storage::glance::Glance::Postgres(mut connection) => {
                let $conn = &mut *connection;
                $body.await
            }
        };
        done.map_err($crate::error::Error::from)
    }};
}
pub(super) use look;

impl Db {
    /// A connection for one statement that reads.
    ///
    /// # Errors
    /// `UNAVAILABLE` if no connection can be had.
    pub async fn glance(&self) -> Result<Glance> {
        Ok(match self {
            Self::Sqlite { readers, .. } => Glance::Sqlite(readers.acquire().await?),
            Self::Postgres(pools) => Glance::Postgres(pools.readers().acquire().await?),
        })
    }
}
