//! PostgreSQL credentials.
