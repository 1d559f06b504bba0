//! What a caller may give to a role, so that whoever administers roles does not administer everything.

use super::super::book::{PolicyBook, ROOT};
use super::super::context::Access;
use super::super::tokens;
use super::token_policies;
use crate::error::{Error, Result};
use crate::model::policies::{Action, Area, CompiledPolicy};
use crate::storage::roles::RoleRow;
use std::sync::Arc;

/// The entities that policies reach a role's tokens by, besides the policies that it names.
pub(in super::super) fn entities(role_name: &str, entity_type: &str) -> Vec<String> {
    tokens::entities(Some(&format!("role:{role_name}")), entity_type, Some(role_name))
}

/// Without `root`: any policy over secrets, but an area only with a policy that the caller's token names itself (its
/// conditions go along), or if the caller has the area without any condition; and never what a deny policy takes from
/// the caller, since the role's tokens would not carry it.
pub(super) struct Granting {
    root: bool,
    book: Arc<PolicyBook>,
    /// The policies that the caller's token names.
    named: Vec<String>,
    /// The areas that it has at any time and from anywhere.
    unconditional: Vec<Area>,
    /// The areas that a deny policy covers, whether or not its conditions hold now.
    denied: Vec<Area>,
}

impl Granting {
    pub(super) async fn of(access: &Access) -> Result<Self> {
        let covered = |wanted: &dyn Fn(&CompiledPolicy) -> bool| -> Vec<Area> {
            let by = |area: &Area| access.policies.iter().any(|p| wanted(p) && p.covers_area(*area));
            Area::ALL.iter().copied().filter(by).collect()
        };
        let mut unconditional = covered(&|policy| !policy.is_deny() && policy.applies_always());
        unconditional.retain(|area| access.decide(&Action::Administer(*area)).allowed);
        Ok(Self {
            root: access.is_root(),
            book: access.app().policies(access.generation).await?,
            named: access.caller.policy_names.clone(),
            unconditional,
            denied: covered(&CompiledPolicy::is_deny),
        })
    }

    /// Checks a role as it is to be. A name that no policy has yet is refused too: whoever makes that policy later does
    /// not know whom it is given to.
    ///
    /// # Errors
    /// `FORBIDDEN` naming the policy.
    pub(super) fn check(&self, role: &RoleRow) -> Result<()> {
        if self.root {
            return Ok(());
        }
        if let Some(name) = token_policies(role).iter().find(|name| self.book.get(name).is_none()) {
            return Err(Error::forbidden(format!(
                "there is no policy '{name}', which this role names: make it first, or take the name out"
            )));
        }
        self.check_areas(role)
    }

    /// Checks a role as it is, which may have outlived a policy that it names.
    ///
    /// # Errors
    /// `FORBIDDEN` naming the policy.
    pub(super) fn check_areas(&self, role: &RoleRow) -> Result<()> {
        if self.root {
            return Ok(());
        }
        let entities = entities(&role.role_name, &role.entity_type);
        self.check_policies(&token_policies(role), &entities)
    }

    /// Checks what a token with these policies and entities would hold.
    fn check_policies(&self, names: &[String], entities: &[String]) -> Result<()> {
        for policy in self.book.of(names, entities).iter().filter(|p| !p.is_deny()) {
            let name = policy.name();
            if **name == *ROOT {
                return Err(Error::forbidden("only the policy 'root' may give the policy 'root' away"));
            }
            let named = self.named.iter().any(|own| **own == **name);
            let lacks = |area: &&Area| {
                policy.covers_area(**area)
                    && (self.denied.contains(area) || !(named || self.unconditional.contains(area)))
            };
            if let Some(area) = Area::ALL.iter().find(lacks) {
                return Err(Error::forbidden(format!(
                    "the policy '{name}', which would be given away by name or by binding, administers {area}, which this \
                     token does not at all times: ask one that does"
                )));
            }
        }
        Ok(())
    }
}

/// Whether the caller may hand out what policies are bound to these entities.
///
/// # Errors
/// `FORBIDDEN` naming the policy.
pub(in super::super) async fn may_bind(access: &Access, entities: &[String]) -> Result<()> {
    let granting = Granting::of(access).await?;
    if granting.root { Ok(()) } else { granting.check_policies(&[], entities) }
}
