//! Exact values on two databases: the one place that knows how each stores them.

use std::time::Duration;

use bigdecimal::BigDecimal;
use ohlcv_domain::{Asset, Decimal, Timestamp};
use sea_orm::sea_query::Value;
use sea_orm::sqlx::types::chrono::{DateTime, Utc};
use sea_orm::{ColIdx, ConnectionTrait, DbBackend, DbErr, QueryResult, TryGetError, TryGetable};

/// The two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    pub(super) fn of(db: &impl ConnectionTrait) -> Self {
        match db.get_database_backend() {
            DbBackend::Postgres => Self::Postgres,
            // No other driver is compiled in.
            _ => Self::Sqlite,
        }
    }

    /// `TIMESTAMPTZ` on PostgreSQL, milliseconds on SQLite.
    pub(super) fn time(self, at: Timestamp) -> Value {
        match self {
            Self::Postgres => at.to_datetime().into(),
            Self::Sqlite => at.millis().into(),
        }
    }

    /// `NUMERIC` on PostgreSQL, text with eight places on SQLite.
    pub(super) fn decimal<const WHOLE: u32>(self, number: Decimal<WHOLE>) -> Value {
        match self {
            Self::Postgres => number.to_big_decimal().into(),
            Self::Sqlite => number.to_string().into(),
        }
    }

    /// What a column of times is set to for the database's own time.
    pub(super) const fn now(self) -> &'static str {
        match self {
            Self::Postgres => "NOW()",
            Self::Sqlite => self.now_millis(),
        }
    }

    /// Milliseconds since 1970 by the database's clock, also within a long transaction.
    pub(super) const fn now_millis(self) -> &'static str {
        match self {
            Self::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
            Self::Sqlite => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
        }
    }

    /// The milliseconds since 1970 of a column of times.
    pub(super) fn millis_of(self, column: &str) -> String {
        match self {
            Self::Postgres => format!("CAST(EXTRACT(EPOCH FROM {column}) * 1000 AS BIGINT)"),
            Self::Sqlite => column.to_owned(),
        }
    }

    pub(super) fn optional_decimal<const WHOLE: u32>(self, number: Option<Decimal<WHOLE>>) -> Value {
        match (number, self) {
            (Some(number), _) => self.decimal(number),
            (None, Self::Postgres) => Value::BigDecimal(None),
            (None, Self::Sqlite) => Value::String(None),
        }
    }
}

pub(super) fn text(asset: Asset) -> String {
    asset.as_str().to_owned()
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A time from the database.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredTime(pub(super) Timestamp);

impl TryGetable for StoredTime {
    fn try_get_by<I: ColIdx>(row: &QueryResult, column: I) -> Result<Self, TryGetError> {
        let time = if row.try_as_sqlite_row().is_some() {
            let millis = i64::try_get_by(row, column)?;
            Timestamp::from_millis(millis)
        } else {
            Timestamp::try_from(DateTime::<Utc>::try_get_by(row, column)?)
        };
        time.map(Self).map_err(|error| impossible(&column, &error))
    }
}

/// A decimal from the database.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredDecimal<const WHOLE: u32>(pub(super) Decimal<WHOLE>);

impl<const WHOLE: u32> TryGetable for StoredDecimal<WHOLE> {
    fn try_get_by<I: ColIdx>(row: &QueryResult, column: I) -> Result<Self, TryGetError> {
        let number = if row.try_as_sqlite_row().is_some() {
            let text = String::try_get_by(row, column)?;
            text.parse().map_err(|error| impossible(&column, &format_args!("{text}: {error}")))
        } else {
            let number = BigDecimal::try_get_by(row, column)?;
            Decimal::try_from(&number)
                .map_err(|error| impossible(&column, &format_args!("{number}: {error}")))
        };
        number.map(Self)
    }
}

/// Milliseconds since 1970 in a column that is so on both databases.
pub(super) fn time_from_millis(column: &str, millis: i64) -> Result<Timestamp, DbErr> {
    Timestamp::from_millis(millis).map_err(|error| DbErr::Type(format!("column {column}: {error}")))
}

fn impossible(column: &impl std::fmt::Debug, what: &dyn std::fmt::Display) -> TryGetError {
    TryGetError::DbErr(DbErr::Type(format!("column {column:?}: {what}")))
}
