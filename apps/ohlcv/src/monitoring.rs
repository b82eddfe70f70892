//! What there is to watch about this process: the recorder of all metrics, and their names.

mod scrape;

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use ohlcv_domain::Rule;
use ohlcv_ports::JobState;
use tokio_util::sync::CancellationToken;

pub use self::scrape::{Connections, DatabaseUse, Metrics};

/// The bounds, in seconds, by which the times of answers are counted. A row or two take about a
/// millisecond, the largest answer a good part of a second, and after 30 s nobody waits any longer.
const DURATION_BUCKETS_SECONDS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// How often samples that nobody fetched are merged, so that they do not pile up.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// The recorder of this process, installed by whoever comes first.
fn recorder() -> &'static PrometheusHandle {
    RECORDER.get_or_init(|| {
        let duration = Matcher::Full("ohlcv_http_request_duration_seconds".to_owned());
        let bucketed = PrometheusBuilder::new().set_buckets_for_metric(duration, &DURATION_BUCKETS_SECONDS);
        let builder = bucketed.unwrap_or_else(|error| {
            // Cannot happen: it fails only without buckets.
            tracing::error!(%error, "the times of answers are counted without buckets");
            PrometheusBuilder::new()
        });
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::error!("another recorder of metrics was installed before: /metrics stays empty");
        }
        describe();
        begin();
        handle
    })
}

/// Merges samples from time to time until it is stopped.
pub(crate) async fn keep_up(stop: &CancellationToken) {
    let recorder = recorder();
    while stop.run_until_cancelled(tokio::time::sleep(UPKEEP_EVERY)).await.is_some() {
        recorder.run_upkeep();
    }
}

fn describe() {
    describe_counter!("ohlcv_http_requests_total", "Requests answered, by endpoint, method and status.");
    describe_histogram!(
        "ohlcv_http_request_duration_seconds",
        Unit::Seconds,
        "Time from a request to its answer, by endpoint."
    );
    describe_gauge!("ohlcv_http_requests_in_flight", "Requests that are not answered yet.");
    describe_counter!(
        "ohlcv_http_requests_shed_total",
        "Requests turned away because too many wait for the database."
    );
    describe_counter!(
        "ohlcv_exchange_requests_total",
        "Requests to the exchange, by endpoint and outcome, repetitions included."
    );
    describe_gauge!(
        "ohlcv_exchange_used_weight",
        "Request weight of the current minute, as the exchange last told it."
    );
    describe_gauge!(
        "ohlcv_exchange_ban_seconds",
        Unit::Seconds,
        "How long the exchange wants no requests; 0 if it takes them."
    );
    describe_gauge!(
        "ohlcv_exchange_clock_offset_seconds",
        Unit::Seconds,
        "How far the exchange's clock is ahead of the local one, as last seen."
    );
    describe_counter!(
        "ohlcv_archive_files_total",
        "Files of the bulk archive that were wanted: used, or why the exchange was asked instead."
    );
    describe_counter!("ohlcv_candles_written_total", "Candles stored: new ones, and changed ones.");
    describe_counter!(
        "ohlcv_candles_rejected_total",
        "Rows of the exchange not stored, by the rule they broke."
    );
    describe_gauge!("ohlcv_jobs", "Jobs in the database, by state.");
    describe_counter!("ohlcv_jobs_ended_total", "Jobs that this process has ended, by state.");
    describe_gauge!(
        "ohlcv_asset_lag_candles",
        "Closed candles that the exchange has not answered about yet, by asset."
    );
    describe_gauge!("ohlcv_open_holes", "Holes in the ledger, by cause.");
    describe_gauge!("ohlcv_scheduler_leader", "1 if the scheduler of this process leads, else 0.");
    describe_gauge!("ohlcv_database_up", "1 if the database answered when the metrics were read, else 0.");
    describe_gauge!("ohlcv_database_connections", "Database connections of this process, by state.");
    describe_gauge!("ohlcv_database_size_bytes", Unit::Bytes, "Size of the whole database.");
    describe_gauge!("ohlcv_build_info", "1, with the version of this program.");
}

/// Shows what is known from the beginning, so that nothing seems to be missing until it happens.
fn begin() {
    metrics::gauge!("ohlcv_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
    metrics::gauge!("ohlcv_scheduler_leader").set(0);
    metrics::counter!("ohlcv_http_requests_shed_total").absolute(0);
    for state in JobState::ALL.into_iter().filter(|state| state.is_final()) {
        metrics::counter!("ohlcv_jobs_ended_total", "state" => state.as_str()).absolute(0);
    }
    for change in ["new", "changed"] {
        metrics::counter!("ohlcv_candles_written_total", "change" => change).absolute(0);
    }
    metrics::counter!("ohlcv_archive_files_total", "outcome" => "used").absolute(0);
    for rule in Rule::ALL {
        metrics::counter!("ohlcv_candles_rejected_total", "rule" => rule.as_str()).absolute(0);
    }
}
