//! The rows of `request_budget`: one timeline of reserved weight for each exchange, and its ban.
//!
//! A reservation takes a stretch of the timeline as long as its weight is worth, behind those of all
//! others. It opens where the stretch begins and lasts for a second.

use std::time::Duration;

use ohlcv_ports::{Paused, Reservation};
use sea_orm::{ConnectionTrait, DbErr};
use tokio::time::Instant;

use super::leases::statement;
use super::values::{Dialect, millis};

/// The smallest budget that is kept to.
const PER_MINUTE_MIN: u32 = 10;
/// The weight of the heaviest request: a reservation holds a whole number of them.
const REQUEST_WEIGHT_MAX: u32 = 2;
/// How long a reservation can be used.
const RESERVATION_TIME: Duration = Duration::from_millis(1_000);
/// What of the timeline is in reach of 60 s: besides them the time of a reservation, and a little, for
/// clocks are read in whole milliseconds and requests take a moment to start.
const REACH_MS: u64 = 60_000 + 1_000 + 10;
/// How far ahead the timeline is reserved; who comes then has to ask again.
const AHEAD_MAX: Duration = Duration::from_secs(60);
/// A timeline that is reserved further than this was not so far when that was done: the database's
/// clock was set back. The longest stretch of one reservation is 16 s.
const AHEAD_IMPOSSIBLE: Duration = Duration::from_secs(90);
/// The longest pause that is believed: Binance's longest ban is three days.
const PAUSE_MAX: Duration = Duration::from_secs(3 * 24 * 3_600);

/// What one may reserve at a time: a second's share, in whole requests.
fn share_max(per_minute: u32) -> u32 {
    (per_minute / 60).max(REQUEST_WEIGHT_MAX) / REQUEST_WEIGHT_MAX * REQUEST_WEIGHT_MAX
}

/// How much of the timeline a weight is worth.
///
/// With `W` for `per_minute` and `S` for the largest share, a weight `w` takes `w * REACH / (W - S)`.
/// What is used within some 60 s was opened within `REACH`, because it can be used for a second only.
/// Stretches do not overlap, so all reservations that open within `REACH`, but for the last, lie in
/// it whole and weigh at most `W - S` together. The last weighs at most `S`. That makes `W`.
///
/// With W = 6000 and S = 100, 5802 a minute can be used for ever: 96.7 %.
fn stretch_ms(weight: u32, per_minute: u32) -> u64 {
    let flow = per_minute - share_max(per_minute);
    (u64::from(weight) * REACH_MS).div_ceil(u64::from(flow))
}

/// One statement if it is granted. The conditions are judged when the row is this writer's alone.
pub(super) async fn reserve(
    db: &impl ConnectionTrait,
    exchange: &str,
    weight: u32,
    per_minute: u32,
) -> Result<Reservation, DbErr> {
    let per_minute = per_minute.max(PER_MINUTE_MIN);
    let weight = weight.min(share_max(per_minute));
    let now = Dialect::of(db).now_millis();
    let (ahead_max, impossible) = (millis(AHEAD_MAX), millis(AHEAD_IMPOSSIBLE));
    let pause_max = millis(PAUSE_MAX);
    let opens = format!(
        "CASE WHEN request_budget.reserved_until_ms BETWEEN {now} AND {now} + {impossible}
        THEN request_budget.reserved_until_ms ELSE {now} END"
    );
    let sql = format!(
        "INSERT INTO request_budget (exchange, reserved_until_ms, banned_until_ms, reason)
        VALUES ($1, {now} + $2, 0, '')
        ON CONFLICT (exchange) DO UPDATE SET reserved_until_ms = {opens} + $2
        WHERE {opens} <= {now} + {ahead_max}
        AND request_budget.banned_until_ms NOT BETWEEN {now} + 1 AND {now} + {pause_max}
        RETURNING reserved_until_ms - $2 - {now} AS opens_in_ms"
    );
    let stretch = i64::try_from(stretch_ms(weight, per_minute)).unwrap_or(i64::MAX);
    // Before the database looks at its clock, so that the span does not seem to last longer.
    let asked = Instant::now();
    let granted = db.query_one_raw(statement(db, sql, [exchange.into(), stretch.into()])).await?;
    let Some(row) = granted else { return refused(db, exchange).await };
    let opens_in = duration(row.try_get("", "opens_in_ms")?);
    let closes_in = (opens_in + RESERVATION_TIME).saturating_sub(asked.elapsed());
    Ok(Reservation::Granted { weight, opens_in, closes_in })
}

/// Why nothing was reserved.
async fn refused(db: &impl ConnectionTrait, exchange: &str) -> Result<Reservation, DbErr> {
    if let Some(paused) = paused(db, exchange).await? {
        return Ok(Reservation::Paused(paused));
    }
    let now = Dialect::of(db).now_millis();
    let sql = format!("SELECT reserved_until_ms - {now} AS ahead_ms FROM request_budget WHERE exchange = $1");
    let row = db.query_one_raw(statement(db, sql, [exchange.into()])).await?;
    let ahead = row.map(|row| row.try_get("", "ahead_ms")).transpose()?.map_or(Duration::ZERO, duration);
    Ok(Reservation::Wait(ahead.saturating_sub(AHEAD_MAX)))
}

/// Nothing is written where a longer pause holds. One that cannot be is no pause: the database's clock
/// was set back by days.
pub(super) async fn pause(
    db: &impl ConnectionTrait,
    exchange: &str,
    length: Duration,
    reason: &str,
) -> Result<(), DbErr> {
    let now = Dialect::of(db).now_millis();
    let pause_max = millis(PAUSE_MAX);
    let sql = format!(
        "INSERT INTO request_budget (exchange, reserved_until_ms, banned_until_ms, reason)
        VALUES ($1, 0, {now} + $2, $3)
        ON CONFLICT (exchange) DO UPDATE SET banned_until_ms = {now} + $2, reason = $3
        WHERE request_budget.banned_until_ms NOT BETWEEN {now} + $2 AND {now} + {pause_max}"
    );
    let values = [exchange.into(), millis(length.min(PAUSE_MAX)).into(), reason.into()];
    db.execute_raw(statement(db, sql, values)).await?;
    Ok(())
}

pub(super) async fn paused(db: &impl ConnectionTrait, exchange: &str) -> Result<Option<Paused>, DbErr> {
    let now = Dialect::of(db).now_millis();
    let pause_max = millis(PAUSE_MAX);
    let sql = format!(
        "SELECT banned_until_ms - {now} AS left_ms, reason FROM request_budget
        WHERE exchange = $1 AND banned_until_ms BETWEEN {now} + 1 AND {now} + {pause_max}"
    );
    let Some(row) = db.query_one_raw(statement(db, sql, [exchange.into()])).await? else { return Ok(None) };
    let left = duration(row.try_get("", "left_ms")?);
    // The clock may have moved on between its readings.
    Ok((!left.is_zero()).then_some(Paused { left, reason: row.try_get("", "reason")? }))
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many reservations of that weight can be used within a minute, in the worst order: the
    /// first as late as it may be, the last at once.
    fn usable_in_a_minute(weight: u32, per_minute: u32) -> u64 {
        let reach = 60_000 + u64::try_from(RESERVATION_TIME.as_millis()).unwrap();
        reach / stretch_ms(weight, per_minute) + 1
    }

    #[test]
    fn no_minute_sees_more_than_the_budget_whatever_is_reserved_at_a_time() {
        for per_minute in PER_MINUTE_MIN..=6_000 {
            for weight in 1..=share_max(per_minute) {
                let used = usable_in_a_minute(weight, per_minute) * u64::from(weight);
                assert!(used <= u64::from(per_minute), "{used} of {per_minute}, {weight} at a time");
            }
        }
    }

    #[test]
    fn nearly_all_of_the_budget_can_be_used() {
        let lasting = |per_minute: u32| {
            let share = share_max(per_minute);
            u64::from(share) * 60_000 * 100 / stretch_ms(share, per_minute) / u64::from(per_minute)
        };
        assert_eq!([6_000, 5_000, 1_200, 300, 100].map(lasting), [96, 96, 96, 96, 96]);
        assert_eq!(lasting(PER_MINUTE_MIN), 78);
    }

    #[test]
    fn a_share_is_a_seconds_worth_of_whole_requests() {
        let shares = [10, 120, 299, 300, 5_000, 6_000].map(share_max);
        assert_eq!(shares, [2, 2, 4, 4, 82, 100]);
        let longest = (PER_MINUTE_MIN..=6_000).map(|budget| stretch_ms(share_max(budget), budget)).max();
        assert!(longest < Some(16_000), "{longest:?}");
    }
}
