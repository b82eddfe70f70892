//! Every row of a range, page by page.

use ohlcv_domain::{Asset, Row, Timestamp};

use crate::{CandleQuery, QueryCandles, QueryError};

/// Hands over all rows of a range, ascending, a page at a time: for who cannot hold them all.
///
/// Between two pages nothing is held, in the database or elsewhere. Each page goes on exactly behind the one
/// before, so no row comes twice and none is left out, whatever is written meanwhile; but each is as it
/// was when its page was read. With `as_of` all pages are of one state.
#[derive(Clone, Debug)]
pub struct RowPages {
    candles: QueryCandles,
    asset: Asset,
    next: Option<CandleQuery>,
}

impl RowPages {
    /// All rows of the range that `query` means, from its earliest one on; the query's limit is how many
    /// rows a page has at most.
    #[must_use]
    pub fn of(candles: QueryCandles, query: CandleQuery) -> Self {
        let start = Some(query.start.unwrap_or(Timestamp::MIN));
        Self { candles, asset: query.asset, next: Some(CandleQuery { start, ..query }) }
    }

    /// Whose rows these are.
    #[must_use]
    pub const fn asset(&self) -> Asset {
        self.asset
    }

    /// The rows of the next page; none behind the last one. After an error it reads the same page again.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn next(&mut self) -> Result<Option<Vec<Row>>, QueryError> {
        let Some(query) = self.next else { return Ok(None) };
        let page = self.candles.run(query).await?;
        self.next = page.next.map(|start| CandleQuery { start: Some(start), ..query });
        Ok(Some(page.rows))
    }
}
