//! What is kept beside the value: description, metadata, number of versions, rotation dates.

use super::super::cache::Effect;
use super::super::context::{OpContext, settle};
use super::super::input;
use super::super::ledger::{Attempt, Change};
use super::{SecretView, about, absent, require};
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::EventType;
use crate::model::paths::SecretPath;
use crate::model::policies::Operation;
use crate::storage::secrets as store;
use crate::storage::secrets::SecretRow;
use chrono::{DateTime, Utc};
use croner::Cron;
use serde_json::{Value, json};
use sqlx::types::Json;
use std::str::FromStr;

/// Most versions that can be kept.
const MAX_KEPT: i64 = 1000;

/// Settings to change; what is `None` stays, an inner `None` clears.
#[derive(Debug, Clone)]
pub struct UpdateSettings {
    pub path: SecretPath,
    pub description: Option<Option<String>>,
    pub metadata: Option<Option<Value>>,
    pub max_versions: Option<i64>,
    pub rotation: Option<RotationInput>,
}

/// When the value is due to be changed.
#[derive(Debug, Clone)]
pub struct RotationInput {
    pub enabled: bool,
    /// A cron expression in UTC: five fields (minute hour day month weekday), or six with seconds first.
    pub schedule: Option<String>,
}

/// Changes settings without a new version. Needs `write`.
///
/// # Errors
/// `NOT_FOUND`, `FORBIDDEN`, `BAD_USER_INPUT` naming the field, or if there is nothing to change.
pub async fn update_settings(ctx: &OpContext, settings: UpdateSettings) -> Result<SecretView> {
    let UpdateSettings { path: _, description, metadata, max_versions, rotation } = &settings;
    if description.is_none() && metadata.is_none() && max_versions.is_none() && rotation.is_none() {
        return Err(Error::new(
            ErrorCode::BadUserInput,
            "there is nothing to change: give 'description', 'metadata', 'maxVersions' or 'rotation'",
        ));
    }
    if let Some(description) = &settings.description {
        input::description(description.as_deref())?;
    }
    if let Some(metadata) = &settings.metadata {
        input::metadata(metadata.as_ref())?;
    }
    if settings.max_versions.is_some_and(|kept| !(1..=MAX_KEPT).contains(&kept)) {
        return Err(Error::bad_input("maxVersions", "keep 1 to 1000 versions"));
    }
    if let Some(rotation) = &settings.rotation {
        check_rotation(rotation)?;
    }
    settle!(update_once(ctx, &settings))
}

async fn update_once(ctx: &OpContext, settings: &UpdateSettings) -> Result<SecretView, Attempt> {
    let access = ctx.access().await?;
    let decision = require(&access, Operation::Write, &settings.path).await?;
    let mut event = about(access.granted(EventType::SecretUpdated, &decision), &settings.path, None, None);
    let (settings, now) = (settings.clone(), access.now);
    let view = access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let path = settings.path.clone();
                let mut row = store::find_for_update(tx, path.as_str()).await?.ok_or_else(absent)?;
                let changed = apply(&mut row, settings, now)?;
                row.updated_at = now;
                store::update(tx, &row).await?;
                store::prune(tx, row.id, row.version, row.max_versions).await?;
                event.event_data = json!({ "settings": changed });
                let event = about(event, &path, Some(&row), None);
                Ok(Change::new(SecretView::from_row(&row)?, event, vec![Effect::Secret(path)]))
            })
        })
        .await?;
    Ok(view.shown_to(&access))
}

/// Returns the names of what was given.
fn apply(row: &mut SecretRow, settings: UpdateSettings, now: DateTime<Utc>) -> Result<Vec<&'static str>> {
    let mut changed = Vec::new();
    if let Some(description) = settings.description {
        row.description = description.filter(|text| !text.is_empty());
        changed.push("description");
    }
    if let Some(metadata) = settings.metadata {
        row.metadata = Json(metadata.unwrap_or_else(|| json!({})));
        changed.push("metadata");
    }
    if let Some(kept) = settings.max_versions {
        row.max_versions = kept;
        changed.push("max_versions");
    }
    if let Some(rotation) = settings.rotation {
        row.rotation_enabled = rotation.enabled;
        if rotation.schedule.is_some() {
            row.rotation_schedule = rotation.schedule;
        }
        if row.rotation_enabled && row.rotation_schedule.is_none() {
            return Err(Error::bad_input(
                "rotation.schedule",
                "rotation needs a schedule: write a cron expression",
            ));
        }
        row.next_rotation_at = next_rotation(row, now)?;
        changed.push("rotation");
    }
    Ok(changed)
}

fn check_rotation(rotation: &RotationInput) -> Result<()> {
    match &rotation.schedule {
        Some(schedule) => parse_schedule(schedule).map(drop),
        None => Ok(()),
    }
}

pub(super) fn parse_schedule(text: &str) -> Result<Cron> {
    let bad = || {
        Error::bad_input(
            "rotation.schedule",
            "not a cron expression: write minute hour day month weekday, such as 0 3 * * 1",
        )
    };
    if text.len() > 200 {
        return Err(bad());
    }
    Cron::from_str(text).map_err(|_| bad())
}

pub(super) fn next_rotation(row: &SecretRow, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
    match (row.rotation_enabled, &row.rotation_schedule) {
        // a schedule that never comes again (a past year) leaves no date
        (true, Some(schedule)) => Ok(parse_schedule(schedule)?.find_next_occurrence(&now, false).ok()),
        _ => Ok(None),
    }
}

/// A new value of a secret with rotation: it was rotated now.
pub(super) fn note_rotation(row: &mut SecretRow, now: DateTime<Utc>) -> Result<()> {
    if row.rotation_enabled {
        row.last_rotated_at = Some(now);
        row.next_rotation_at = next_rotation(row, now)?;
    }
    Ok(())
}
