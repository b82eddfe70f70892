//! Bars out of the rows that lie in memory for readers of the API.

use ohlcv_usecases::CandleQuery;
use serde::Deserialize;

use super::{Refused, Udf};
use crate::http::candle_bytes::push_row;
use crate::http::prepared::Unanswered;
use crate::http::problem::Problem;

/// Rows in JSON, as the API has them.
pub(super) struct Rows(String);

/// What of a row makes a bar; numbers as they are written.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Bar<'a> {
    pub(super) timestamp: &'a str,
    pub(super) open: &'a str,
    pub(super) high: &'a str,
    pub(super) low: &'a str,
    pub(super) close: &'a str,
    pub(super) volume: &'a str,
}

impl Rows {
    pub(super) fn bars(&self) -> Result<Vec<Bar<'_>>, Refused> {
        serde_json::from_str(&self.0).map_err(|error| {
            tracing::error!(%error, "rows could not be read");
            Problem::internal().into()
        })
    }
}

impl Udf {
    /// The rows of a query, as `/api/v1/ohlcv/{asset}` answers with them.
    pub(super) async fn rows(&self, query: CandleQuery) -> Result<Rows, Refused> {
        let mut json = String::from("[");
        match self.prepared.page(&query, false).await {
            Ok(page) => {
                for piece in &page.rows {
                    json.push_str(std::str::from_utf8(piece).map_err(|_| Problem::internal())?);
                }
            }
            Err(Unanswered::Full(problem)) => return Err(problem.into()),
            Err(Unanswered::Elsewhere) => {
                let _turn = self.admission.turn()?;
                let page = self.query.run(query).await.map_err(|error| self.refused(error))?;
                for row in &page.rows {
                    push_row(&mut json, row, false);
                    json.push(',');
                }
            }
            Err(Unanswered::Query(error)) => return Err(self.refused(error)),
        }
        // Each row has a comma behind it.
        if json.ends_with(',') {
            json.pop();
        }
        json.push(']');
        Ok(Rows(json))
    }
}
