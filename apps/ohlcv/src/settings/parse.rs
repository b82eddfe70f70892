//! From the text of a setting to its value. An error says what is allowed; the caller adds which
//! variable it is, what it was and where it came from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ohlcv_domain::{Asset, Interval};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::{LogFormat, LogLevel, quoted};
use crate::http::CorsOrigins;

/// More assets than Binance has symbols of one quote asset.
const TRACKED_ASSETS_MAX: usize = 1_000;
/// More origins than anybody lists by hand.
const ORIGINS_MAX: usize = 100;
/// Quote assets this long or longer end no other asset's name, as `BTC` does in `WBTC`.
const TELLING_QUOTE_CHARS_MIN: usize = 4;
const HOSTNAME_CHARS_MAX: usize = 253;

const HOUR_NANOS: u128 = 3_600_000_000_000;
const FETCH_INTERVAL_HOURS_MAX: u128 = 8_760;
/// With so many decimals hours are whole nanoseconds.
const HOUR_DECIMALS_MAX: usize = 9;

pub(super) fn whole(text: &str, min: u32, max: u32, unit: &str) -> Result<u32, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && (min..=max).contains(&number) => Ok(number),
        _ => Err(format!("must be a whole number of {unit} from {min} to {max}")),
    }
}

/// Hours as a decimal, to the nanosecond.
pub(super) fn hours(text: &str) -> Result<Duration, String> {
    exact_hours(text).filter(|every| *every >= Duration::from_secs(1)).ok_or_else(|| {
        format!(
            "must be hours from 0.000277778 (one second) to {FETCH_INTERVAL_HOURS_MAX}, \
             with at most {HOUR_DECIMALS_MAX} decimals, as in 12 or 0.5"
        )
    })
}

fn exact_hours(text: &str) -> Option<Duration> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > HOUR_DECIMALS_MAX {
        return None;
    }
    let whole: u128 = whole.parse().ok().filter(|hours| *hours <= FETCH_INTERVAL_HOURS_MAX)?;
    let billionths: u128 = format!("{decimals:0<HOUR_DECIMALS_MAX$}").parse().ok()?;
    let nanos = whole * HOUR_NANOS + billionths * (HOUR_NANOS / 1_000_000_000);
    let in_bounds = nanos <= FETCH_INTERVAL_HOURS_MAX * HOUR_NANOS;
    // Holds: a year is 3.2e16 ns, far inside u64.
    in_bounds.then(|| u64::try_from(nanos).ok().map(Duration::from_nanos)).flatten()
}

pub(super) fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

pub(super) fn asset(text: &str) -> Result<Asset, String> {
    text.parse().map_err(|_| format!("must be 1 to {} letters A-Z and digits, as in USDT", Asset::LEN_MAX))
}

pub(super) fn interval(text: &str) -> Result<Interval, String> {
    text.parse().map_err(|_| {
        let names = Interval::ALL.map(Interval::as_str).join(" ");
        format!("must be one of {names} (case matters: 1m is a minute, 1M a month)")
    })
}

/// The quote asset, if it is known, tells symbols (`BTCUSDT`) from assets (`BTC`).
pub(super) fn assets(text: &str, quote: Option<Asset>) -> Result<Vec<Asset>, String> {
    if text.is_empty() {
        return Err("must list at least one asset, as in BTC,ETH".to_owned());
    }
    let mut assets: Vec<Asset> = Vec::new();
    for name in text.split(',') {
        let asset: Asset = name.parse().map_err(|_| {
            let name = name.trim();
            if name.is_empty() {
                "has an empty name: names are separated by single commas, as in BTC,ETH".to_owned()
            } else {
                format!(
                    "{} is no asset name: allowed are 1 to {} letters A-Z and digits",
                    quoted(name),
                    Asset::LEN_MAX
                )
            }
        })?;
        if assets.contains(&asset) {
            return Err(format!("{asset} is listed twice: each asset may stand once"));
        }
        if let Some(quote) = quote {
            check_against_quote(asset, quote)?;
        }
        assets.push(asset);
        if assets.len() > TRACKED_ASSETS_MAX {
            return Err(format!("lists too many assets: at most {TRACKED_ASSETS_MAX} are allowed"));
        }
    }
    Ok(assets)
}

/// Whether an asset can have a price in the quote asset.
pub(crate) fn check_against_quote(asset: Asset, quote: Asset) -> Result<(), String> {
    match asset.as_str().strip_suffix(quote.as_str()) {
        Some("") => Err(format!("{asset} is QUOTE_ASSET itself and has no price in itself: leave it out")),
        Some(stem) if quote.as_str().len() >= TELLING_QUOTE_CHARS_MIN => {
            Err(format!("{asset} is a symbol: write the asset alone, {stem}"))
        }
        _ => Ok(()),
    }
}

/// A base URL without a slash at its end.
pub(super) fn base_url(text: &str) -> Result<String, String> {
    let allowed = || {
        "must be http:// or https://, a host and, if needed, a port and a path, \
         as in https://api.binance.com"
            .to_owned()
    };
    let (scheme, rest) = text.split_once("://").ok_or_else(allowed)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#\\\"<>".contains(&byte);
    let is_http = ["http", "https"].iter().any(|http| scheme.eq_ignore_ascii_case(http));
    if !is_http || host_and_port(authority).is_none() || !path.bytes().all(plain) {
        return Err(allowed());
    }
    let path = path.trim_end_matches('/');
    if path.ends_with("/api") || path.ends_with("/api/v3") {
        return Err("must be given without /api/v3, as in https://api.binance.com".to_owned());
    }
    Ok(format!("{scheme}://{authority}{path}"))
}

pub(super) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let localhost = || {
        let port = text.strip_prefix("localhost:")?.parse().ok()?;
        Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    };
    text.parse().ok().or_else(localhost).ok_or_else(|| {
        "must be an IP address or localhost, a colon and a port from 0 to 65535, \
         as in 127.0.0.1:8000, 0.0.0.0:8000 or [::1]:8000"
            .to_owned()
    })
}

/// An address to listen on; without one nothing listens.
pub(super) fn metrics_listen_address(text: &str) -> Result<Option<SocketAddr>, String> {
    if text.is_empty() { Ok(None) } else { listen_address(text).map(Some) }
}

/// Origins as browsers send them: in lower case, without the port that the scheme implies.
pub(super) fn origins(text: &str) -> Result<CorsOrigins, String> {
    if text.is_empty() {
        return Ok(CorsOrigins::None);
    }
    if text == "*" {
        return Ok(CorsOrigins::Any);
    }
    let mut origins = Vec::new();
    for given in text.split(',').map(str::trim) {
        let origin = origin(given).ok_or_else(|| match given {
            "*" => "* must stand alone: it allows every origin".to_owned(),
            "" => "has an empty origin: origins are separated by single commas".to_owned(),
            _ => format!(
                "{} is no origin: allowed are scheme://host or scheme://host:port without a path \
                 or a slash at the end, as in https://app.example, or * alone",
                quoted(given)
            ),
        })?;
        if !origins.contains(&origin) {
            origins.push(origin);
        }
        if origins.len() > ORIGINS_MAX {
            return Err(format!("lists too many origins: at most {ORIGINS_MAX} are allowed"));
        }
    }
    Ok(CorsOrigins::List(origins))
}

fn origin(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let (scheme, authority) = lower.split_once("://")?;
    let letters = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !letters {
        return None;
    }
    let (host, port) = host_and_port(authority)?;
    Some(match (scheme, port) {
        ("http", Some(80)) | ("https", Some(443)) | (_, None) => format!("{scheme}://{host}"),
        (_, Some(port)) => format!("{scheme}://{host}:{port}"),
    })
}

/// The host, in brackets if it is an IPv6 address, and the port; none if either is impossible.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let end_of_host = match authority.strip_prefix('[') {
        Some(_) => authority.find(']')? + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end_of_host);
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port > 0)?)
        }
        Some(_) => return None,
        None if port.is_empty() => None,
        None => return None,
    };
    let possible = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
            host.parse::<Ipv4Addr>().is_ok()
        }
        None => is_hostname(host),
    };
    possible.then_some((host, port))
}

fn is_hostname(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    host.len() <= HOSTNAME_CHARS_MAX && host.split('.').all(label)
}

pub(super) fn log_level(text: &str) -> Result<LogLevel, String> {
    if let Some(level) = level(text) {
        return Ok(LogLevel::Level(level));
    }
    // A bare word is a target to tracing, so that a misspelt level would silence everything else.
    let clear = |part: &str| part.contains(['=', '[']) || level(part.trim()).is_some();
    if !text.split(',').all(clear) || EnvFilter::try_new(text).is_err() {
        return Err("must be OFF, ERROR, WARN, INFO, DEBUG or TRACE, or comma-separated filters \
                    target=level, as in warn,ohlcv_adapters=debug"
            .to_owned());
    }
    Ok(LogLevel::Filter(text.to_owned()))
}

fn level(text: &str) -> Option<LevelFilter> {
    let level = match text.to_ascii_uppercase().as_str() {
        "OFF" => LevelFilter::OFF,
        "ERROR" => LevelFilter::ERROR,
        // What Python's logging calls it.
        "WARN" | "WARNING" => LevelFilter::WARN,
        "INFO" => LevelFilter::INFO,
        "DEBUG" => LevelFilter::DEBUG,
        "TRACE" => LevelFilter::TRACE,
        _ => return None,
    };
    Some(level)
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text.to_ascii_lowercase().as_str() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be text or json".to_owned()),
    }
}
