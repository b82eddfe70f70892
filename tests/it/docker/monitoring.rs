//! Alert rules, dashboard and what is scraped: everything that they name exists.

use std::collections::BTreeSet;
use std::convert::Infallible;

use promql_parser::parser::{self, Expr, LabelModifier, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};

use super::metrics::{Kind, METRICS, metric_of};
use super::{compose, entries, root, text, texts, yaml};

const ALERTS: &str = "docker/prometheus/alerts.yaml";
const PROMETHEUS: &str = "docker/prometheus/prometheus.yaml";
const DASHBOARD: &str = "docker/grafana/dashboard.json";
const DATASOURCE: &str = "docker/grafana/provisioning/datasources/prometheus.yaml";
const PROVIDER: &str = "docker/grafana/provisioning/dashboards/ohlcv.yaml";
const COMPOSE: &str = "docker/compose.yaml";
const README: &str = "docker/README.md";
/// The metric that Prometheus makes itself, of every target.
const UP: &str = "up";
/// The labels that Prometheus adds.
const ADDED: [&str; 2] = ["instance", "job"];
/// What Grafana puts in by itself, and something that it may put.
const GRAFANA_PUTS: (&str, &str) = ("$__rate_interval", "5m");
const SEVERITIES: [&str; 2] = ["critical", "warning"];

/// What an expression names.
#[derive(Debug, Default)]
struct Named {
    /// Each selected series with the labels it is selected by.
    series: Vec<(String, Vec<String>)>,
    /// The labels of each aggregation, with the series beneath.
    aggregated: Vec<(Vec<String>, Vec<String>)>,
}

impl Named {
    fn in_expression(expression: &str) -> Self {
        let whole = expression.replace(GRAFANA_PUTS.0, GRAFANA_PUTS.1);
        let parsed = parser::parse(&whole).unwrap_or_else(|error| panic!("{expression}: {error}"));
        Self::beneath(&parsed)
    }

    fn beneath(expression: &Expr) -> Self {
        let mut named = Self::default();
        match walk_expr(&mut named, expression) {
            Ok(_) => named,
            Err(never) => match never {},
        }
    }

    fn select(&mut self, selector: &VectorSelector) {
        let name = selector.name.clone().unwrap_or_else(|| panic!("{selector}: it names no metric"));
        let alternatives = selector.matchers.or_matchers.iter().flatten();
        let labels = selector.matchers.matchers.iter().chain(alternatives);
        self.series.push((name, labels.map(|matcher| matcher.name.clone()).collect()));
    }

    /// What is named that does not exist.
    fn unknown(&self) -> Vec<String> {
        let mut unknown = Vec::new();
        for (series, labels) in &self.series {
            match labels_of(series) {
                None => unknown.push(series.clone()),
                Some(known) => unknown.extend(not_in(&known, labels, series)),
            }
        }
        for (labels, beneath) in &self.aggregated {
            for series in beneath {
                unknown.extend(not_in(&labels_of(series).unwrap_or_default(), labels, series));
            }
        }
        unknown
    }

    /// The labels that results of the expression have.
    fn labels(&self) -> BTreeSet<String> {
        if self.aggregated.is_empty() {
            self.series.iter().flat_map(|(series, _)| labels_of(series).unwrap_or_default()).collect()
        } else {
            self.aggregated.iter().flat_map(|(labels, _)| labels.clone()).collect()
        }
    }
}

impl ExprVisitor for Named {
    type Error = Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Infallible> {
        match expression {
            Expr::VectorSelector(selector) => self.select(selector),
            Expr::MatrixSelector(selector) => self.select(&selector.vs),
            Expr::Aggregate(aggregate) => {
                assert!(
                    !matches!(aggregate.modifier, Some(LabelModifier::Exclude(_))),
                    "{aggregate}: say what is kept, with `by`"
                );
                let labels = aggregate.modifier.as_ref().map(|modifier| modifier.labels().labels.clone());
                let beneath = Self::beneath(&aggregate.expr).series.into_iter().map(|(series, _)| series);
                self.aggregated.push((labels.unwrap_or_default(), beneath.collect()));
            }
            _ => {}
        }
        Ok(true)
    }
}

/// The labels of a series; none if there is no such series.
fn labels_of(series: &str) -> Option<BTreeSet<String>> {
    let own: &[&str] = if series == UP { &[] } else { metric_of(series)?.labels };
    let is_bucket = series.ends_with("_bucket");
    let all = own.iter().chain(&ADDED).copied().chain(is_bucket.then_some("le"));
    Some(all.map(str::to_owned).collect())
}

fn not_in(known: &BTreeSet<String>, labels: &[String], series: &str) -> Vec<String> {
    let unknown = labels.iter().filter(|label| !known.contains(*label));
    unknown.map(|label| format!("{series}{{{label}}}")).collect()
}

/// The labels that a text shows, each between `open` and `close`.
fn shown<'a>(text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    text.split(open).skip(1).map(|rest| rest.split(close).next().unwrap().trim()).collect()
}

/// Every alert, as its rule stands.
fn alerts() -> Vec<(String, yaml_serde::Value)> {
    let groups = yaml(ALERTS)["groups"].as_sequence().unwrap().clone();
    let rules = groups.iter().flat_map(|group| group["rules"].as_sequence().unwrap().clone());
    rules.map(|rule| (rule["alert"].as_str().unwrap().to_owned(), rule)).collect()
}

/// Every panel's title, query and legend.
fn queries() -> Vec<(String, String, String)> {
    let dashboard: serde_json::Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().unwrap_or_else(|| panic!("{title} shows nothing"));
        for target in targets {
            let part = |name: &str| target[name].as_str().unwrap().to_owned();
            found.push((title.to_owned(), part("expr"), part("legendFormat")));
        }
    }
    found
}

#[test]
fn every_alert_says_when_how_badly_and_what_it_means() {
    let alerts = alerts();
    for (name, rule) in &alerts {
        assert!(rule["for"].is_string(), "{name}: for how long?");
        let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
        assert!(SEVERITIES.contains(&severity), "{name}: severity is one of {SEVERITIES:?}");
        let named = Named::in_expression(rule["expr"].as_str().unwrap());
        for annotation in ["summary", "description"] {
            let told = rule["annotations"][annotation].as_str().unwrap_or_default();
            assert!(!told.is_empty(), "{name} lacks {annotation}");
            for label in shown(told, "$labels.", " ") {
                assert!(
                    named.labels().contains(label),
                    "{name}: {annotation} shows {label}, which is not there"
                );
            }
        }
    }
    let names: BTreeSet<&String> = alerts.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), alerts.len(), "each alert has a name of its own");
}

#[test]
fn every_alert_is_explained_to_the_operator() {
    let readme = text(README);
    for (name, _) in alerts() {
        assert!(readme.contains(&format!("| `{name}` |")), "{README}: what to do about {name}?");
    }
}

#[test]
fn there_is_an_alert_for_everything_that_goes_wrong_unseen() {
    let watched: BTreeSet<String> = alerts()
        .iter()
        .flat_map(|(_, rule)| Named::in_expression(rule["expr"].as_str().unwrap()).series)
        .map(|(series, _)| series)
        .collect();
    for metric in [
        "ohlcv_asset_lag_candles",
        "ohlcv_exchange_ban_seconds",
        "ohlcv_jobs_ended_total",
        "ohlcv_scheduler_leader",
        "ohlcv_database_size_bytes",
    ] {
        assert!(watched.contains(metric), "{ALERTS}: nobody watches {metric}");
    }
}

#[test]
fn alerts_and_dashboard_name_metrics_and_labels_that_exist() {
    let rules = alerts().into_iter().map(|(name, rule)| (name, rule["expr"].as_str().unwrap().to_owned()));
    let panels = queries().into_iter().map(|(title, expression, _)| (title, expression));
    for (name, expression) in rules.chain(panels) {
        let named = Named::in_expression(&expression);
        assert!(!named.series.is_empty(), "{name}: {expression}: it looks at nothing");
        assert_eq!(named.unknown(), [""; 0], "{name}: {expression}");
    }
}

#[test]
fn names_that_do_not_exist_are_found_wherever_they_stand() {
    for (expression, unknown) in [
        ("ohlcv_asset_lag > 0", "ohlcv_asset_lag"),
        ("max by (symbol) (ohlcv_asset_lag_candles)", "ohlcv_asset_lag_candles{symbol}"),
        ("absent(ohlcv_jobs{status=\"failed\"})", "ohlcv_jobs{status}"),
        ("sum(rate(ohlcv_jobs_ended[5m]))", "ohlcv_jobs_ended"),
        ("1 - (ohlcv_jobs unless ohlcv_job offset 1h)", "ohlcv_job"),
        ("rate(ohlcv_jobs_count[5m])", "ohlcv_jobs_count"),
        ("max_over_time(sum by (le) (ohlcv_jobs)[1h:5m])", "ohlcv_jobs{le}"),
    ] {
        assert_eq!(Named::in_expression(expression).unknown(), [unknown], "{expression}");
    }
    let fine = "sum by (le, route) (rate(ohlcv_http_request_duration_seconds_bucket[$__rate_interval]))";
    assert_eq!(Named::in_expression(fine).unknown(), [""; 0]);
}

#[test]
fn the_dashboard_shows_every_metric_and_labels_that_its_results_have() {
    let mut seen = BTreeSet::new();
    for (title, expression, legend) in queries() {
        let named = Named::in_expression(&expression);
        for label in shown(&legend, "{{", "}}") {
            assert!(named.labels().contains(label), "{title}: {legend}: {expression} has no {label}");
        }
        seen.extend(
            named.series.iter().filter_map(|(series, _)| metric_of(series)).map(|metric| metric.name),
        );
    }
    let all: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(seen, all, "{DASHBOARD}");
    assert!(METRICS.iter().any(|metric| metric.kind == Kind::Histogram));
}

#[test]
fn the_panels_of_the_dashboard_lie_beside_each_other() {
    let dashboard: serde_json::Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}: its id is taken", panel["title"]);
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_u64().unwrap());
        assert!(x + w <= 24, "{}: Grafana has 24 columns", panel["title"]);
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{}: it lies over another", panel["title"]);
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        }
    }
    let variable = &dashboard["templating"]["list"][0];
    assert_eq!(variable["name"], "datasource");
    assert_eq!(variable["query"], yaml(DATASOURCE)["datasources"][0]["type"].as_str().unwrap());
}

#[test]
fn prometheus_scrapes_the_services_where_they_listen() {
    let jobs = yaml(PROMETHEUS)["scrape_configs"].as_sequence().unwrap().clone();
    let targets: Vec<(String, String, u64)> = jobs
        .iter()
        .map(|job| {
            let found = &job["dns_sd_configs"][0];
            let name = texts(&found["names"]).pop().unwrap();
            (job["job_name"].as_str().unwrap().to_owned(), name, found["port"].as_u64().unwrap())
        })
        .collect();
    let api = compose::settings("api").listen_address.port();
    let scheduler = compose::settings("scheduler").metrics_listen_address.unwrap().port();
    assert_eq!(
        targets,
        [
            ("ohlcv-api".to_owned(), "api".to_owned(), api.into()),
            ("ohlcv-scheduler".to_owned(), "scheduler".to_owned(), scheduler.into())
        ]
    );
    // The names of jobs that alerts are about.
    for (_, rule) in alerts() {
        for job in shown(rule["expr"].as_str().unwrap(), "job=\"", "\"") {
            assert!(targets.iter().any(|(known, ..)| known == job), "no job is called {job}");
        }
    }
}

#[test]
fn prometheus_and_grafana_find_the_files_that_are_mounted_for_them() {
    let compose = yaml(COMPOSE);
    let inside = |service: &str, path: &str| {
        let mounts = texts(&compose["services"][service]["volumes"]);
        let found = mounts.iter().find_map(|mount| {
            let parts: Vec<&str> = mount.split(':').collect();
            let rest = path.strip_prefix(parts[1])?;
            Some(root().join("docker").join(parts[0]).join(rest.trim_start_matches('/')))
        });
        found.unwrap_or_else(|| panic!("{COMPOSE}: {service} is not given {path}"))
    };
    let command = texts(&compose["services"]["prometheus"]["command"]);
    let config = command.iter().find_map(|flag| flag.strip_prefix("--config.file=")).unwrap();
    assert!(inside("prometheus", config).ends_with("prometheus/prometheus.yaml"));
    for rules in texts(&yaml(PROMETHEUS)["rule_files"]) {
        assert!(inside("prometheus", &rules).ends_with("prometheus/alerts.yaml"), "{rules}");
    }
    let folder = yaml(PROVIDER)["providers"][0]["options"]["path"].as_str().unwrap().to_owned();
    let env = entries(&compose["services"]["grafana"]["environment"]);
    let (_, home) = env.iter().find(|(name, _)| name.ends_with("HOME_DASHBOARD_PATH")).unwrap();
    let home = home.as_str().unwrap();
    assert_eq!(home, format!("{folder}/dashboard.json"));
    assert!(inside("grafana", home).ends_with("grafana/dashboard.json"));
    assert!(inside("grafana", "/etc/grafana/provisioning/datasources/prometheus.yaml").is_file());
    let address = yaml(DATASOURCE)["datasources"][0]["url"].as_str().unwrap().to_owned();
    let published = texts(&compose["services"]["prometheus"]["ports"]).pop().unwrap();
    let (_, port) = published.rsplit_once(':').unwrap();
    assert_eq!(address, format!("http://prometheus:{port}"), "the service as others in the network name it");
}
