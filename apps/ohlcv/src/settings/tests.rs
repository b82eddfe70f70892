//! Where settings come from, and what is refused.

mod bad_values;
mod secrets;

use std::path::Path;

use tempfile::TempDir;

use super::*;
use bad_values::BAD;

/// Settings given in every place, in a directory of their own.
struct Given {
    dir: TempDir,
    env: Vec<(&'static str, String)>,
    flags: Vec<(&'static str, String)>,
}

impl Given {
    fn nothing() -> Self {
        Self { dir: TempDir::new().unwrap(), env: Vec::new(), flags: Vec::new() }
    }

    fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.dir.path().join(name), content).unwrap();
        self
    }

    fn env(mut self, name: &'static str, text: &str) -> Self {
        self.env.push((name, text.to_owned()));
        self
    }

    fn flag(mut self, name: &'static str, text: &str) -> Self {
        self.flags.push((name, text.to_owned()));
        self
    }

    fn load(self) -> Result<Settings, SettingsError> {
        let map = |texts: Vec<(&'static str, String)>| {
            texts.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
        };
        load(Sources { dir: self.dir.path().to_owned(), env: map(self.env), flags: map(self.flags) })
    }

    fn problems(self) -> String {
        self.load().unwrap_err().to_string()
    }
}

fn with(name: &'static str, text: &str) -> Settings {
    Given::nothing().env(name, text).load().unwrap()
}

#[test]
fn without_any_setting_the_documented_defaults_hold() {
    let settings = Given::nothing().load().unwrap();
    let assets = ["BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "LINK"].map(|name| name.parse().unwrap());
    let expected = Settings {
        database_url: DatabaseUrl::parse("sqlite://ohlcv.db?mode=rwc").unwrap(),
        binance_api_base_url: "https://api.binance.com".to_owned(),
        binance_archive_base_url: Some("https://data.binance.vision".to_owned()),
        binance_rate_limit_requests_per_minute: 5_000,
        binance_request_delay: Duration::from_millis(100),
        binance_max_concurrent_requests: 10,
        quote_asset: "USDT".parse().unwrap(),
        candle_interval: Interval::H12,
        tracked_assets: assets.to_vec(),
        fetch_interval: Duration::from_secs(12 * 3_600),
        finality_grace: Duration::from_secs(30),
        initial_backfill_days: 730,
        min_backfill_days: 90,
        lease_time: Duration::from_secs(20),
        api_keys: ApiKeys::default(),
        listen_address: "127.0.0.1:8000".parse().unwrap(),
        read_cache_bytes: 128 << 20,
        metrics_listen_address: None,
        cors_allowed_origins: CorsOrigins::None,
        log_level: LogLevel::Level(LevelFilter::INFO),
        log_format: LogFormat::Text,
        auto_migrate: true,
    };
    assert_eq!(settings, expected);
}

#[test]
fn the_defaults_told_are_the_defaults_that_hold() {
    let told = VARIABLES.iter().map(|variable| (variable.name.to_owned(), variable.default.to_owned()));
    let spelt = load(Sources {
        env: told.collect(),
        dir: TempDir::new().unwrap().path().into(),
        ..Default::default()
    });
    assert_eq!(spelt, Given::nothing().load());
}

#[test]
fn every_bad_value_is_refused_by_name_and_told_what_is_allowed() {
    for (name, text, told) in BAD {
        let problems = Given::nothing().env(name, text).problems();
        assert_eq!(problems.lines().count(), 1, "{problems}");
        assert!(problems.starts_with(name), "{problems}");
        let place = if name.ends_with("_FILE") { "cannot be opened" } else { "(from the environment)" };
        assert!(problems.contains(place), "{problems}");
        assert!(problems.contains(told), "{name}={text:?}: {told:?} is missing in\n{problems}");
        if !text.is_empty() && !["DATABASE_URL", "API_KEY"].contains(name) && !text.contains('\u{7}') {
            assert!(problems.contains(&format!("={text:?}")), "{problems}");
        }
    }
}

#[test]
fn every_variable_has_a_bad_value() {
    for variable in &VARIABLES {
        assert!(BAD.iter().any(|(name, ..)| *name == variable.name), "{}", variable.name);
    }
}

#[test]
fn all_problems_are_told_together() {
    let mut given = Given::nothing().file("ohlcv.toml", "colour = 'red'\nlog_format = 'xml'");
    given = given.file(".env", "LOG_LEVEL=loud\n").flag("AUTO_MIGRATE", "maybe");
    let mut first_bad = std::collections::BTreeMap::new();
    for (name, text, _) in BAD {
        first_bad.entry(*name).or_insert(*text);
    }
    // A secret and its file are one problem, and so told once.
    for name in ["LOG_FORMAT", "LOG_LEVEL", "AUTO_MIGRATE", "API_KEY", "DATABASE_URL"] {
        first_bad.remove(name);
    }
    for (name, text) in first_bad {
        given = given.env(name, text);
    }
    let problems = given.problems();
    assert_eq!(problems.lines().count(), VARIABLES.len() - 1, "{problems}");
    assert!(problems.contains("LOG_FORMAT=\"xml\" (from ohlcv.toml): must be text or json"), "{problems}");
    assert!(problems.contains("LOG_LEVEL=\"loud\" (from .env)"), "{problems}");
    assert!(problems.contains("AUTO_MIGRATE=\"maybe\" (from the command line)"), "{problems}");
    assert!(problems.contains("ohlcv.toml: there is no setting \"colour\""), "{problems}");
}

#[test]
fn the_later_place_counts() {
    let days = |given: Given| given.load().unwrap().initial_backfill_days;
    let toml = || Given::nothing().file("ohlcv.toml", "initial_backfill_days = 201");
    let dotenv = || toml().file(".env", "INITIAL_BACKFILL_DAYS=202");
    let env = || dotenv().env("INITIAL_BACKFILL_DAYS", "203");
    assert_eq!(days(Given::nothing()), 730);
    assert_eq!(days(toml()), 201);
    assert_eq!(days(dotenv()), 202);
    assert_eq!(days(env()), 203);
    assert_eq!(days(env().flag("INITIAL_BACKFILL_DAYS", "204")), 204);
}

#[test]
fn a_bad_value_that_does_not_count_is_no_problem() {
    let given = Given::nothing().env("LOG_FORMAT", "xml").flag("LOG_FORMAT", "json");
    assert_eq!(given.load().unwrap().log_format, LogFormat::Json);
}

#[test]
fn toml_takes_numbers_truths_and_lists_as_well_as_texts() {
    let toml = "tracked_assets = ['btc', 'ETH']\nfetch_interval_hours = 0.25\nauto_migrate = false\n\
                binance_request_delay_ms = 0\nquote_asset = '1234'\ncors_allowed_origins = []\n";
    let settings = Given::nothing().file("ohlcv.toml", toml).load().unwrap();
    assert_eq!(settings.tracked_assets.iter().map(Asset::as_str).collect::<Vec<_>>(), ["BTC", "ETH"]);
    assert_eq!(settings.fetch_interval, Duration::from_secs(900));
    assert!(!settings.auto_migrate);
    assert_eq!(settings.binance_request_delay, Duration::ZERO);
    assert_eq!(settings.quote_asset.as_str(), "1234");
    assert_eq!(settings.cors_allowed_origins, CorsOrigins::None);
}

#[test]
fn values_from_the_environment_are_never_taken_for_something_else_than_text() {
    let assets = |text| with("TRACKED_ASSETS", text).tracked_assets;
    assert_eq!(assets("007,1e3,true").iter().map(Asset::as_str).collect::<Vec<_>>(), ["007", "1E3", "TRUE"]);
    assert!(
        Given::nothing().env("TRACKED_ASSETS", "[BTC]").problems().contains("\"[BTC]\" is no asset name")
    );
}

#[test]
fn a_misspelt_key_in_the_toml_file_is_told_with_the_allowed_ones() {
    for (key, hint) in
        [("candel_interval", ""), ("CANDLE_INTERVAL", ", write candle_interval"), ("binance", "")]
    {
        let line = if key == "binance" { "[binance]\nx = 1".to_owned() } else { format!("{key} = '1h'") };
        let problems = Given::nothing().file("ohlcv.toml", line).problems();
        let start = format!("ohlcv.toml: there is no setting \"{key}\"{hint}; allowed are database_url, ");
        assert!(problems.starts_with(&start), "{problems}");
        assert!(problems.ends_with("auto_migrate"), "{problems}");
    }
}

#[test]
fn a_toml_value_that_is_no_text_is_refused() {
    for value in ["{ a = 1 }", "[['BTC']]", "2024-11-01"] {
        let problems = Given::nothing().file("ohlcv.toml", format!("tracked_assets = {value}")).problems();
        assert!(problems.starts_with("TRACKED_ASSETS (ohlcv.toml): must be a text"), "{problems}");
    }
}

#[test]
fn a_malformed_toml_file_is_told_by_line_without_its_content() {
    let toml = "log_level = 'info'\ndatabase_url = 'postgres://u:s3cret@h/db\n";
    let problems = Given::nothing().file("ohlcv.toml", toml).problems();
    assert!(problems.starts_with("ohlcv.toml: "), "{problems}");
    assert!(problems.contains("line 2"), "{problems}");
    assert!(!problems.contains("s3cret"), "{problems}");
    assert_eq!(problems.lines().count(), 1, "{problems}");
}

#[test]
fn a_malformed_dotenv_file_is_told_by_line_without_its_content() {
    let cases = [
        ("LOG_LEVEL=info\n\n# a comment\nTRACKED_ASSETS=BTC, s3cret\nAUTO_MIGRATE=true\n", 4),
        ("s3cret\n", 1),
        ("LOG_FORMAT=json\r\nDATABASE_URL='postgres://u:s3cret@h/db\r\nLOG_LEVEL=info\r\n", 2),
        ("A='two\nlines'\n=s3cret", 3),
    ];
    for (content, line) in cases {
        let problems = Given::nothing().file(".env", content).problems();
        assert!(problems.starts_with(&format!(".env, line {line}: is not NAME=value")), "{problems}");
        assert!(!problems.contains("s3cret"), "{problems}");
        assert_eq!(problems.lines().count(), 1, "{problems}");
    }
}

#[test]
fn a_dotenv_file_is_read_as_shells_and_compose_write_it() {
    let content = "\u{FEFF}# ours\nexport LOG_FORMAT=json\nTRACKED_ASSETS='BTC, ETH' # two\n\
                   POSTGRES_PASSWORD=not ours\\ but fine\nLOG_LEVEL=\"debug\"\n";
    let content = content.replace("not ours\\ but fine", "'not ours but fine'");
    let settings = Given::nothing().file(".env", content).load().unwrap();
    assert_eq!(settings.log_format, LogFormat::Json);
    assert_eq!(settings.tracked_assets.len(), 2);
    assert_eq!(settings.log_level, LogLevel::Level(LevelFilter::DEBUG));
}

#[test]
fn a_dollar_in_a_dotenv_file_is_a_dollar() {
    for quote in ["", "'", "\""] {
        let url = "postgresql://crypto:pa$HOME$1@db/portfolio";
        let given = Given::nothing().file(".env", format!("DATABASE_URL={quote}{url}{quote}\n"));
        assert_eq!(given.load().unwrap().database_url.expose(), url);
    }
    let problems = Given::nothing().file(".env", "DATABASE_URL=postgresql://u:${PW}@db/p\n").problems();
    assert!(
        problems.starts_with("DATABASE_URL (.env): holds \"${\", but nothing is substituted"),
        "{problems}"
    );
}

#[test]
fn files_that_cannot_be_settings_are_refused() {
    let problems = Given::nothing().file(".env", b"LOG_LEVEL=\xff\n").problems();
    assert_eq!(problems, ".env: is not UTF-8 text");
    let problems = Given::nothing().file("ohlcv.toml", "#".repeat(300 * 1024)).problems();
    assert_eq!(problems, "ohlcv.toml: is larger than 256 KiB");
    let given = Given::nothing();
    std::fs::create_dir(given.dir.path().join("ohlcv.toml")).unwrap();
    assert!(given.problems().starts_with("ohlcv.toml: cannot be"));
}

#[test]
fn a_password_is_printed_nowhere() {
    let cases = [
        ("DATABASE_URL", "mysql://crypto:s3cret@db/portfolio"),
        ("DATABASE_URL", "postgresql//crypto:s3cret@db/portfolio"),
        ("DATABASE_URL", "postgresql://crypto:s3cret/x@db/portfolio"),
        ("DATABASE_URL", "postgresql://crypto:s3cret#1@db/portfolio"),
        ("DATABASE_URL", "s3cret"),
        ("DATABASE_URL", "mysql://db/portfolio?password=s3cret"),
        ("BINANCE_API_BASE_URL", "https://me:s3cret@proxy"),
        ("CORS_ALLOWED_ORIGINS", "https://me:s3cret@proxy"),
        ("TRACKED_ASSETS", "postgresql://crypto:s3cret@db/portfolio"),
        ("LISTEN_ADDRESS", "postgresql://crypto:s3cret@db/portfolio"),
    ];
    for (name, text) in cases {
        let error = Given::nothing().env(name, text).load().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
    let settings = with("DATABASE_URL", "postgresql://crypto:s3cret@db/portfolio");
    assert!(!format!("{settings:?}").contains("s3cret"));
    let sources =
        Sources { env: [("DATABASE_URL".to_owned(), "s3cret".to_owned())].into(), ..Sources::default() };
    assert!(!format!("{sources:?}").contains("s3cret"));
}

#[test]
fn a_long_wrong_value_is_cut_in_the_message() {
    let problems = Given::nothing().env("LOG_FORMAT", &"x".repeat(100_000)).problems();
    assert!(problems.len() < 400, "{}", problems.len());
}

#[test]
fn the_fetch_interval_follows_the_candle_interval_unless_given() {
    let hours = |interval| with("CANDLE_INTERVAL", interval).fetch_interval.as_secs();
    assert_eq!(hours("1m"), 60);
    assert_eq!(hours("1h"), 3_600);
    assert_eq!(hours("12h"), 12 * 3_600);
    assert_eq!(hours("1M"), 12 * 3_600);
    let given = Given::nothing().env("CANDLE_INTERVAL", "1h").env("FETCH_INTERVAL_HOURS", "24");
    assert_eq!(given.load().unwrap().fetch_interval.as_secs(), 24 * 3_600);
}

#[test]
fn fractions_of_hours_are_exact() {
    let nanos = |text| with("FETCH_INTERVAL_HOURS", text).fetch_interval.as_nanos();
    assert_eq!(nanos("0.1"), 360_000_000_000);
    assert_eq!(nanos("0.000277778"), 1_000_000_800);
    assert_eq!(nanos("1.333333333"), 4_799_999_998_800);
    assert_eq!(nanos("8760"), 31_536_000_000_000_000);
    assert_eq!(nanos("8760.000000000"), 31_536_000_000_000_000);
}

#[test]
fn the_least_history_gives_way_to_a_shorter_backfill_unless_it_was_given() {
    assert_eq!(with("INITIAL_BACKFILL_DAYS", "30").min_backfill_days, 30);
    let given = Given::nothing().env("INITIAL_BACKFILL_DAYS", "30").env("MIN_BACKFILL_DAYS", "90");
    let problems = given.problems();
    assert!(problems.contains("at most INITIAL_BACKFILL_DAYS, which is 30"), "{problems}");
}

#[test]
fn blanks_and_case_do_not_matter_where_they_mean_nothing() {
    assert_eq!(with("TRACKED_ASSETS", " btc , Eth ").tracked_assets.len(), 2);
    assert_eq!(with("LOG_LEVEL", "Warning").log_level, LogLevel::Level(LevelFilter::WARN));
    assert_eq!(with("LOG_FORMAT", " JSON ").log_format, LogFormat::Json);
    assert!(!with("AUTO_MIGRATE", "FALSE").auto_migrate);
    assert_eq!(with("LISTEN_ADDRESS", "localhost:0").listen_address, "127.0.0.1:0".parse().unwrap());
    assert_eq!(
        with("METRICS_LISTEN_ADDRESS", "[::1]:9000").metrics_listen_address,
        Some("[::1]:9000".parse().unwrap())
    );
    assert_eq!(with("LISTEN_ADDRESS", "[::1]:8000").listen_address, "[::1]:8000".parse().unwrap());
    for text in ["https://data-api.binance.vision/", "https://data-api.binance.vision"] {
        assert_eq!(
            with("BINANCE_API_BASE_URL", text).binance_api_base_url,
            "https://data-api.binance.vision"
        );
    }
    let local = with("BINANCE_API_BASE_URL", "http://127.0.0.1:8080/spot/").binance_api_base_url;
    assert_eq!(local, "http://127.0.0.1:8080/spot");
}

#[test]
fn a_short_quote_asset_may_end_the_name_of_another_asset() {
    let given = Given::nothing().env("QUOTE_ASSET", "BTC").env("TRACKED_ASSETS", "WBTC,ETH");
    assert_eq!(given.load().unwrap().tracked_assets.len(), 2);
}

#[test]
fn origins_are_kept_as_browsers_send_them() {
    let origins = |text| with("CORS_ALLOWED_ORIGINS", text).cors_allowed_origins;
    let listed = |list: &[&str]| CorsOrigins::List(list.iter().map(ToString::to_string).collect());
    assert_eq!(origins(""), CorsOrigins::None);
    assert_eq!(origins(" * "), CorsOrigins::Any);
    let two = origins("https://App.Example:443, http://localhost:3000,https://app.example");
    assert_eq!(two, listed(&["https://app.example", "http://localhost:3000"]));
    assert_eq!(origins("http://[::1]:8080"), listed(&["http://[::1]:8080"]));
}

#[test]
fn log_filters_are_taken_in_tracings_syntax() {
    for text in
        ["warn,ohlcv_adapters=debug", "ohlcv::http=trace", "info,[request{asset=BTC}]=debug", "off,[request]"]
    {
        assert_eq!(with("LOG_LEVEL", text).log_level, LogLevel::Filter(text.to_owned()));
    }
}

#[test]
fn the_example_file_lists_every_variable_with_its_default_commented_out() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.env.example");
    let example = std::fs::read_to_string(path).unwrap();
    // A blank behind the # makes a line a remark.
    let entries: Vec<&str> = example
        .lines()
        .filter(|line| !line.starts_with("# "))
        .filter_map(|line| line.strip_prefix('#'))
        .collect();
    let told: Vec<(&str, &str)> = entries.iter().filter_map(|entry| entry.split_once('=')).collect();
    let expected: Vec<(&str, &str)> =
        VARIABLES.iter().map(|variable| (variable.name, variable.default)).collect();
    assert_eq!(told, expected);
    for variable in &VARIABLES {
        let entry = format!("# {}\n#{}=", variable.meaning, variable.name);
        assert!(example.contains(&entry), "{entry}");
    }
    assert!(example.lines().all(|line| line.is_empty() || line.starts_with('#')), "nothing is set");
    let given = Given::nothing().file(".env", entries.join("\n"));
    assert_eq!(given.load(), Given::nothing().load());
}

#[test]
fn a_name_in_the_env_file_that_looks_like_a_setting_is_told_with_the_setting() {
    let file = "TRACKED_ASETS=BTC\nlog_level=debug\nDATABSE_ULR=x\nDTABSE_ULR=x\nLOG_FORMAT=json\nPATH=x\nPGDATABASE_URL=x\n";
    let given = Given::nothing().file(".env", file);
    let told = mistyped_in_dotenv(given.dir.path());
    let told: Vec<(&str, &str)> = told.iter().map(|(name, known)| (name.as_str(), *known)).collect();
    let expected =
        [("TRACKED_ASETS", "TRACKED_ASSETS"), ("log_level", "LOG_LEVEL"), ("DATABSE_ULR", "DATABASE_URL")];
    assert_eq!(told, expected, "two slips of the finger are forgiven, three are another name");
    assert!(mistyped_in_dotenv(Given::nothing().dir.path()).is_empty());
}
