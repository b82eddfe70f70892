//! The document of `exchangeInfo`.

use std::collections::BTreeSet;

use ohlcv_domain::Asset;
use serde_json::{Value, json};

use super::query::{Parameters, Refusal};

/// The symbols that are asked for; none if all are.
pub(crate) fn asked_symbols(parameters: Parameters<'_>) -> Result<Option<Vec<String>>, Refusal> {
    let one = parameters.symbol()?;
    let many = parameters.get("symbols")?;
    let filtered = parameters.get("permissions")?.is_some() || parameters.get("symbolStatus")?.is_some();
    if (one.is_some() && many.is_some()) || (filtered && (one.is_some() || many.is_some())) {
        return Err(Refusal::new(-1128, "Combination of optional parameters invalid."));
    }
    if let Some(symbol) = one {
        return Ok(Some(vec![symbol.to_owned()]));
    }
    let Some(many) = many else { return Ok(None) };
    let Ok(symbols) = serde_json::from_str::<Vec<String>>(many) else {
        return Err(Refusal::new(-1135, "JSON sent for parameter 'symbols' is not valid."));
    };
    if symbols.iter().collect::<BTreeSet<_>>().len() < symbols.len() {
        return Err(Refusal::new(-1151, "Symbol is present multiple times in the list."));
    }
    Ok(Some(symbols))
}

/// The status of a market; delisted ones stay listed under `BREAK`.
pub(crate) fn status(delisted: bool) -> &'static str {
    if delisted { "BREAK" } else { "TRADING" }
}

pub(crate) fn symbol(name: &str, base: Asset, quote: Asset, delisted: bool) -> Value {
    json!({
        "symbol": name,
        "status": status(delisted),
        "baseAsset": base.as_str(),
        "baseAssetPrecision": 8,
        "quoteAsset": quote.as_str(),
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": true,
        "ocoAllowed": true,
        "otoAllowed": true,
        "opoAllowed": true,
        "quoteOrderQtyMarketAllowed": true,
        "allowTrailingStop": true,
        "cancelReplaceAllowed": true,
        "amendAllowed": true,
        "pegInstructionsAllowed": true,
        "isSpotTradingAllowed": !delisted,
        "isMarginTradingAllowed": false,
        "filters": [],
        "permissions": [],
        "permissionSets": [["SPOT", "MARGIN", "TRD_GRP_004", "TRD_GRP_005"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"],
    })
}

pub(crate) fn document(server_time: i64, weight_per_minute: u32, symbols: Vec<Value>) -> Value {
    let limit = |kind: &str, interval: &str, count: u32, limit: u32| json!({ "rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit });
    json!({
        "timezone": "UTC",
        "serverTime": server_time,
        "rateLimits": [
            limit("REQUEST_WEIGHT", "MINUTE", 1, weight_per_minute),
            limit("ORDERS", "SECOND", 10, 100),
            limit("ORDERS", "DAY", 1, 200_000),
            limit("RAW_REQUESTS", "MINUTE", 5, 300_000),
        ],
        "exchangeFilters": [],
        "symbols": symbols,
    })
}
