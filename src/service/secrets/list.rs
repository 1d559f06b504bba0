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
/// Rows gone over at a time where the store leaves out some of them.
const STEP: i64 = 2000;
/// Rows gone over for one page at most: then what was found is the page, and the next one goes on from there.
const BUDGET: i64 = 20_000;
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
    let (rows, stopped) = collect(&access, query, &window, everything).await?;
    let mut event = access.event(EventType::SecretListed);
    event.secret_path = query.prefix.as_ref().map(ToString::to_string);
    event.event_data = json!({ "listed": rows.len().min(window.limit), "administers": everything });
    access.record(vec![event]).await?;
    let views = rows.iter().map(SecretView::from_row).collect::<Result<Vec<_>>>()?;
    let page = window.connection(views, |view| Cursor::text(view.path.as_str()), |view| view);
    Ok(match stopped {
        Some(key) => page.stopped_at(&key, window.backward),
        None => page,
    })
}

type Range = Option<(String, String)>;

/// The rows of the page and one more, in order of their paths; and the key where the budget ended, if it did.
async fn collect(
    access: &Access,
    query: &ListSecrets,
    window: &Window,
    everything: bool,
) -> Result<(Vec<SecretRow>, Option<String>)> {
    let mut ranges = ranges(access, query, everything);
    if window.backward {
        ranges.reverse();
    }
    let mut walk = Walk { access, query, window, everything, left: BUDGET, reached: None, found: Vec::new() };
    let mut stopped = false;
    for range in ranges {
        match walk.range(&range).await? {
            End::OfRange => {}
            End::OfPage => break,
            End::OfBudget => {
                stopped = true;
                break;
            }
        }
    }
    if window.backward {
        walk.found.reverse();
    }
    Ok((walk.found, walk.reached.filter(|_| stopped)))
}

/// Why a walk stands still.
enum End {
    OfRange,
    OfPage,
    OfBudget,
}

/// A walk through the ranges in the direction of the page.
struct Walk<'a> {
    access: &'a Access,
    query: &'a ListSecrets,
    window: &'a Window,
    everything: bool,
    /// What is left of the budget.
    left: i64,
    /// Everything up to this key has been looked at.
    reached: Option<String>,
    /// In the order of the walk.
    found: Vec<SecretRow>,
}

impl Walk<'_> {
    async fn range(&mut self, range: &Range) -> Result<End> {
        let backward = self.window.backward;
        let mut page = Page {
            limit: CHUNK,
            after: self.window.after.clone(),
            before: self.window.before.clone(),
            backward,
        };
        loop {
            if self.left <= 0 {
                return Ok(End::OfBudget);
            }
            let (rows, next) = self.step(range, &page).await?;
            for row in rows {
                let path = SecretView::from_row(&row)?.path;
                let wanted = self.query.prefix.as_ref().is_none_or(|prefix| path.is_within(prefix));
                if wanted && (self.everything || may_list(self.access, &path)) {
                    self.found.push(row);
                    if self.found.len() > self.window.limit {
                        return Ok(End::OfPage);
                    }
                }
            }
            let Some(next) = next else {
                let end = range.as_ref().map(|(from, to)| if backward { from } else { to });
                self.reached = end.cloned().or_else(|| self.reached.take());
                return Ok(End::OfRange);
            };
            self.reached = Some(next.clone());
            *(if backward { &mut page.before } else { &mut page.after }) = Some(next);
        }
    }

    /// Some rows further, in the order of the walk, and the key to go on from; `None` at the end of the range.
    async fn step(&mut self, range: &Range, page: &Page) -> Result<(Vec<SecretRow>, Option<String>)> {
        let ListSecrets { secret_type, search, .. } = self.query;
        let mut tx = self.access.app().read().await?;
        let (mut within, mut edge) = (range.clone(), None);
        // a condition on the rows could make the store go over all of them for the next one that meets it
        let bounded = secret_type.is_some() || search.is_some();
        if bounded {
            let ahead = Page { limit: STEP, ..page.clone() };
            let (walked, last) = store::step(&mut tx, range.as_ref(), &ahead).await?;
            self.left -= walked;
            edge = last.filter(|_| walked == STEP);
            if let Some(edge) = &edge {
                within = Some(up_to(range, edge, page.backward));
            }
        }
        let mut rows = store::list(&mut tx, within, secret_type.as_deref(), search.as_deref(), page).await?;
        if page.backward {
            rows.reverse();
        }
        let count = i64::try_from(rows.len()).unwrap_or(CHUNK);
        if !bounded {
            self.left -= count;
        }
        if count == CHUNK {
            edge = rows.last().map(|row| row.secret_path.clone());
        }
        Ok((rows, edge))
    }
}

/// The part of a range that ends, in the direction of a walk, with this path.
fn up_to(range: &Range, path: &str, backward: bool) -> (String, String) {
    // no character of a path is below '!' or above '~'
    let (from, to) = range.clone().unwrap_or_else(|| (String::new(), "~~".to_owned()));
    if backward { (path.to_owned(), to) } else { (from, format!("{path}!")) }
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
    fn a_part_of_a_range_ends_with_the_path() {
        for path in ["a", "a.b", "zz-z_9", "~"] {
            let (from, to) = up_to(&None, path, false);
            assert!(*from <= *path && *path < *to && *to <= *format!("{path}-"), "{path}");
            let (from, to) = up_to(&None, path, true);
            assert!(*from == *path && *path < *to, "{path}");
        }
    }

    #[test]
    fn ranges_are_cut_and_joined() {
        let part = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(overlap(part("a", "c"), &part("b", "d")), Some(part("b", "c")));
        assert_eq!(overlap(part("a", "b"), &part("b", "d")), None);
        let joined = merge(vec![part("a", "c"), part("b", "d"), part("b", "c"), part("e", "f")]);
        assert_eq!(joined, [part("a", "d"), part("e", "f")]);
    }
}
