//! `ohlcv candles`: a look at the candles of an asset.

mod sheet;

use std::num::NonZeroU32;

use ohlcv_domain::Row;
use ohlcv_usecases::{CandleQuery, QueryCandles, QueryError, RowPages};

use self::sheet::Sheet;
use super::{End, complain, print, unknown_asset};
use crate::cli::CandlesArgs;
use crate::settings::Settings;
use crate::wiring::{App, Outside, Refused};

/// How many rows are read, and held, at a time.
const PAGE_ROWS: u32 = 4_096;
/// How many rows a table has if nobody says which.
const TABLE_ROWS: u32 = 20;

pub(super) async fn execute(settings: Settings, wanted: &CandlesArgs) -> anyhow::Result<End> {
    let outside = Outside::real(&settings)?;
    let app = App::open_to_look(settings, outside).await?;
    let shown = show(&app, wanted).await;
    app.close().await;
    shown
}

async fn show(app: &App, wanted: &CandlesArgs) -> anyhow::Result<End> {
    let candles = app.query_candles();
    let start = wanted.start_at(app.clock().now());
    let is_table = !wanted.csv && !wanted.json;
    let any = is_table && start.is_none() && wanted.end.is_none() && wanted.limit.is_none();
    let limit = if any { Some(TABLE_ROWS) } else { wanted.limit };
    let query = CandleQuery {
        asset: wanted.asset,
        // What is stored needs no deriving, however it is asked for.
        interval: wanted.interval.filter(|interval| *interval != candles.stored_interval()),
        start,
        end: wanted.end,
        limit: limit.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX),
        fill: wanted.fill,
        as_of: None,
    };
    if let Err(error) = candles.check(&query).await {
        return Err(not_answered(app, error).await);
    }
    let mut sheet = Sheet::begin(wanted, candles.interval(&query), query.interval.is_some())?;
    let mut printed: u64 = 0;
    if limit.is_some() && start.is_none() {
        let (rows, more) = newest(&candles, query).await?;
        printed = rows.len() as u64;
        sheet.push(&rows)?;
        if any && more {
            complain(&format!("the newest {printed}; --since 30d, --start T or --limit N for others"));
        }
    } else {
        let mut left = query.limit.get();
        let page = query.limit.min(NonZeroU32::new(PAGE_ROWS).unwrap_or(NonZeroU32::MIN));
        let mut pages = RowPages::of(candles, CandleQuery { limit: page, ..query });
        while left > 0
            && let Some(mut rows) = pages.next().await?
        {
            rows.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            // Holds: no more than `left`.
            left -= u32::try_from(rows.len()).unwrap_or(left);
            printed += rows.len() as u64;
            sheet.push(&rows)?;
            if !print(&sheet.take())? {
                return Ok(End::Done);
            }
        }
    }
    sheet.finish()?;
    print(&sheet.take())?;
    if printed == 0 {
        complain(&format!("no candle of {} opens there; `ohlcv assets` lists what there is", wanted.asset));
    }
    Ok(End::Done)
}

/// The newest rows of a range, as many as the query's limit, which bounds what is held; and whether
/// there are rows before them.
async fn newest(candles: &QueryCandles, query: CandleQuery) -> Result<(Vec<Row>, bool), QueryError> {
    let limit = usize::try_from(query.limit.get()).unwrap_or(usize::MAX);
    let mut rows: Vec<Row> = Vec::new();
    let mut next = Some(query);
    // Ends: every page but the last ends before the one before.
    while let Some(query) = next {
        let mut page = candles.run(query).await?;
        page.rows.append(&mut rows);
        rows = page.rows;
        let left = u32::try_from(limit.saturating_sub(rows.len())).ok().and_then(NonZeroU32::new);
        match (page.prev, left) {
            (Some(_), None) => return Ok((rows, true)),
            (prev, left) => {
                next = prev.zip(left).map(|(end, limit)| CandleQuery { end: Some(end), limit, ..query });
            }
        }
    }
    Ok((rows, false))
}

/// What somebody is told who asked in vain.
async fn not_answered(app: &App, error: QueryError) -> anyhow::Error {
    match error {
        QueryError::UnknownAsset { asset } => unknown_asset(app, asset).await,
        QueryError::EmptyRange { start, end } => {
            Refused::because(format!("the start {start} is not before the end {end}: nothing opens between"))
        }
        QueryError::Indivisible(error) => Refused::because(format!("--interval: {error}")),
        error => error.into(),
    }
}
