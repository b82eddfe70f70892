//! The questions on PostgreSQL.

use ohlcv_domain::{Asset, Candle, Head};
use sea_orm::sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, query};
use sea_orm::{DbErr, QueryResult, sqlx};

use super::super::error::is_gone;
use super::super::rows::{Page, candle_of};
use super::super::values::text;
use super::shelf::{Connection, Kept, Shelf};
use super::{Row, query_error, statement};

impl Connection for PgConnection {
    async fn close(self) {
        // It fails only if there is nobody to take leave of.
        let _ = sqlx::Connection::close(self).await;
    }
}

pub(super) async fn heads(
    shelf: &Shelf<PgConnection>,
    pool: &PgPool,
    assets: &[Asset],
) -> Result<Option<Vec<Head>>, DbErr> {
    if let Some(kept) = shelf.take().await?
        && let Some(heads) = ask_over(shelf, kept, assets).await?
    {
        return Ok(Some(heads));
    }
    // There is none, or it ended, such as with a restart of the database. In a box, so that the usual
    // question does not carry the room for this along.
    Box::pin(anew(shelf, pool, assets)).await
}

/// Asks over a new connection; none if there is none to be had.
async fn anew(
    shelf: &Shelf<PgConnection>,
    pool: &PgPool,
    assets: &[Asset],
) -> Result<Option<Vec<Head>>, DbErr> {
    let Some(place) = shelf.place() else { return Ok(None) };
    if let Ok(connection) = PgConnection::connect_with(&pool.connect_options()).await
        && let Some(heads) = ask_over(shelf, Kept::new(connection, place), assets).await?
    {
        return Ok(Some(heads));
    }
    // Such as where there are as many connections as there may be. If there is more to it than that, the
    // pool will tell.
    shelf.refused();
    Ok(None)
}

/// Asks over a connection and keeps it; none if it is of no use any more. One that gave no answer is
/// kept no longer.
async fn ask_over(
    shelf: &Shelf<PgConnection>,
    mut kept: Kept<PgConnection>,
    assets: &[Asset],
) -> Result<Option<Vec<Head>>, DbErr> {
    let rows = match ask(&mut kept.connection, assets).await {
        Ok(rows) => rows,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(query_error(error)),
    };
    shelf.put(kept).await;
    rows.iter().map(read).collect::<Result<_, _>>().map(Some)
}

async fn ask(connection: &mut PgConnection, assets: &[Asset]) -> Result<Vec<QueryResult>, sqlx::Error> {
    // Nothing of it was given by anybody.
    let question = query(AssertSqlSafe(statement(assets)));
    let question = assets.iter().fold(question, |question, asset| question.bind(text(*asset)));
    Ok(question.fetch_all(connection).await?.into_iter().map(QueryResult::from).collect())
}

/// A few candles over the connection that is kept; none if it is not at hand, or has ended.
pub(super) async fn candles(shelf: &Shelf<PgConnection>, page: &Page) -> Result<Option<Vec<Candle>>, DbErr> {
    let Some(mut borrowed) = shelf.borrow() else { return Ok(None) };
    let Some(connection) = borrowed.connection() else { return Ok(None) };
    // Nothing of it was given by anybody.
    let question = query(AssertSqlSafe(page.statement()))
        .bind(text(page.asset))
        .bind(page.range.start().to_datetime())
        .bind(page.range.end().to_datetime())
        .bind(page.rows_max());
    let rows = match question.fetch_all(connection).await {
        Ok(rows) => rows,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(query_error(error)),
    };
    borrowed.give_back().await;
    let candles = rows.into_iter().map(|row| candle_of(&QueryResult::from(row)));
    Ok(Some(page.ascending(candles.collect::<Result<_, _>>()?)))
}

fn read(row: &QueryResult) -> Result<Head, DbErr> {
    Row::read(row)?.head()
}
