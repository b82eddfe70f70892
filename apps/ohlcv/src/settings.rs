//! What the operator decides: read from five places, checked as a whole.
//!
//! In rising order: built-in defaults, `ohlcv.toml`, `.env`, the environment, the command line.
//! [`VARIABLES`] lists every setting.

mod api_keys;
mod database_url;
mod layers;
mod parse;
#[cfg(test)]
mod tests;
mod variables;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use figment::Figment;
use ohlcv_domain::{Asset, Interval};
use tracing::level_filters::LevelFilter;

use crate::http::CorsOrigins;

pub use api_keys::ApiKeys;
pub use database_url::DatabaseUrl;
pub(crate) use layers::mistyped_in_dotenv;
pub(crate) use parse::check_against_quote;
pub use variables::{VARIABLES, Variable};

/// The default of `FETCH_INTERVAL_HOURS`, however long a candle is.
const DEFAULT_FETCH_INTERVAL_MAX: Duration = Duration::from_secs(12 * 3600);
/// A century: longer than any market here.
const BACKFILL_DAYS_MAX: u32 = 36_500;
/// Enough of a wrong value to know it again.
const VALUE_SHOWN_CHARS_MAX: usize = 200;

/// The settings of one run, checked. Named after their variables; bounds stand in [`VARIABLES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where candles are stored.
    pub database_url: DatabaseUrl,
    /// The exchange, without a slash at the end.
    pub binance_api_base_url: String,
    /// Bulk archives, without a slash at the end; none if they are switched off.
    pub binance_archive_base_url: Option<String>,
    /// Budget in request weight per minute.
    pub binance_rate_limit_requests_per_minute: u32,
    /// Least time between the starts of two requests.
    pub binance_request_delay: Duration,
    /// Requests in flight at once.
    pub binance_max_concurrent_requests: u32,
    /// What prices are in.
    pub quote_asset: Asset,
    /// The interval that is fetched and stored.
    pub candle_interval: Interval,
    /// The assets to keep, each once, in the order given; at least one.
    pub tracked_assets: Vec<Asset>,
    /// How often to catch up, counted from candle closes; at least a second.
    pub fetch_interval: Duration,
    /// How long after its end a candle counts as closed.
    pub finality_grace: Duration,
    /// How many days back the backfill aims.
    pub initial_backfill_days: u32,
    /// With fewer days of history an asset is incomplete; at most `initial_backfill_days`.
    pub min_backfill_days: u32,
    /// How long a process that died keeps its work from the others.
    pub lease_time: Duration,
    /// What opens the protected endpoints.
    pub api_keys: ApiKeys,
    /// Where the API listens; port 0 takes a free one.
    pub listen_address: SocketAddr,
    /// How much of the candles that were read is kept in memory, in bytes.
    pub read_cache_bytes: u64,
    /// Where a scheduler alone serves its metrics and probes, if anywhere; port 0 takes a free one.
    pub metrics_listen_address: Option<SocketAddr>,
    /// Whose pages may read the API.
    pub cors_allowed_origins: CorsOrigins,
    /// What is logged.
    pub log_level: LogLevel,
    /// How it is written.
    pub log_format: LogFormat,
    /// Whether a start brings the schema up.
    pub auto_migrate: bool,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// This program at a level; the libraries beneath it warnings at most.
    Level(LevelFilter),
    /// Filters in tracing's syntax, checked.
    Filter(String),
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Where settings are read from; the built-in defaults lie beneath.
#[derive(Clone, Default)]
pub struct Sources {
    /// Where `ohlcv.toml` and `.env` are looked for; neither has to be there.
    pub dir: PathBuf,
    /// The environment, by variable. What is no setting of ours is passed over.
    pub env: BTreeMap<String, String>,
    /// Values given on the command line, by variable.
    pub flags: BTreeMap<String, String>,
}

impl Sources {
    /// The working directory and the environment of this process, and what the command line says.
    #[must_use]
    pub fn from_process(flags: BTreeMap<String, String>) -> Self {
        // What is not UTF-8 becomes a replacement character, which no setting allows.
        let lossy = |(name, text): (std::ffi::OsString, std::ffi::OsString)| {
            (name.to_string_lossy().into_owned(), text.to_string_lossy().into_owned())
        };
        Self { dir: PathBuf::from("."), env: std::env::vars_os().map(lossy).collect(), flags }
    }
}

impl fmt::Debug for Sources {
    /// Names alone: the values of an environment are nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("dir", &self.dir)
            .field("env", &self.env.keys())
            .field("flags", &self.flags.keys())
            .finish()
    }
}

/// Everything that is wrong with the settings, one problem per line. Shows no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("\n"))]
pub struct SettingsError {
    problems: Vec<String>,
}

/// Reads and checks all settings.
///
/// # Errors
/// [`SettingsError`] with every problem there is: each names its variable, what it was, where it
/// came from and what is allowed.
pub fn load(sources: Sources) -> Result<Settings, SettingsError> {
    let mut problems = Vec::new();
    let figment = layers::merge(&sources, &mut problems);
    let mut reader = Reader { figment, problems, dir: sources.dir };
    let settings = read(&mut reader);
    match settings {
        Some(settings) if reader.problems.is_empty() => Ok(settings),
        _ => Err(SettingsError { problems: reader.problems }),
    }
}

/// Each value is read before any is missed, so that all problems come to light.
fn read(reader: &mut Reader) -> Option<Settings> {
    let whole = |min, max, unit| move |text: &str| parse::whole(text, min, max, unit);
    let database_url = reader.secret("DATABASE_URL", "DATABASE_URL_FILE", DatabaseUrl::parse);
    let binance_api_base_url = reader.value("BINANCE_API_BASE_URL", parse::base_url);
    let archive = reader.value("BINANCE_ARCHIVE_BASE_URL", |text| match text {
        "" => Ok(None),
        text => parse::base_url(text).map(Some),
    });
    let weight = reader.value("BINANCE_RATE_LIMIT_REQUESTS_PER_MINUTE", whole(10, 6_000, "units of weight"));
    let delay_ms = reader.value("BINANCE_REQUEST_DELAY_MS", whole(0, 60_000, "milliseconds"));
    let concurrent = reader.value("BINANCE_MAX_CONCURRENT_REQUESTS", whole(1, 100, "requests"));
    let quote_asset = reader.value("QUOTE_ASSET", parse::asset);
    let candle_interval = reader.value("CANDLE_INTERVAL", parse::interval);
    let tracked_assets = reader.value("TRACKED_ASSETS", |text| parse::assets(text, quote_asset));
    let fetch_interval = match candle_interval {
        Some(interval) if reader.is_default("FETCH_INTERVAL_HOURS") => {
            Some(interval.longest().min(DEFAULT_FETCH_INTERVAL_MAX))
        }
        _ => reader.value("FETCH_INTERVAL_HOURS", parse::hours),
    };
    let grace_seconds = reader.value("FINALITY_GRACE_SECONDS", whole(0, 3_600, "seconds"));
    let initial_days = reader.value("INITIAL_BACKFILL_DAYS", whole(1, BACKFILL_DAYS_MAX, "days"));
    let min_days = min_backfill_days(reader, initial_days);
    let lease_seconds = reader.value("LEASE_SECONDS", whole(1, 300, "seconds"));
    let api_keys = reader.secret("API_KEY", "API_KEY_FILE", ApiKeys::parse);
    let listen_address = reader.value("LISTEN_ADDRESS", parse::listen_address);
    let cache_mib = reader.value("READ_CACHE_MB", whole(0, 1_048_576, "MiB"));
    let metrics_address = reader.value("METRICS_LISTEN_ADDRESS", parse::optional_listen_address);
    let origins = reader.value("CORS_ALLOWED_ORIGINS", parse::origins);
    let log_level = reader.value("LOG_LEVEL", parse::log_level);
    let log_format = reader.value("LOG_FORMAT", parse::log_format);
    let auto_migrate = reader.value("AUTO_MIGRATE", parse::truth);
    Some(Settings {
        database_url: database_url?,
        binance_api_base_url: binance_api_base_url?,
        binance_archive_base_url: archive?,
        binance_rate_limit_requests_per_minute: weight?,
        binance_request_delay: Duration::from_millis(delay_ms?.into()),
        binance_max_concurrent_requests: concurrent?,
        quote_asset: quote_asset?,
        candle_interval: candle_interval?,
        tracked_assets: tracked_assets?,
        fetch_interval: fetch_interval?,
        finality_grace: Duration::from_secs(grace_seconds?.into()),
        initial_backfill_days: initial_days?,
        min_backfill_days: min_days?,
        lease_time: Duration::from_secs(lease_seconds?.into()),
        api_keys: api_keys?,
        listen_address: listen_address?,
        read_cache_bytes: u64::from(cache_mib?) << 20,
        metrics_listen_address: metrics_address?,
        cors_allowed_origins: origins?,
        log_level: log_level?,
        log_format: log_format?,
        auto_migrate: auto_migrate?,
    })
}

/// Somebody who asks for 30 days has not asked for an error about a default of 90.
fn min_backfill_days(reader: &mut Reader, initial: Option<u32>) -> Option<u32> {
    let max = initial.unwrap_or(BACKFILL_DAYS_MAX);
    let is_default = reader.is_default("MIN_BACKFILL_DAYS");
    reader.value("MIN_BACKFILL_DAYS", |text| match parse::whole(text, 0, BACKFILL_DAYS_MAX, "days")? {
        days if days <= max => Ok(days),
        _ if is_default => Ok(max),
        _ => Err(format!("must be at most INITIAL_BACKFILL_DAYS, which is {max}")),
    })
}

struct Reader {
    figment: Figment,
    problems: Vec<String>,
    dir: PathBuf,
}

impl Reader {
    fn is_default(&self, name: &str) -> bool {
        layers::find(&self.figment, name).is_some_and(|found| found.is_default)
    }

    /// The value of a variable; none, and one problem more, if its text is not allowed.
    fn value<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let Some(found) = layers::find(&self.figment, name) else {
            self.problems.push(format!("{name}: is no setting of this program"));
            return None;
        };
        self.check(name, &found.text, &found.place, parse)
    }

    /// The value of a variable, or the one in the file that another variable names.
    fn secret<T>(
        &mut self,
        name: &str,
        file_name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let file = self.value(file_name, |path| Ok(path.to_owned()))?;
        if file.is_empty() {
            return self.value(name, parse);
        }
        if !self.is_default(name) {
            self.problems.push(format!("{name} and {file_name} are both set: set one of them"));
            return None;
        }
        match layers::secret(&self.dir.join(&file)) {
            Ok(text) => self.check(name, text.trim(), &format!("{file_name}={file}"), parse),
            Err(why) => {
                self.problems.push(format!("{file_name}={}: {why}", quoted(&file)));
                None
            }
        }
    }

    fn check<T>(
        &mut self,
        name: &str,
        text: &str,
        place: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let printable = |c: char| !c.is_control() && c != char::REPLACEMENT_CHARACTER;
        let parsed = if text.chars().all(printable) {
            parse(text)
        } else {
            Err("holds control characters or bytes that are not UTF-8 text".to_owned())
        };
        match parsed {
            Ok(value) => Some(value),
            Err(allowed) => {
                self.problems.push(if text.is_empty() {
                    format!("{name} is empty (from {place}): {allowed}; leave it out for the default")
                } else {
                    format!("{name}={} (from {place}): {allowed}", shown(name, text))
                });
                None
            }
        }
    }
}

/// A wrong value as a message may show it.
fn shown(name: &str, text: &str) -> String {
    // Nothing of a key is shown, and without a scheme nobody knows which part of an address is the
    // password.
    if name == "API_KEY" {
        return "\"***\"".to_owned();
    }
    if name == "DATABASE_URL" && !text.contains("://") && !text.starts_with("sqlite:") {
        return "\"***\"".to_owned();
    }
    quoted(text)
}

/// In quotes, not too long, without a password: addresses get pasted into the wrong variable, too.
fn quoted(text: &str) -> String {
    let masked = database_url::without_password(text);
    match masked.char_indices().nth(VALUE_SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{:?}", format!("{}…", &masked[..end])),
        None => format!("{masked:?}"),
    }
}
