//! Memberships that the engine's own account takes for one transaction. Handing objects over needs the rights of who had
//! them and of who gets them; an account that may grant a role may take that for itself.

use crate::failure::Result;
use crate::link::Link;
use crate::statements::identifier;
use tokio_postgres::types::Type;

/// What the engine's account is to a role: whether it has its rights, is a member, and by its own grant.
const STANDING: &str = "SELECT pg_has_role(r.oid, 'USAGE'), pg_has_role(r.oid, 'MEMBER'), \
     EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles me ON me.oid = m.member AND me.oid = m.grantor \
             WHERE m.roleid = r.oid AND me.rolname = current_user), \
     current_setting('server_version_num')::int4 \
     FROM pg_roles r WHERE r.rolname = $1";

/// From this version on, each grantor's grant counts for itself, and a membership need not give the rights.
const SEPARATE_GRANTS: i32 = 160_000;

/// Takes the rights of a role, within a transaction. Returns the statement that gives them back; empty if the account had
/// them before, or there is no such role.
pub(crate) async fn take(link: &mut Link, role: &str) -> Result<String> {
    let rows = link.ask(STANDING, &[(&role, Type::TEXT)]).await?;
    let Some(row) = rows.first() else { return Ok(String::new()) };
    let (has_rights, is_member, by_itself): (bool, bool, bool) = (row.get(0), row.get(1), row.get(2));
    let separate = row.get::<_, i32>(3) >= SEPARATE_GRANTS;
    // before, a membership without its rights is the account's NOINHERIT, which no grant changes
    if has_rights || (is_member && !separate) {
        return Ok(String::new());
    }
    let role = identifier(role);
    let how = if separate { " WITH INHERIT TRUE" } else { "" };
    link.run(&format!("GRANT {role} TO CURRENT_USER{how}")).await?;
    let what = if by_itself { "INHERIT OPTION FOR " } else { "" };
    Ok(format!("REVOKE {what}{role} FROM CURRENT_USER;"))
}
