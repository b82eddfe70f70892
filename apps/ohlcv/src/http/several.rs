//! `GET /api/v1/ohlcv`: candles of several assets in one answer.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use ohlcv_domain::{Asset, Interval, Timestamp};
use ohlcv_ports::Clock;
use ohlcv_usecases::{CandlePage, CandleQuery};
use poem::Response;
use poem::http::{HeaderMap, StatusCode};
use poem_openapi::param::Query;
use poem_openapi::{Object, OpenApi};

use super::Tag;
use super::candle_bytes::push_row;
use super::candles::{CandleRow, PAST_AGE_MIN};
use super::dto::{Prepared, Time};
use super::formats::{ColumnsRows, Format, Negotiated, push_columns};
use super::formatted::{Formatted, InAnyFormat, RowsWanted, columns_page};
use super::no_answer::{NoAnswer, QueryProblem, of_assets};
use super::paged::Paged;
use super::prepared::{PreparedCandles, PreparedPage, Unanswered, folded, hash};
use super::problem::{Code, Problem};
use super::query::{ASSETS_MAX, AllFields, AssetList, Limit, Param, Switch};

/// How many rows an answer about several assets has at most, where it is sent whole: each asset's limit
/// together. So many are in memory at once.
const ROWS_OF_ALL_MAX: u32 = 50_000;
/// How many assets are read side by side.
const AT_ONCE_MAX: usize = 8;

/// Candles of several assets.
#[derive(Object)]
#[oai(rename = "CandlesOfSeveral")]
pub(crate) struct SeveralBody {
    /// How long each candle lasts, as Binance writes it: `12h`, `1d`, `1M`.
    interval: String,
    /// The assets, in the order in which they were asked for.
    assets: Vec<OfOne>,
    /// How many rows there are of all of them.
    count: u32,
}

/// The candles of one of several assets.
#[derive(Object)]
#[oai(rename = "CandlesOfOne")]
struct OfOne {
    /// The asset, in upper case.
    asset: String,
    /// Its rows, earliest first.
    data: Vec<CandleRow>,
    /// How many rows there are of it.
    count: u32,
    /// If more of its rows follow: the `start` of a query that goes on exactly behind these.
    #[oai(nullable)]
    next: Option<Time>,
    /// If it has rows before these: the `end` of a query for the ones just before.
    #[oai(nullable)]
    prev: Option<Time>,
}

/// Candles of several assets, field by field.
#[derive(Object)]
#[oai(rename = "CandleColumnsOfSeveral")]
pub(crate) struct SeveralColumns {
    /// How long each candle lasts, as Binance writes it: `12h`, `1d`, `1M`.
    interval: String,
    /// The assets, in the order in which they were asked for.
    assets: Vec<ColumnsOfOne>,
    /// How many rows there are of all of them.
    count: u32,
}

/// The candles of one of several assets, field by field.
#[derive(Object)]
#[oai(rename = "CandleColumnsOfOne")]
struct ColumnsOfOne {
    /// The asset, in upper case.
    asset: String,
    /// The fields: arrays of the same length, earliest row first.
    data: ColumnsRows,
    /// How many rows there are of it.
    count: u32,
    /// As in JSON.
    #[oai(nullable)]
    next: Option<Time>,
    /// As in JSON.
    #[oai(nullable)]
    prev: Option<Time>,
}

/// The operation on several assets.
pub(crate) struct SeveralApi {
    pub(crate) prepared: Arc<PreparedCandles>,
    pub(crate) formatted: Formatted,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) no_answer: NoAnswer,
}

#[expect(clippy::too_many_arguments, reason = "an operation has an argument for each of its parameters")]
#[OpenApi]
impl SeveralApi {
    /// Candles of several assets
    ///
    /// What `GET /api/v1/ohlcv/{asset}` answers for each of them, in one answer: the same parameters mean
    /// the same, and `limit` counts for each asset. In `ndjson`, `csv` and `arrow` the rows of one asset
    /// stand behind those of another, with a first field `asset`.
    ///
    /// There is no `Link`, for each asset has pages of its own: to go on behind its rows, ask for it again
    /// with its `next` as `start`. Each asset is as it was when it was read.
    #[oai(
        path = "/api/v1/ohlcv",
        method = "get",
        operation_id = "get_candles_of_several",
        tag = "Tag::Candles"
    )]
    async fn candles(
        &self,
        headers: &HeaderMap,
        /// The names of the assets, separated by commas: 1 to 50 different ones, in either case.
        assets: Query<Param<AssetList>>,
        /// How long each candle lasts, as for one asset.
        interval: Query<Option<Param<Interval>>>,
        /// Earliest open time, inclusive: RFC 3339 or milliseconds since 1970. A `+` is best written `%2B`.
        start: Query<Option<Param<Timestamp>>>,
        /// Latest open time, exclusive: RFC 3339 or milliseconds since 1970. A `+` is best written `%2B`.
        end: Query<Option<Param<Timestamp>>>,
        /// How many rows of each asset at most, filled ones included; with all assets together at most
        /// 50000. Without it 1000; in `ndjson`, `csv` and `arrow` all.
        limit: Query<Option<Param<Limit>>>,
        /// Whether gaps are filled, as for one asset.
        fill: Query<Option<Param<Switch>>>,
        /// `all` adds `quote_volume`, `trades`, `taker_buy_volume` and `taker_buy_quote_volume`.
        fields: Query<Option<Param<AllFields>>>,
        /// Answers as the store would have at this instant, as for one asset.
        as_of: Query<Option<Param<Timestamp>>>,
        /// How the rows are written. Without it the header `Accept` decides, by the media types of this
        /// answer; JSON, if it allows any or none of them.
        format: Query<Option<Param<Format>>>,
    ) -> Result<InAnyFormat<SeveralBody, SeveralColumns>, QueryProblem> {
        let AssetList(assets) = assets.0.named("assets")?;
        let limit = limit.0.map(|limit| limit.named("limit")).transpose()?;
        let interval = interval.0.map(|interval| interval.named("interval")).transpose()?;
        // What is stored needs no deriving, however it is asked for.
        let interval = interval.filter(|interval| *interval != self.prepared.interval());
        let query = |asset: Asset, start, end, fill, as_of| CandleQuery {
            asset,
            interval,
            start,
            end,
            limit: limit.unwrap_or_default().0,
            fill,
            as_of,
        };
        let start = start.0.map(|start| start.named("start")).transpose()?;
        let end = end.0.map(|end| end.named("end")).transpose()?;
        let fill = fill.0.map(|fill| fill.named("fill")).transpose()?.unwrap_or_default().0;
        let as_of = as_of.0.map(|as_of| as_of.named("as_of")).transpose()?;
        let given = format.0.map(|format| format.named("format")).transpose()?;
        let negotiated = Negotiated::of(given, headers);
        let wanted = RowsWanted {
            format: negotiated.format,
            queries: assets.into_iter().map(|asset| query(asset, start, end, fill, as_of)).collect(),
            limited: limit.is_some(),
            all_fields: fields.0.map(|fields| fields.named("fields")).transpose()?.is_some(),
            with_asset: true,
            // As for one asset.
            for_ever: interval.is_none()
                && as_of.is_some_and(|at| at < self.clock.now().saturating_sub(PAST_AGE_MIN)),
        };
        let response = Box::pin(self.answer(&wanted)).await.map_err(of_assets)?;
        Ok(InAnyFormat::of(response, negotiated))
    }
}

/// A page of one asset, with its rows as they are written.
struct Page {
    asset: Asset,
    rows: Vec<Bytes>,
    count: usize,
    next: Option<Timestamp>,
    prev: Option<Timestamp>,
    digest: u64,
}

impl SeveralApi {
    async fn answer(&self, wanted: &RowsWanted) -> Result<Response, Problem> {
        let whole = matches!(wanted.format, Format::Json | Format::Columns) || wanted.limited;
        if let Some(query) = wanted.queries.first().filter(|_| whole) {
            check_rows(query.limit, wanted.queries.len())?;
        }
        match wanted.format {
            Format::Json => self.json(wanted).await,
            Format::Columns => self.columns(wanted).await,
            _ => self.formatted.rows(wanted).await.map(|(response, _)| response),
        }
    }

    async fn json(&self, wanted: &RowsWanted) -> Result<Response, Problem> {
        let pages = match wanted.queries.iter().any(|query| query.as_of.is_some()) {
            true => None,
            false => self.present(wanted).await?,
        };
        let pages = match pages {
            Some(pages) => pages,
            None => {
                let pages = self.formatted.pages(&wanted.queries).await?;
                wanted.queries.iter().zip(pages).map(|(query, page)| written(query, page, wanted)).collect()
            }
        };
        let digest = pages.iter().fold(0, |digest, page| {
            let around = [hash(page.asset), hash(page.next), hash(page.prev), page.count as u64];
            around.into_iter().fold(folded(digest, page.digest), folded)
        });
        let body: Prepared<SeveralBody> =
            Prepared::from_pieces(framed(self.formatted.interval(wanted), pages));
        let page = Paged { body, link: None, digest, for_ever: wanted.for_ever, made_of: None };
        Ok(poem::IntoResponse::into_response(page))
    }

    /// Out of memory, as the store would answer now; none if only the database can tell.
    async fn present(&self, wanted: &RowsWanted) -> Result<Option<Vec<Page>>, Problem> {
        let pages = wanted.queries.iter().copied().map(|query| self.kept(query, wanted.all_fields));
        match stream::iter(pages).buffered(AT_ONCE_MAX).try_collect().await {
            Ok(pages) => Ok(Some(pages)),
            Err(Unanswered::Elsewhere) => Ok(None),
            Err(Unanswered::Query(error)) => Err(self.no_answer.problem(error)),
            Err(Unanswered::Full(problem)) => Err(problem),
        }
    }

    async fn kept(&self, query: CandleQuery, all_fields: bool) -> Result<Page, Unanswered> {
        let PreparedPage { rows, count, digest, next, prev, .. } =
            self.prepared.page(&query, all_fields).await?;
        Ok(Page { asset: query.asset, rows, count, next, prev, digest })
    }

    async fn columns(&self, wanted: &RowsWanted) -> Result<Response, Problem> {
        let pages = self.formatted.pages(&wanted.queries).await?;
        let json = columns(self.formatted.interval(wanted), wanted, &pages);
        columns_page::<SeveralColumns>(json, None, wanted.for_ever)
    }
}

/// Refuses a limit that comes to too many rows with so many assets.
fn check_rows(limit: NonZeroU32, assets: usize) -> Result<(), Problem> {
    let assets = u32::try_from(assets).unwrap_or(u32::MAX).max(1);
    let each_max = ROWS_OF_ALL_MAX / assets;
    if limit.get() <= each_max {
        return Ok(());
    }
    let detail = format!(
        "limit is \"{limit}\" with {assets} assets: allowed are whole numbers from 1 to {each_max}, for one answer \
         has at most {ROWS_OF_ALL_MAX} rows"
    );
    Err(Problem::new(StatusCode::BAD_REQUEST, Code::BadParameter, detail).of_parameter("limit"))
}

/// A page that was just read.
fn written(query: &CandleQuery, page: CandlePage, wanted: &RowsWanted) -> Page {
    let mut json = String::new();
    for row in &page.rows {
        push_row(&mut json, row, wanted.all_fields);
        json.push(',');
    }
    let digest = hash(&json);
    let CandlePage { rows, next, prev } = page;
    Page { asset: query.asset, count: rows.len(), rows: vec![json.into()], next, prev, digest }
}

/// The answer in JSON, in pieces. None of the texts needs escaping.
fn framed(interval: Interval, pages: Vec<Page>) -> Vec<Bytes> {
    let count: usize = pages.iter().map(|page| page.count).sum();
    let mut pieces: Vec<Bytes> = vec![format!(r#"{{"interval":"{interval}","assets":["#).into()];
    for (at, page) in pages.into_iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        pieces.push(format!(r#"{comma}{{"asset":"{}","data":["#, page.asset).into());
        pieces.extend(page.rows);
        if page.count > 0
            && let Some(last) = pieces.last_mut()
        {
            last.truncate(last.len() - 1);
        }
        pieces.push(format!("]{}}}", around(page.count, page.next, page.prev)).into());
    }
    pieces.push(format!(r#"],"count":{count}}}"#).into());
    pieces
}

/// What stands behind the rows of an asset.
fn around(count: usize, next: Option<Timestamp>, prev: Option<Timestamp>) -> String {
    let time = |at: Option<Timestamp>| at.map_or_else(|| "null".to_owned(), |at| format!("\"{at}\""));
    format!(r#","count":{count},"next":{},"prev":{}"#, time(next), time(prev))
}

/// The answer in columns. None of the other texts needs escaping.
fn columns(interval: Interval, wanted: &RowsWanted, pages: &[CandlePage]) -> serde_json::Result<Vec<u8>> {
    let count: usize = pages.iter().map(|page| page.rows.len()).sum();
    let mut json = format!(r#"{{"interval":"{interval}","assets":["#).into_bytes();
    for (at, (query, page)) in wanted.queries.iter().zip(pages).enumerate() {
        let comma = if at > 0 { "," } else { "" };
        json.extend(format!(r#"{comma}{{"asset":"{}","data":"#, query.asset).as_bytes());
        push_columns(&mut json, &page.rows, wanted.shape())?;
        json.extend(format!("{}}}", around(page.rows.len(), page.next, page.prev)).as_bytes());
    }
    json.extend(format!(r#"],"count":{count}}}"#).as_bytes());
    Ok(json)
}

// What the document says in numbers.
const _: () = assert!(ASSETS_MAX == 50 && ROWS_OF_ALL_MAX == 50_000);
