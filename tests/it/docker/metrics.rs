//! The metrics that may be named by who watches, against those that a running program exports.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ohlcv_tests::http_client;
use ohlcv_tests::service::get;

use super::program;
use crate::market::{HALF_DAY, Market};

/// How long a program may take to export everything.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// What kind a metric is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric of the program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
}

const fn metric(name: &'static str, kind: Kind, labels: &'static [&'static str]) -> Metric {
    Metric { name, kind, labels }
}

/// Every metric that rules and dashboards may name.
pub(super) const METRICS: [Metric; 19] = [
    metric("ohlcv_archive_files_total", Kind::Counter, &["outcome"]),
    metric("ohlcv_asset_lag_candles", Kind::Gauge, &["asset"]),
    metric("ohlcv_build_info", Kind::Gauge, &["version"]),
    metric("ohlcv_candles_rejected_total", Kind::Counter, &["rule"]),
    metric("ohlcv_candles_written_total", Kind::Counter, &["change"]),
    metric("ohlcv_database_connections", Kind::Gauge, &["state"]),
    metric("ohlcv_database_size_bytes", Kind::Gauge, &[]),
    metric("ohlcv_exchange_ban_seconds", Kind::Gauge, &[]),
    metric("ohlcv_exchange_clock_offset_seconds", Kind::Gauge, &[]),
    metric("ohlcv_exchange_requests_total", Kind::Counter, &["endpoint", "outcome"]),
    metric("ohlcv_exchange_used_weight", Kind::Gauge, &[]),
    metric("ohlcv_http_request_duration_seconds", Kind::Histogram, &["route"]),
    metric("ohlcv_http_requests_in_flight", Kind::Gauge, &[]),
    metric("ohlcv_http_requests_shed_total", Kind::Counter, &[]),
    metric("ohlcv_http_requests_total", Kind::Counter, &["method", "route", "status"]),
    metric("ohlcv_jobs", Kind::Gauge, &["state"]),
    metric("ohlcv_jobs_ended_total", Kind::Counter, &["state"]),
    metric("ohlcv_open_holes", Kind::Gauge, &["cause"]),
    metric("ohlcv_scheduler_leader", Kind::Gauge, &[]),
];

/// The metric behind the name of a series: a histogram is three of them.
pub(super) fn metric_of(series: &str) -> Option<Metric> {
    let named = |name: &str| METRICS.into_iter().find(|metric| metric.name == name);
    let part = ["_bucket", "_sum", "_count"].iter().find_map(|ending| series.strip_suffix(ending));
    named(series).or_else(|| named(part?).filter(|metric| metric.kind == Kind::Histogram))
}

/// The names of the labels of a sample, those that histograms add left out.
fn labels_of(sample: &str) -> BTreeSet<&str> {
    let labels = sample.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}'));
    let labels = labels.map_or("", |(labels, _)| labels);
    let names = labels.split("\",").filter_map(|label| label.split_once('='));
    names.map(|(name, _)| name.trim()).filter(|name| *name != "le").collect()
}

/// What is wrong with an answer of `/metrics`: nothing, if all metrics are as they are listed.
fn differences(exported: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for metric in METRICS {
        let Metric { name, kind, labels } = metric;
        let kind = format!("# TYPE {name} {}", format!("{kind:?}").to_lowercase());
        let samples: Vec<&str> = exported
            .lines()
            .filter(|line| {
                let series = line.split(['{', ' ']).next().unwrap_or_default();
                metric_of(series).is_some_and(|found| found.name == name)
            })
            .collect();
        if samples.is_empty() && !exported.lines().any(|line| line == kind) {
            wrong.push(format!("{name} is missing"));
        }
        let typed = format!("# TYPE {name} ");
        wrong.extend(
            exported
                .lines()
                .filter(|line| line.starts_with(&typed) && *line != kind)
                .map(|line| format!("{line}: it should be a {kind}")),
        );
        let labels: BTreeSet<&str> = labels.iter().copied().collect();
        wrong.extend(
            samples
                .iter()
                .filter(|sample| labels_of(sample) != labels)
                .map(|sample| format!("{sample}: its labels should be {labels:?}")),
        );
    }
    wrong
}

#[test]
fn a_metric_is_exported_if_there_is_a_sample_or_a_line_about_its_type() {
    let all: String = METRICS
        .iter()
        .map(|metric| format!("# TYPE {} {}\n", metric.name, format!("{:?}", metric.kind).to_lowercase()))
        .collect();
    assert_eq!(differences(&all), [""; 0]);
    let without = all.replace("# TYPE ohlcv_jobs gauge\n", "ohlcv_jobs{state=\"queued\"} 1\n");
    assert_eq!(differences(&without), [""; 0]);
    let wrong = differences(&all.replace("# TYPE ohlcv_jobs gauge\n", "ohlcv_jobs{status=\"a=b, c\"} 1\n"));
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    let bucket = "ohlcv_http_request_duration_seconds_bucket{route=\"/\",le=\"+Inf\"} 1\n";
    assert_eq!(differences(&format!("{all}{bucket}")), [""; 0]);
    let summary = all.replace("seconds histogram", "seconds summary");
    assert_eq!(differences(&summary).len(), 2, "it is missing, and it is something else");
    assert_eq!(differences("").len(), METRICS.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_program_exports_every_metric_that_may_be_named() {
    let now = ohlcv_ports::Clock::now(&ohlcv_adapters::SystemClock).to_string();
    let market = Market::new(HALF_DAY, &["BTC"], &now, 100).await;
    let program = program()
        .with("BINANCE_API_BASE_URL", &market.exchange.url())
        .with("BINANCE_REQUEST_DELAY_MS", "0")
        .with("TRACKED_ASSETS", "BTC");
    let mut running = program.start(&["run"]);
    let url = running.url();
    let client = http_client();
    let started = Instant::now();
    loop {
        assert_eq!(get(&client, &url, "/api/v1/assets").await.status, 200);
        let answer = client.get(format!("{url}/metrics")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "/metrics");
        let wrong = differences(&answer.text().await.unwrap());
        if wrong.is_empty() {
            break;
        }
        assert!(started.elapsed() < WAIT_MAX, "{wrong:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
