//! A question about the present, and the answer that a page out of memory makes of it.

use ohlcv_domain::{Interval, Timestamp};
use ohlcv_usecases::CandleQuery;

use super::candle_bytes::framed;
use super::candles::CandlesBody;
use super::dto::Prepared;
use super::formats::Format;
use super::paged::{Paged, Pages};
use super::prepared::{PreparedPage, folded, hash};

/// Where candles are served; the asset follows.
const PATH: &str = "/api/v1/ohlcv";

/// A question about candles of one asset, answered in JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) query: CandleQuery,
    pub(crate) all_fields: bool,
    /// The format as the URL names it; links do so too.
    pub(crate) format: Option<Format>,
}

impl Question {
    /// The answer with these rows, which are of `interval`.
    pub(crate) fn answered(self, page: PreparedPage, interval: Interval) -> Paged<CandlesBody> {
        let Self { query, all_fields, format } = self;
        let PreparedPage { rows, count, digest, next, prev, head } = page;
        let digest =
            [hash(query.asset), hash(next), hash(prev), count as u64].into_iter().fold(digest, folded);
        Paged {
            body: Prepared::from_pieces(framed(query.asset, interval, rows, count)),
            link: links(&query, all_fields, format, next, prev),
            digest,
            for_ever: false,
            made_of: head.map(|head| (self, head)),
        }
    }
}

/// The pages around one, as the value of a `Link` header.
pub(crate) fn links(
    query: &CandleQuery,
    all_fields: bool,
    format: Option<Format>,
    next: Option<Timestamp>,
    prev: Option<Timestamp>,
) -> Option<String> {
    if next.is_none() && prev.is_none() {
        return None;
    }
    let interval = query.interval.map(|interval| format!("&interval={interval}")).unwrap_or_default();
    let fill = if query.fill { "&fill=true" } else { "" };
    let fields = if all_fields { "&fields=all" } else { "" };
    let as_of = query.as_of.map(|at| format!("&as_of={at}")).unwrap_or_default();
    let format = format.map(|format| format!("&format={}", format.name())).unwrap_or_default();
    let pages = Pages {
        path: &format!("{PATH}/{}", query.asset),
        end: query.end,
        next,
        prev,
        options: &format!("limit={}{interval}{fill}{fields}{as_of}{format}", query.limit),
    };
    pages.link()
}
