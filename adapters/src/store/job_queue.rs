//! Jobs for those who do the work.

use std::time::Duration;

use async_trait::async_trait;
use ohlcv_domain::Fence;
use ohlcv_ports::{ClaimedJob, JobAsset, JobEnd, JobId, JobQueue, JobState, NewJob, StoreError};
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

use super::apply::begin;
use super::job_rows::{LEASE_PREFIX, find, insert, lease, lock, name, write_assets};
use super::jobs::{new_id, written_a_moment_ago};
use super::leases::{self, statement};
use super::values::{Dialect, millis};
use super::{STATEMENT_TIME_MAX, SqlStore, within};

/// How long an ended job is kept, and with it its idempotency key.
const ENDED_KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How many ended jobs are kept.
const ENDED_KEPT_MAX: u32 = 1_000;
/// How many are forgotten at a time: more than end meanwhile.
const FORGOTTEN_AT_ONCE_MAX: u32 = 20;

#[async_trait]
impl JobQueue for SqlStore {
    async fn claim(&self, holder: &str, lasts: Duration) -> Result<Option<ClaimedJob>, StoreError> {
        within(STATEMENT_TIME_MAX, async {
            // Most looks find nothing; a reader keeps no writer waiting.
            if next(&self.db, "").await?.is_none() {
                return Ok(None);
            }
            let _turn = self.turn().await;
            claim(&self.db, holder, lasts).await
        })
        .await
    }

    async fn start(&self, job: NewJob, holder: &str, lasts: Duration) -> Result<ClaimedJob, StoreError> {
        within(STATEMENT_TIME_MAX, async {
            let _turn = self.turn().await;
            start(&self.db, &job, holder, lasts).await
        })
        .await
    }

    async fn record(&self, id: JobId, fence: &Fence, assets: &[JobAsset]) -> Result<bool, StoreError> {
        within(STATEMENT_TIME_MAX, async {
            let _turn = self.turn().await;
            record(&self.db, id, fence, assets).await
        })
        .await
    }

    async fn finish(
        &self,
        id: JobId,
        fence: &Fence,
        end: JobEnd,
        assets: &[JobAsset],
    ) -> Result<(), StoreError> {
        within(STATEMENT_TIME_MAX, async {
            let _turn = self.turn().await;
            finish(&self.db, id, fence, end, assets).await
        })
        .await
    }
}

/// The name of the job that is next; `lock` keeps it from others.
async fn next(db: &impl ConnectionTrait, lock: &str) -> Result<Option<JobId>, DbErr> {
    let now = Dialect::of(db).now_millis();
    let sql = format!(
        "SELECT job.id FROM job LEFT JOIN lease ON lease.name = '{LEASE_PREFIX}' || job.id
        WHERE ((state = 'queued' AND not_before_ms <= {now}) OR state = 'running')
            AND COALESCE(lease.expires_ms, 0) <= {now}
        ORDER BY urgency, created_ms, job.id LIMIT 1 {lock}"
    );
    let Some(row) = db.query_one_raw(statement(db, sql, [])).await? else { return Ok(None) };
    let id: String = row.try_get("", "id")?;
    id.parse().map(Some).map_err(|error| DbErr::Type(format!("job: {error}")))
}

async fn claim(db: &DatabaseConnection, holder: &str, lasts: Duration) -> Result<Option<ClaimedJob>, DbErr> {
    let transaction = begin(db).await?;
    let lock = match Dialect::of(&transaction) {
        Dialect::Sqlite => "",
        // What another worker is about to claim is passed over.
        Dialect::Postgres => "FOR UPDATE OF job SKIP LOCKED",
    };
    let Some(id) = next(&transaction, lock).await? else { return Ok(None) };
    let Some(fence) = leases::acquire(&transaction, &lease(id), holder, lasts).await? else {
        return Ok(None);
    };
    let now = Dialect::of(&transaction).now_millis();
    let sql = format!(
        "UPDATE job SET state = 'running', attempts = attempts + 1, started_ms = COALESCE(started_ms, {now})
        WHERE id = $1"
    );
    transaction.execute_raw(statement(&transaction, sql, [name(id)])).await?;
    let job = find(&transaction, id).await?;
    transaction.commit().await?;
    job.map(|job| Some(ClaimedJob { job, fence })).ok_or_else(|| written_a_moment_ago(id))
}

async fn start(
    db: &DatabaseConnection,
    job: &NewJob,
    holder: &str,
    lasts: Duration,
) -> Result<ClaimedJob, DbErr> {
    let transaction = begin(db).await?;
    let id = new_id();
    insert(&transaction, id, job, JobState::Running, None).await?;
    let fence = leases::acquire(&transaction, &lease(id), holder, lasts).await?;
    let job = find(&transaction, id).await?;
    transaction.commit().await?;
    let claimed = job.zip(fence).map(|(job, fence)| ClaimedJob { job, fence });
    claimed.ok_or_else(|| written_a_moment_ago(id))
}

async fn record(
    db: &DatabaseConnection,
    id: JobId,
    fence: &Fence,
    assets: &[JobAsset],
) -> Result<bool, DbErr> {
    let transaction = begin(db).await?;
    held(&transaction, id, fence).await?;
    write_assets(&transaction, id, assets).await?;
    let sql = "SELECT cancel_wished FROM job WHERE id = $1".to_owned();
    let row = transaction.query_one_raw(statement(&transaction, sql, [name(id)])).await?;
    let wished = row.map_or(Ok(false), |row| row.try_get("", "cancel_wished"))?;
    transaction.commit().await?;
    Ok(wished)
}

async fn finish(
    db: &DatabaseConnection,
    id: JobId,
    fence: &Fence,
    end: JobEnd,
    assets: &[JobAsset],
) -> Result<(), DbErr> {
    let transaction = begin(db).await?;
    held(&transaction, id, fence).await?;
    write_assets(&transaction, id, assets).await?;
    let now = Dialect::of(&transaction).now_millis();
    let (sql, values): (String, Vec<Value>) = match end {
        JobEnd::Final(state) => (
            format!("UPDATE job SET state = $2, finished_ms = {now} WHERE id = $1"),
            vec![name(id), state.as_str().into()],
        ),
        JobEnd::Again { after, counts } => (
            format!(
                "UPDATE job SET state = 'queued', not_before_ms = {now} + $2, attempts = attempts - $3 WHERE id = $1"
            ),
            vec![name(id), millis(after).into(), i64::from(!counts).into()],
        ),
    };
    transaction.execute_raw(statement(&transaction, sql, values)).await?;
    forget_ended(&transaction).await?;
    transaction.commit().await
}

/// Fails unless the worker still has the job. The job is locked before its lease, as in `claim`, so
/// that the two cannot wait for each other.
async fn held(transaction: &impl ConnectionTrait, id: JobId, fence: &Fence) -> Result<(), DbErr> {
    lock(transaction, id).await?;
    leases::require(transaction, Some(fence)).await
}

/// Forgets ended jobs that are too old or too many.
async fn forget_ended(transaction: &impl ConnectionTrait) -> Result<(), DbErr> {
    let dialect = Dialect::of(transaction);
    let lock = match dialect {
        Dialect::Sqlite => "",
        // What another one forgets just now is passed over.
        Dialect::Postgres => "FOR UPDATE SKIP LOCKED",
    };
    let sql = format!(
        "SELECT id FROM job WHERE finished_ms < {} - $1 OR (finished_ms IS NOT NULL AND id NOT IN
            (SELECT id FROM job WHERE finished_ms IS NOT NULL ORDER BY finished_ms DESC LIMIT {ENDED_KEPT_MAX}))
        LIMIT {FORGOTTEN_AT_ONCE_MAX} {lock}",
        dialect.now_millis()
    );
    let old = transaction.query_all_raw(statement(transaction, sql, [millis(ENDED_KEPT_FOR).into()])).await?;
    for row in old {
        let id: String = row.try_get("", "id")?;
        for sql in [
            "DELETE FROM job_asset WHERE job_id = $1",
            "DELETE FROM job WHERE id = $1",
            "DELETE FROM lease WHERE name = 'job ' || $1",
        ] {
            let values = [Value::from(id.as_str())];
            transaction.execute_raw(statement(transaction, sql.to_owned(), values)).await?;
        }
    }
    Ok(())
}
