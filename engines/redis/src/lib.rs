//! Redis ACL users.
