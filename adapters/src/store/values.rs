//! Exact values on two databases: the one place that knows how each stores them.

mod numeric;

use std::time::Duration;

use bigdecimal::BigDecimal;
use ohlcv_domain::{Asset, Decimal, DecimalError, Timestamp};
use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use sea_orm::sea_query::Value;
use sea_orm::sqlx::postgres::PgValueFormat;
use sea_orm::sqlx::types::Type;
use sea_orm::sqlx::types::chrono::{DateTime, Utc};
use sea_orm::sqlx::{Postgres, Row, ValueRef as _};
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
            Timestamp::from_millis(i64::try_get_by(row, column)?)
        } else if let Some(millis) = binary::<DateTime<Utc>, I>(row, column).and_then(millis_since_1970) {
            Timestamp::from_millis(millis)
        } else {
            Timestamp::try_from(DateTime::<Utc>::try_get_by(row, column)?)
        };
        time.map(Self).map_err(|error| impossible(row, column, &error))
    }
}

// As a reader of a SQLite file gets it, past the driver.
impl FromSql for StoredTime {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Timestamp::from_millis(value.as_i64()?).map(Self).map_err(|error| FromSqlError::Other(error.into()))
    }
}

impl ToSql for StoredTime {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.millis().into())
    }
}

/// PostgreSQL counts microseconds from 2000 on. What is finer than a millisecond is cut off.
fn millis_since_1970(bytes: &[u8]) -> Option<i64> {
    const MILLIS_UNTIL_2000: i64 = 946_684_800_000;
    let micros = i64::from_be_bytes(bytes.try_into().ok()?);
    Some(micros.div_euclid(1_000) + MILLIS_UNTIL_2000)
}

/// A decimal from the database.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredDecimal<const WHOLE: u32>(pub(super) Decimal<WHOLE>);

impl<const WHOLE: u32> TryGetable for StoredDecimal<WHOLE> {
    fn try_get_by<I: ColIdx>(row: &QueryResult, column: I) -> Result<Self, TryGetError> {
        if let Some(sqlite) = row.try_as_sqlite_row() {
            let borrowed = sqlite.try_get::<Option<&str>, _>(column.as_sqlx_sqlite_index());
            let owned;
            let text = match borrowed {
                Ok(Some(text)) => text,
                // Nothing, or no text: the general way says which.
                _ => {
                    owned = String::try_get_by(row, column)?;
                    &owned
                }
            };
            let number = text.parse().map(Self);
            return number.map_err(|error| impossible(row, column, &format_args!("{text}: {error}")));
        }
        if let Some(number) = binary::<BigDecimal, I>(row, column).and_then(numeric::decimal) {
            return Ok(Self(number));
        }
        let number = BigDecimal::try_get_by(row, column)?;
        let exact = Decimal::try_from(&number).map(Self);
        exact.map_err(|error| impossible(row, column, &format_args!("{number}: {error}")))
    }
}

impl<const WHOLE: u32> FromSql for StoredDecimal<WHOLE> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map(Self).map_err(|error: DecimalError| FromSqlError::Other(error.into()))
    }
}

/// The bytes of a value of PostgreSQL, if it has that type.
fn binary<T: Type<Postgres>, I: ColIdx>(row: &QueryResult, column: I) -> Option<&[u8]> {
    let value = row.try_as_pg_row()?.try_get_raw(column.as_sqlx_postgres_index()).ok()?;
    if value.format() != PgValueFormat::Binary || !T::compatible(&value.type_info()) {
        return None;
    }
    value.as_bytes().ok()
}

/// Milliseconds since 1970 in a column that is so on both databases.
pub(super) fn time_from_millis(column: &str, millis: i64) -> Result<Timestamp, DbErr> {
    Timestamp::from_millis(millis).map_err(|error| DbErr::Type(format!("column {column}: {error}")))
}

fn impossible<I: ColIdx>(row: &QueryResult, column: I, what: &dyn std::fmt::Display) -> TryGetError {
    let name = match column.as_usize() {
        Some(at) => row.column_names().into_iter().nth(*at).unwrap_or_default(),
        None => column.as_str().unwrap_or_default().to_owned(),
    };
    TryGetError::DbErr(DbErr::Type(format!("column {name}: {what}")))
}
