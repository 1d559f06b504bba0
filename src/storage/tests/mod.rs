//! What the statements do, on both databases.

mod accounts;
mod audit;
mod audit_query;
mod batch;
mod certificate_authorities;
mod certificate_roles;
mod certificates;
mod certificates_states;
mod engines;
mod enrollments;
mod leases;
mod leases_begun;
mod leases_ending;
mod leases_list;
mod leases_states;
mod migrations;
mod nodes;
mod partitions;
mod policies;
mod roles;
mod schema;
mod schema_certificates;
mod seal;
mod secrets;
mod tokens;
mod versions;
