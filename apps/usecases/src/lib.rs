//! What the service does, in terms of the ports: no HTTP, no SQL, no exchange in sight.
//!
//! | use-case | promise |
//! | --- | --- |
//! | [`QueryCandles`] | sorted, unique, half-open; filled rows marked, never stored |
//! | [`ListAssets`] | what is stored of every asset, without reading candles |

mod list_assets;
mod query_candles;

pub use list_assets::{AssetCoverage, ListAssets};
pub use query_candles::{CandlePage, CandleQuery, QueryCandles, QueryError};
