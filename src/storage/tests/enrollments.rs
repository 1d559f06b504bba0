use crate::error::{ErrorCode, Result};
use crate::storage::db::Db;
use crate::storage::enrollments::{self, Decision, EnrollmentRow, ListEnrollments};
use crate::storage::page::Page;
use crate::storage::testing::{ODD, at, both_stores};
use crate::storage::types::Inet;
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

/// One that waits until 100.
fn enrollment(role_path: &str, requested_by: &str) -> EnrollmentRow {
    EnrollmentRow {
        id: Uuid::now_v7(),
        role_path: role_path.into(),
        csr_pem: "csr".into(),
        request: Json(json!({})),
        state: "pending".into(),
        requested_by: requested_by.into(),
        token_accessor: Uuid::new_v4(),
        source_ip: None,
        certificate_id: None,
        decided_by: None,
        reason: None,
        created_at: at(0),
        decided_at: None,
        expires_at: at(100),
    }
}

fn approval(micros: i64) -> Decision<'static> {
    Decision {
        state: "approved",
        by: "role:operator",
        reason: None,
        certificate_id: Some(Uuid::nil()),
        at: at(micros),
    }
}

async fn round_trip(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let full = EnrollmentRow {
        csr_pem: ODD.into(),
        request: Json(json!({ "names": [ODD] })),
        state: "approved".into(),
        source_ip: Some(Inet("2001:db8::1".parse().unwrap())),
        certificate_id: Some(Uuid::now_v7()),
        decided_by: Some(ODD.into()),
        reason: Some(ODD.into()),
        decided_at: Some(at(5)),
        ..enrollment("pki.web", ODD)
    };
    for row in [enrollment("pki.web", "role:a"), full] {
        enrollments::insert(&mut tx, &row).await?;
        assert_eq!(enrollments::by_id(&mut tx, row.id).await?, Some(row));
    }
    assert_eq!(enrollments::by_id(&mut tx, Uuid::nil()).await?, None);
    Ok(())
}

async fn impossible(db: Db) -> Result<()> {
    for row in [
        EnrollmentRow { state: "approved".into(), decided_at: Some(at(1)), ..enrollment("p", "a") },
        EnrollmentRow { certificate_id: Some(Uuid::nil()), ..enrollment("p", "a") },
        EnrollmentRow { state: "denied".into(), ..enrollment("p", "a") },
        EnrollmentRow { decided_at: Some(at(1)), ..enrollment("p", "a") },
        EnrollmentRow { state: "lost".into(), decided_at: Some(at(1)), ..enrollment("p", "a") },
        EnrollmentRow { expires_at: at(-1), ..enrollment("p", "a") },
    ] {
        let mut tx = db.begin().await?;
        assert!(enrollments::insert(&mut tx, &row).await.is_err(), "{row:?}");
    }
    Ok(())
}

async fn lists(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let mut made = Vec::new();
    for (path, caller) in [("pki.web", "role:a"), ("pki.web", "role:b"), ("pki.db", "role:a")] {
        let row = enrollment(path, caller);
        enrollments::insert(&mut tx, &row).await?;
        made.push(row.id);
    }
    assert!(enrollments::decide(&mut tx, made[0], "pending", &approval(9)).await?);
    let any = ListEnrollments::default;
    for (filter, expected) in [
        (any(), made.clone()),
        (ListEnrollments { state: Some("pending".into()), ..any() }, vec![made[1], made[2]]),
        (ListEnrollments { role_path: Some("pki.web".into()), ..any() }, vec![made[0], made[1]]),
        (ListEnrollments { requested_by: Some("role:a".into()), ..any() }, vec![made[0], made[2]]),
        (
            ListEnrollments { state: Some("pending".into()), requested_by: Some("role:a".into()), ..any() },
            vec![made[2]],
        ),
        (ListEnrollments { state: Some(ODD.into()), ..any() }, vec![]),
    ] {
        let found = enrollments::list(&mut tx, &filter, &Page { limit: 9, ..Page::default() }).await?;
        assert_eq!(found.into_iter().map(|row| row.id).collect::<Vec<_>>(), expected, "{filter:?}");
    }
    let page = Page { limit: 1, before: Some(made[2].to_string()), backward: true, ..Page::default() };
    assert_eq!(enrollments::list(&mut tx, &any(), &page).await?[0].id, made[1]);
    let wrong = Page { limit: 1, after: Some("x".into()), ..Page::default() };
    let refused = enrollments::list(&mut tx, &any(), &wrong).await.unwrap_err();
    assert_eq!((refused.code(), refused.field()), (ErrorCode::BadUserInput, Some("after")));
    assert_eq!(enrollments::count_pending(&mut tx, "role:a").await?, 1);
    assert_eq!(enrollments::count_pending(&mut tx, "role:b").await?, 1);
    assert_eq!(enrollments::count_pending(&mut tx, "role:c").await?, 0);
    Ok(())
}

async fn decisions(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let (good, bad, late) = (enrollment("p", "a"), enrollment("p", "a"), enrollment("p", "a"));
    for row in [&good, &bad, &late] {
        enrollments::insert(&mut tx, row).await?;
    }
    assert!(enrollments::decide(&mut tx, good.id, "pending", &approval(99)).await?);
    let found = enrollments::by_id(&mut tx, good.id).await?.unwrap();
    let expected = EnrollmentRow {
        state: "approved".into(),
        certificate_id: Some(Uuid::nil()),
        decided_by: Some("role:operator".into()),
        decided_at: Some(at(99)),
        ..good.clone()
    };
    assert_eq!(found, expected);
    let denial = Decision { state: "denied", reason: Some(ODD), certificate_id: None, ..approval(50) };
    assert!(!enrollments::decide(&mut tx, good.id, "pending", &denial).await?, "once");
    assert!(enrollments::decide(&mut tx, bad.id, "pending", &denial).await?);
    assert_eq!(enrollments::by_id(&mut tx, bad.id).await?.unwrap().reason.as_deref(), Some(ODD));
    assert!(!enrollments::decide(&mut tx, late.id, "pending", &approval(100)).await?, "too late");
    assert!(!enrollments::decide(&mut tx, Uuid::nil(), "pending", &denial).await?);

    assert!(enrollments::expire(&mut tx, at(99), 9).await?.is_empty());
    assert_eq!(enrollments::expire(&mut tx, at(100), 9).await?, [late.id]);
    assert!(enrollments::expire(&mut tx, at(100), 9).await?.is_empty());
    let found = enrollments::by_id(&mut tx, late.id).await?.unwrap();
    assert_eq!((found.state.as_str(), found.decided_at, found.decided_by), ("expired", Some(at(100)), None));

    assert_eq!(enrollments::purge(&mut tx, at(50), 9).await?, 0);
    assert_eq!(enrollments::purge(&mut tx, at(100), 1).await?, 1);
    assert_eq!(enrollments::purge(&mut tx, at(100), 9).await?, 1);
    enrollments::insert(&mut tx, &enrollment("p", "a")).await?;
    assert_eq!(enrollments::purge(&mut tx, at(9999), 9).await?, 1, "what waits stays");
    Ok(())
}

/// Operators, and the end of the time, at the same moment: each request ends once.
async fn decided_once(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let mut ids = Vec::new();
    for _ in 0..10 {
        let row = enrollment("p", "a");
        enrollments::insert(&mut tx, &row).await?;
        ids.push(row.id);
    }
    tx.commit().await?;
    let workers: Vec<_> = (0..6)
        .map(|n| {
            let (db, ids) = (db.clone(), ids.clone());
            tokio::spawn(async move {
                let mut done = 0;
                for id in ids {
                    let mut tx = db.begin().await?;
                    if n < 4 {
                        let decided = enrollments::decide(&mut tx, id, "pending", &approval(n)).await?;
                        done += usize::from(decided);
                    } else {
                        done += enrollments::expire(&mut tx, at(100), 1).await?.len();
                    }
                    tx.commit().await?;
                }
                Ok::<_, crate::error::Error>(done)
            })
        })
        .collect();
    let mut done = 0;
    for worker in workers {
        done += worker.await.unwrap()?;
    }
    assert_eq!(done, ids.len());
    Ok(())
}

both_stores!(enrollment_round_trip, round_trip);
both_stores!(enrollment_impossible, impossible);
both_stores!(enrollment_lists, lists);
both_stores!(enrollment_decisions, decisions);
both_stores!(enrollment_decided_once, decided_once);
