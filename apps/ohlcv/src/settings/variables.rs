//! Every setting there is: the one list behind the defaults, `--help` and the documents.

/// What is said of one setting, wherever it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name in the environment and in `.env`; in lower case its key in `ohlcv.toml`.
    pub name: &'static str,
    /// Its name on the command line, without the two dashes.
    pub flag: &'static str,
    /// The value of a run in which nothing is set. Empty means none.
    pub default: &'static str,
    /// How the default is told where the value alone does not tell it.
    pub default_note: Option<&'static str>,
    /// What it is for and what is allowed, in one line.
    pub meaning: &'static str,
}

impl Variable {
    const fn new(
        name: &'static str,
        flag: &'static str,
        default: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self { name, flag, default, default_note: None, meaning }
    }

    const fn noting(mut self, note: &'static str) -> Self {
        self.default_note = Some(note);
        self
    }

    /// The default as documents tell it.
    #[must_use]
    pub fn default_told(&self) -> &'static str {
        self.default_note.unwrap_or(self.default)
    }
}

/// Every setting, in the order in which they are documented.
pub static VARIABLES: [Variable; 24] = [
    Variable::new(
        "DATABASE_URL",
        "database-url",
        "sqlite://ohlcv.db?mode=rwc",
        "where candles are stored: sqlite://FILE, with ?mode=rwc to make it, or postgresql://USER:PASSWORD@HOST/DATABASE for production",
    ),
    Variable::new(
        "DATABASE_URL_FILE",
        "database-url-file",
        "",
        "a file that holds DATABASE_URL, for secrets that must not stand in an environment",
    )
    .noting("none"),
    Variable::new(
        "BINANCE_API_BASE_URL",
        "binance-api-base-url",
        "https://api.binance.com",
        "any Binance-compatible host, without /api/v3; where Binance refuses the location, \
         https://data-api.binance.vision",
    ),
    Variable::new(
        "BINANCE_ARCHIVE_BASE_URL",
        "binance-archive-base-url",
        "https://data.binance.vision",
        "where the exchange keeps bulk archives, which a long backfill reads; empty for none",
    ),
    Variable::new(
        "BINANCE_RATE_LIMIT_REQUESTS_PER_MINUTE",
        "binance-rate-limit-requests-per-minute",
        "5000",
        "budget in request weight per minute, 10 to 6000: a page of candles weighs 2",
    ),
    Variable::new(
        "BINANCE_REQUEST_DELAY_MS",
        "binance-request-delay-ms",
        "100",
        "least time between the starts of two requests, in milliseconds, 0 to 60000",
    ),
    Variable::new(
        "BINANCE_MAX_CONCURRENT_REQUESTS",
        "binance-max-concurrent-requests",
        "10",
        "requests in flight at once, 1 to 100",
    ),
    Variable::new(
        "QUOTE_ASSET",
        "quote-asset",
        "USDT",
        "what prices are in: asset BTC is symbol BTCUSDT; fixed by the first start on a database",
    ),
    Variable::new(
        "CANDLE_INTERVAL",
        "candle-interval",
        "12h",
        "the interval that is fetched and stored, any of Binance's; fixed by the first start on a database",
    ),
    Variable::new(
        "TRACKED_ASSETS",
        "tracked-assets",
        "BTC,ETH,SOL,BNB,XRP,ADA,LINK",
        "the assets to keep, 1 to 1000, comma-separated; blanks and case do not matter",
    ),
    Variable::new(
        "FETCH_INTERVAL_HOURS",
        "fetch-interval-hours",
        "12",
        "how often to catch up, in hours counted from candle closes, up to 8760; fractions as in 0.5",
    )
    .noting("the candle interval, at most 12"),
    Variable::new(
        "FINALITY_GRACE_SECONDS",
        "finality-grace-seconds",
        "30",
        "a candle is closed when exchange time is past its end by this many seconds, 0 to 3600",
    ),
    Variable::new(
        "INITIAL_BACKFILL_DAYS",
        "initial-backfill-days",
        "730",
        "how many days back the backfill aims, 1 to 36500",
    ),
    Variable::new(
        "MIN_BACKFILL_DAYS",
        "min-backfill-days",
        "90",
        "with less history than this many days an asset counts as incomplete; at most INITIAL_BACKFILL_DAYS",
    )
    .noting("90, at most INITIAL_BACKFILL_DAYS"),
    Variable::new(
        "LEASE_SECONDS",
        "lease-seconds",
        "20",
        "how long a process that died keeps its work from the others, in seconds, 1 to 300",
    ),
    Variable::new(
        "API_KEY",
        "api-key",
        "",
        "key of the protected endpoints, 16 to 256 characters; several are separated by commas; without one those endpoints are off",
    )
    .noting("none"),
    Variable::new(
        "API_KEY_FILE",
        "api-key-file",
        "",
        "a file that holds API_KEY, for secrets that must not stand in an environment",
    )
    .noting("none"),
    Variable::new(
        "LISTEN_ADDRESS",
        "listen-address",
        "127.0.0.1:8000",
        "IP address (or localhost) and port of the API; 0.0.0.0:8000 serves every network, port 0 takes a free one",
    ),
    Variable::new(
        "READ_CACHE_MB",
        "read-cache-mb",
        "128",
        "candles kept in memory ready to be sent, at most, in MiB, 0 to 1048576; 0 keeps none",
    ),
    Variable::new(
        "METRICS_LISTEN_ADDRESS",
        "metrics-listen-address",
        "",
        "IP address and port at which schedule serves /metrics, /livez and /readyz, as in 127.0.0.1:9000; \
         run and serve have them at LISTEN_ADDRESS",
    )
    .noting("none"),
    Variable::new(
        "CORS_ALLOWED_ORIGINS",
        "cors-allowed-origins",
        "",
        "origins whose pages may read the API, comma-separated, as in https://app.example; * means any",
    )
    .noting("none"),
    Variable::new(
        "LOG_LEVEL",
        "log-level",
        "INFO",
        "OFF, ERROR, WARN, INFO, DEBUG or TRACE, or filters as in warn,ohlcv_adapters=debug",
    ),
    Variable::new("LOG_FORMAT", "log-format", "text", "text for people, json for machines"),
    Variable::new(
        "AUTO_MIGRATE",
        "auto-migrate",
        "true",
        "true brings the database schema up at start; false refuses to start while migrations are pending",
    ),
];
