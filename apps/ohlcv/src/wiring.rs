//! The composition root: the only place that constructs adapters.

mod looking;

use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use ohlcv_adapters::SystemClock;
use ohlcv_adapters::binance::{
    Archive, ArchiveLimits, BinanceConfig, BinanceConfigError, BinanceLimits, BinanceSource, BulkSource,
};
use ohlcv_adapters::simulated::SimulatedMarket;
use ohlcv_adapters::store::{
    InstallationError, SqlStore, check_installation, claim_installation, connect, connect_to_existing,
};
use ohlcv_domain::TimeRange;
use ohlcv_ports::{
    CandleSource, CandleStore, Clock, Coverage, JobQueue, Jobs, Leases, RequestBudget, StoreError,
};
use ohlcv_usecases::{
    Backfill, BackfillGoal, CatchUp, FetchContext, FetchPolicy, Import, ImportContext, ImportOptions,
    LeaseTerms, ListGaps, ListRevisions, Monitor, MonitorPolicy, PageRoom, ProgressSink, ReportSink, RunJob,
    SubmitJob, VerificationSink, Verify,
};
use tokio_util::sync::CancellationToken;

use crate::http::{self, DATABASE_REQUESTS_MAX, HttpParts};
use crate::monitoring::{Connections, DatabaseUse, Metrics};
use crate::settings::{DatabaseUrl, Settings};

/// Which simulated market `demo` shows. Any number gives one; this one has a pleasant chart.
const DEMO_SEED: u64 = 7;
/// How much of a machine's name is shown beside its leases; the column holds 80 characters.
const HOST_CHARS_MAX: usize = 50;

/// What lies outside the program: the exchange and the clock.
#[derive(Clone, Debug)]
pub struct Outside {
    /// Where candles come from.
    pub exchange: Exchange,
    /// The local clock.
    pub clock: Arc<dyn Clock>,
}

/// Where candles come from, before there is a database.
#[derive(Clone, Debug)]
pub enum Exchange {
    /// Over HTTP, within a budget that all processes on one database share.
    Binance {
        /// Its API.
        api: BinanceSource,
        /// Its bulk archives, if they are to be used.
        archive: Option<Archive>,
    },
    /// From anything else, which paces itself.
    Other(Sources),
}

/// Where candles come from, by who waits for them.
#[derive(Clone, Debug)]
pub struct Sources {
    /// For what goes on by itself.
    pub source: Arc<dyn CandleSource>,
    /// For what a user waits for: goes before the other.
    pub interactive: Arc<dyn CandleSource>,
    /// The first one's candles in larger pages, if there are such.
    pub bulk: Option<Arc<dyn CandleSource>>,
}

impl Exchange {
    fn sources(&self, budget: Arc<dyn RequestBudget>) -> Sources {
        match self {
            Self::Binance { api, archive } => {
                let shared = api.sharing(budget);
                let interactive = Arc::new(shared.urgent());
                let source: Arc<dyn CandleSource> = Arc::new(shared);
                let bulk = archive.clone().map(|archive| -> Arc<dyn CandleSource> {
                    Arc::new(BulkSource::new(archive, Arc::clone(&source)))
                });
                Sources { source, interactive, bulk }
            }
            Self::Other(sources) => sources.clone(),
        }
    }
}

impl Outside {
    /// The machine's clock and the exchange that the settings name.
    ///
    /// # Errors
    /// If the exchange's address is unusable.
    pub fn real(settings: &Settings) -> anyhow::Result<Self> {
        Self::over_http(settings, Arc::new(SystemClock))
    }

    /// The exchange that the settings name, seen by a clock of the caller's.
    ///
    /// # Errors
    /// If the address of the exchange, or of its archives, is unusable.
    pub fn over_http(settings: &Settings, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let config = BinanceConfig {
            base_url: settings.binance_api_base_url.clone(),
            quote: settings.quote_asset,
            weight_per_minute: settings.binance_rate_limit_requests_per_minute,
            request_delay: settings.binance_request_delay,
            concurrent_requests_max: at_once(settings),
            limits: BinanceLimits::default(),
        };
        let api = BinanceSource::new(config, Arc::clone(&clock))
            .map_err(|error| unusable("BINANCE_API_BASE_URL", error))?;
        let archive = match &settings.binance_archive_base_url {
            None => None,
            Some(url) => {
                let limits = ArchiveLimits::default();
                let archive = Archive::new(url, settings.quote_asset, limits, Arc::clone(&clock));
                Some(archive.map_err(|error| unusable("BINANCE_ARCHIVE_BASE_URL", error))?)
            }
        };
        Ok(Self { exchange: Exchange::Binance { api, archive }, clock })
    }

    /// The machine's clock and a made-up exchange that needs no network.
    #[must_use]
    pub fn simulated() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let source: Arc<dyn CandleSource> = Arc::new(SimulatedMarket::new(Arc::clone(&clock), DEMO_SEED));
        let sources = Sources { interactive: Arc::clone(&source), source, bulk: None };
        Self { exchange: Exchange::Other(sources), clock }
    }
}

/// What a configuration that no client can be made of means to the operator.
fn unusable(setting: &str, error: BinanceConfigError) -> anyhow::Error {
    match error {
        BinanceConfigError::BaseUrl { .. } => Refused::because(format!("{setting}: {error}")),
        error => error.into(),
    }
}

#[async_trait]
impl DatabaseUse for SqlStore {
    fn connections(&self) -> Connections {
        let connections = Self::connections(self);
        Connections { idle: connections.idle, used: connections.used, kept: connections.kept }
    }

    async fn size_bytes(&self) -> Result<u64, StoreError> {
        Self::size_bytes(self).await
    }
}

/// The program, wired: settings and every port.
#[derive(Clone, Debug)]
pub struct App {
    /// What the operator decided.
    pub settings: Arc<Settings>,
    outside: Outside,
    sources: Sources,
    database: Arc<SqlStore>,
    store: Arc<dyn CandleStore>,
    coverage: Arc<dyn Coverage>,
    terms: LeaseTerms,
    room: PageRoom,
}

/// A start that is refused because something has to be set right first.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

impl Refused {
    pub(crate) fn because(why: String) -> anyhow::Error {
        Self(why).into()
    }
}

/// What a database that cannot be opened means to the operator.
pub(crate) fn not_opened(url: &DatabaseUrl, error: StoreError) -> anyhow::Error {
    match error {
        // Nobody was asked: the address itself is wrong.
        StoreError::Refused { reason, source: None } => {
            Refused::because(format!("DATABASE_URL={url}: {reason}"))
        }
        error => anyhow::Error::new(error).context(format!("cannot open the database DATABASE_URL={url}")),
    }
}

/// What a database is bound to at its first use.
fn bound(settings: &Settings) -> [(&'static str, String); 2] {
    [
        ("CANDLE_INTERVAL", settings.candle_interval.to_string()),
        ("QUOTE_ASSET", settings.quote_asset.to_string()),
    ]
}

/// What a database that is bound to other settings means to the operator.
fn not_claimed(error: InstallationError) -> anyhow::Error {
    match error {
        InstallationError::Mismatch { .. } => Refused::because(error.to_string()),
        InstallationError::Store(error) => error.into(),
    }
}

impl App {
    /// Opens the database, brings its schema up or refuses, and claims it for these settings.
    ///
    /// # Errors
    /// [`Refused`] if the schema is old and must not be migrated, or the database belongs to other
    /// settings; else whatever the database says.
    pub async fn open(settings: Settings, outside: Outside) -> anyhow::Result<Self> {
        let url = &settings.database_url;
        tracing::info!("opening the database {url}");
        if !settings.auto_migrate
            && let Some(file) = url.missing_file()
        {
            return Err(Refused::because(format!(
                "AUTO_MIGRATE is false and there is no file {file}: run `ohlcv migrate`, which makes it"
            )));
        }
        let address =
            if settings.auto_migrate { url.expose().to_owned() } else { url.without_making_a_file() };
        let db = connect(&address).await.map_err(|error| not_opened(url, error))?;
        if settings.auto_migrate {
            ohlcv_migration::up(&db).await.context("cannot check the schema and bring it up")?;
        } else {
            let pending = ohlcv_migration::pending(&db).await.context("cannot read the schema's version")?;
            if !pending.is_empty() {
                let pending = pending.join(", ");
                return Err(Refused::because(format!(
                    "AUTO_MIGRATE is false and the database lacks {pending}: run `ohlcv migrate`"
                )));
            }
        }
        claim_installation(&db, &bound(&settings)).await.map_err(not_claimed)?;
        Ok(Self::on(SqlStore::new(db, ohlcv_migration::newest()), settings, outside))
    }

    /// The program on a database that was opened for these settings.
    fn on(database: SqlStore, settings: Settings, outside: Outside) -> Self {
        let database = Arc::new(database);
        let store: Arc<dyn CandleStore> = Arc::<SqlStore>::clone(&database);
        let coverage: Arc<dyn Coverage> = Arc::<SqlStore>::clone(&database);
        let leases: Arc<dyn Leases> = Arc::<SqlStore>::clone(&database);
        let terms = LeaseTerms { leases, holder: holder(), lasts: settings.lease_time };
        let budget: Arc<dyn RequestBudget> = Arc::<SqlStore>::clone(&database);
        let sources = outside.exchange.sources(budget);
        let room = PageRoom::default();
        Self { settings: Arc::new(settings), outside, sources, database, store, coverage, terms, room }
    }

    /// Closes the database as soon as nobody uses it; nothing can be asked of it afterwards.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// The HTTP API; when `stop` is cancelled, answers that would go on for ever end.
    #[must_use]
    pub fn endpoint(&self, stop: CancellationToken) -> http::Edge {
        let settings = &self.settings;
        let tracked = settings.tracked_assets.clone();
        let jobs: Arc<dyn Jobs> = Arc::<SqlStore>::clone(&self.database);
        http::endpoint(HttpParts {
            series: self.series(),
            submit: SubmitJob::new(Arc::clone(&jobs), self.clock(), tracked.clone()),
            jobs,
            assets: self.list_assets(),
            revisions: ListRevisions::new(
                Arc::<SqlStore>::clone(&self.database),
                Arc::clone(&self.coverage),
                settings.candle_interval,
                tracked.clone(),
            ),
            gaps: ListGaps::new(Arc::clone(&self.coverage), settings.candle_interval, tracked.clone()),
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.outside.clock),
            quote: settings.quote_asset,
            tracked,
            cors: settings.cors_allowed_origins.clone(),
            api_keys: settings.api_keys.clone(),
            metrics: self.metrics(),
            database_requests_max: DATABASE_REQUESTS_MAX,
            read_cache_bytes: settings.read_cache_bytes,
            stop,
        })
    }

    /// An import of candles from elsewhere, which waits for its turn with each asset.
    #[must_use]
    pub fn import(&self, options: ImportOptions, stop: CancellationToken, progress: ProgressSink) -> Import {
        let context = ImportContext {
            store: Arc::clone(&self.store),
            coverage: Arc::clone(&self.coverage),
            clock: self.clock(),
            interval: self.settings.candle_interval,
            grace: self.settings.finality_grace,
            terms: Some(self.terms.clone()),
            stop,
            progress,
        };
        Import::new(context, options)
    }

    /// Metrics and probes of a process without the API.
    #[must_use]
    pub fn monitoring_endpoint(&self) -> http::Edge {
        http::monitoring_endpoint(Arc::clone(&self.store), self.metrics())
    }

    fn monitor_policy(&self) -> MonitorPolicy {
        MonitorPolicy {
            interval: self.settings.candle_interval,
            grace: self.settings.finality_grace,
            days: self.settings.initial_backfill_days,
        }
    }

    fn metrics(&self) -> Metrics {
        let policy = self.monitor_policy();
        let tracked = self.settings.tracked_assets.clone();
        let jobs: Arc<dyn Jobs> = Arc::<SqlStore>::clone(&self.database);
        let mut monitor =
            Monitor::new(Arc::clone(&self.coverage), self.clock(), tracked, policy).with_jobs(jobs);
        if let Exchange::Binance { api, .. } = &self.outside.exchange {
            let budget: Arc<dyn RequestBudget> = Arc::<SqlStore>::clone(&self.database);
            monitor = monitor.with_budget(budget, api.exchange());
        }
        Metrics::new(monitor).with_database(Arc::<SqlStore>::clone(&self.database))
    }

    /// Work on jobs, of this process and of others.
    #[must_use]
    pub fn run_job(&self, stop: CancellationToken, progress: ProgressSink, ended: ReportSink) -> RunJob {
        let queue: Arc<dyn JobQueue> = Arc::<SqlStore>::clone(&self.database);
        let context = FetchContext { ended, ..self.fetching(stop, progress) };
        let interactive = Arc::clone(&self.sources.interactive);
        RunJob::new(queue, self.terms.clone(), context, interactive, self.goal())
    }

    /// A backfill as a scheduler does it: it leaves alone what another process works on.
    #[must_use]
    pub fn scheduled_backfill(&self, stop: CancellationToken, progress: ProgressSink) -> Backfill {
        Backfill::new(self.fetching(stop, progress), self.goal())
    }

    /// A catch-up as a scheduler does it: it leaves alone what another process works on.
    #[must_use]
    pub fn catch_up(&self, stop: CancellationToken, progress: ProgressSink) -> CatchUp {
        // New candles are not to wait behind years of history.
        let source = Arc::clone(&self.sources.interactive);
        CatchUp::new(FetchContext { source, ..self.fetching(stop, progress) }, self.goal())
    }

    /// A verification of what is stored. To repair, it waits for its turn with each asset; else it
    /// takes no lease, so that nobody waits for it.
    #[must_use]
    pub fn verify(
        &self,
        range: TimeRange,
        repair: bool,
        stop: CancellationToken,
        progress: ProgressSink,
        ended: VerificationSink,
    ) -> Verify {
        let terms = repair.then(|| self.terms.clone());
        let context = FetchContext { terms, patience: None, ..self.fetching(stop, progress) };
        Verify::new(context, range, repair, ended)
    }

    /// The history that the settings want.
    #[must_use]
    pub fn goal(&self) -> BackfillGoal {
        BackfillGoal {
            days: self.settings.initial_backfill_days,
            only_days: None,
            days_min: self.settings.min_backfill_days,
            force: false,
        }
    }

    /// On what terms this process takes leases.
    #[must_use]
    pub fn lease_terms(&self) -> &LeaseTerms {
        &self.terms
    }

    /// The local clock.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.outside.clock)
    }

    fn fetching(&self, stop: CancellationToken, progress: ProgressSink) -> FetchContext {
        let settings = &self.settings;
        FetchContext {
            source: Arc::clone(&self.sources.source),
            bulk: self.sources.bulk.clone(),
            room: self.room.clone(),
            store: Arc::clone(&self.store),
            coverage: Arc::clone(&self.coverage),
            clock: self.clock(),
            policy: FetchPolicy {
                interval: settings.candle_interval,
                grace: settings.finality_grace,
                assets_at_once: at_once(settings).get(),
                // One asset alone can use all the requests that may be under way.
                pages_at_once: at_once(settings).get(),
            },
            terms: Some(self.terms.clone()),
            // A dead process keeps a lease for one term; one that lives longer is left to its work.
            patience: Some(self.terms.lasts + self.terms.lasts / 2),
            stop,
            progress,
            ended: Arc::new(|_| {}),
            job: None,
        }
    }
}

fn at_once(settings: &Settings) -> NonZeroUsize {
    // Holds: the setting is 1 to 100.
    let requests = usize::try_from(settings.binance_max_concurrent_requests).unwrap_or(1);
    NonZeroUsize::new(requests).unwrap_or(NonZeroUsize::MIN)
}

/// Who this process is, for people who look at the table of leases.
fn holder() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "a machine".to_owned());
    let host: String = host.chars().take(HOST_CHARS_MAX).collect();
    format!("{host}, process {}", std::process::id())
}
