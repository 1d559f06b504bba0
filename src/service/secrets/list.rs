//! Listing. Only what the caller's policies let it list is looked at, let alone shown.

use super::super::context::{Access, OpContext, settle};
use super::super::ledger::Attempt;
use super::super::paging::{Connection, Cursor, PageRequest, Window};
use super::SecretView;
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::paths::SecretPath;
use crate::model::policies::{Action, Area, Operation, may_allow_below};
use crate::storage::page::Page;
use crate::storage::secrets as store;
use crate::storage::secrets::SecretRow;
use serde_json::json;

/// Rows read from the store at a time while looking for what may be shown.
const CHUNK: i64 = 256;
/// Longest search text, in bytes.
const MAX_SEARCH: usize = 200;

/// Which secrets.
#[derive(Debug, Clone, Default)]
pub struct ListSecrets {
    /// A path: it and everything below it.
    pub prefix: Option<SecretPath>,
    pub secret_type: Option<String>,
    /// A text in path or description, without regard to case.
    pub search: Option<String>,
}

/// Secrets by path, as far as the caller may list them (or administers `secrets`, which shows all but their values).
///
/// # Errors
/// `BAD_USER_INPUT` at `search` or the paging arguments.
pub async fn list(ctx: &OpContext, query: ListSecrets, page: PageRequest) -> Result<Connection<SecretView>> {
    settle!(list_once(ctx, &query, &page))
}

async fn list_once(
    ctx: &OpContext,
    query: &ListSecrets,
    page: &PageRequest,
) -> Result<Connection<SecretView>, Attempt> {
    let access = ctx.access().await?;
    let window = page.window()?;
    if query.search.as_ref().is_some_and(|text| text.len() > MAX_SEARCH || text.contains('\0')) {
        return Err(Error::bad_input(
            "search",
            "the search text is longer than 200 bytes or has a NUL: shorten it",
        )
        .into());
    }
    let everything = access.decide(&Action::Administer(Area::Secrets)).allowed;
    let rows = collect(&access, query, &window, everything).await?;
    let mut event = access.event(EventType::SecretListed);
    event.secret_path = query.prefix.as_ref().map(ToString::to_string);
    event.event_data = json!({ "listed": rows.len().min(window.limit), "administers": everything });
    access.record(vec![event]).await?;
    let views = rows.iter().map(SecretView::from_row).collect::<Result<Vec<_>>>()?;
    Ok(window.connection(views, |view| Cursor::text(view.path.as_str()), |view| view))
}

/// The rows of the page and one more, in order of their paths.
async fn collect(
    access: &Access,
    query: &ListSecrets,
    window: &Window,
    everything: bool,
) -> Result<Vec<SecretRow>> {
    let mut found = Vec::new();
    let mut ranges = ranges(access, query, everything);
    if window.backward {
        ranges.reverse();
    }
    for range in ranges {
        if collect_range(access, query, window, everything, range, &mut found).await? {
            break;
        }
    }
    if window.backward {
        found.reverse();
    }
    Ok(found)
}

/// Walks one range in the direction of the page. `true`: the page is full. `found` is in the order of the walk.
async fn collect_range(
    access: &Access,
    query: &ListSecrets,
    window: &Window,
    everything: bool,
    range: Option<(String, String)>,
    found: &mut Vec<SecretRow>,
) -> Result<bool> {
    let mut page = Page {
        limit: CHUNK,
        after: window.after.clone(),
        before: window.before.clone(),
        backward: window.backward,
    };
    loop {
        let mut rows = {
            let mut tx = access.app().read().await?;
            store::list(&mut tx, range.clone(), query.secret_type.as_deref(), query.search.as_deref(), &page)
                .await?
        };
        let exhausted = rows.len() < usize::try_from(CHUNK).unwrap_or(usize::MAX);
        if window.backward {
            rows.reverse();
        }
        for row in rows {
            if window.backward {
                page.before = Some(row.secret_path.clone());
            } else {
                page.after = Some(row.secret_path.clone());
            }
            let path = SecretView::from_row(&row)?.path;
            let wanted = query.prefix.as_ref().is_none_or(|prefix| path.is_within(prefix));
            if wanted && (everything || may_list(access, &path)) {
                found.push(row);
                if found.len() > window.limit {
                    return Ok(true);
                }
            }
        }
        if exhausted {
            return Ok(false);
        }
    }
}

fn may_list(access: &Access, path: &SecretPath) -> bool {
    access.decide(&Action::Secret { operation: Operation::List, path }).allowed
}

/// The ranges of paths that can hold anything to show, ascending and apart from each other. `None` is every path.
fn ranges(access: &Access, query: &ListSecrets, everything: bool) -> Vec<Option<(String, String)>> {
    let prefix = query.prefix.as_ref();
    if !everything && !may_allow_below(&access.policies, Operation::List, prefix) {
        return Vec::new();
    }
    let asked = prefix.map(|prefix| below(prefix.as_str()));
    let mut allowed = Vec::new();
    for policy in
        access.policies.iter().filter(|policy| !policy.is_deny() && policy.covers_operation(Operation::List))
    {
        match policy.patterns() {
            None => return vec![asked],
            Some(patterns) => allowed.extend(patterns.iter().map(|pattern| pattern.literal_prefix())),
        }
    }
    if everything || allowed.iter().any(String::is_empty) {
        return vec![asked];
    }
    let mut parts: Vec<(String, String)> = allowed
        .iter()
        .map(|literal| below(literal))
        .filter_map(|part| match &asked {
            Some(asked) => overlap(part, asked),
            None => Some(part),
        })
        .collect();
    parts.sort();
    merge(parts).into_iter().map(Some).collect()
}

/// The path and all that begins with it and a dot lie in this half-open range (with a few that do not: they are left out
/// one by one).
fn below(path: &str) -> (String, String) {
    (path.to_owned(), format!("{path}/"))
}

fn overlap(part: (String, String), with: &(String, String)) -> Option<(String, String)> {
    let from = part.0.max(with.0.clone());
    let to = part.1.min(with.1.clone());
    (from < to).then_some((from, to))
}

fn merge(parts: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut merged: Vec<(String, String)> = Vec::with_capacity(parts.len());
    for (from, to) in parts {
        match merged.last_mut() {
            Some(last) if from <= last.1 => {
                if to > last.1 {
                    last.1 = to;
                }
            }
            _ => merged.push((from, to)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_and_joined() {
        let part = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(overlap(part("a", "c"), &part("b", "d")), Some(part("b", "c")));
        assert_eq!(overlap(part("a", "b"), &part("b", "d")), None);
        let joined = merge(vec![part("a", "c"), part("b", "d"), part("b", "c"), part("e", "f")]);
        assert_eq!(joined, [part("a", "d"), part("e", "f")]);
    }
}
