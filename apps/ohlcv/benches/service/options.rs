//! What of the benchmark is wanted, and for how long.

use std::time::Duration;

/// A part of the benchmark that can be run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// Repeated reads against a bare handler.
    Read,
    /// Reads after the series has changed.
    Changed,
    /// Reads of coarser intervals, against those of stored candles.
    Derived,
    /// Writes against the database's own bulk writes; what a row takes on disk.
    Write,
    /// Fetching from an exchange at its limit.
    Backfill,
    /// Reading bulk archives.
    Archive,
    /// Starting, and doing nothing.
    Start,
}

const SECTIONS: [(&str, Section); 7] = [
    ("read", Section::Read),
    ("changed", Section::Changed),
    ("derived", Section::Derived),
    ("write", Section::Write),
    ("backfill", Section::Backfill),
    ("archive", Section::Archive),
    ("start", Section::Start),
];

/// Whole minutes of the clock that a backfill is watched for; `OHLCV_BENCH_MINUTES` says otherwise.
const MINUTES: &str = "3";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) sections: Vec<Section>,
    /// How often each of two rivals is measured.
    pub(crate) rounds: usize,
    /// How long one measurement under load lasts.
    pub(crate) lasting: Duration,
    /// How many days of one-minute candles are written.
    pub(crate) days: i64,
    /// How many whole minutes a backfill is watched for.
    pub(crate) minutes: i64,
    /// Where a service to compare with is, in front of the same two years of half-days.
    pub(crate) peer: Option<String>,
}

impl Options {
    /// From the command line: names of sections, `--quick`, and what cargo adds.
    pub(crate) fn read(arguments: &[String]) -> anyhow::Result<Self> {
        anyhow::ensure!(
            arguments.iter().any(|argument| argument == "--bench"),
            "measured is what cargo has optimised: cargo bench -p ohlcv --bench service"
        );
        let minutes = std::env::var("OHLCV_BENCH_MINUTES").unwrap_or_else(|_| MINUTES.to_owned());
        let mut options = Self {
            sections: Vec::new(),
            rounds: 5,
            lasting: Duration::from_secs(2),
            days: 730,
            minutes: minutes
                .parse()
                .map_err(|_| anyhow::anyhow!("OHLCV_BENCH_MINUTES is {minutes:?}, no number"))?,
            peer: std::env::var("OHLCV_BENCH_PEER_URL").ok(),
        };
        for argument in arguments {
            match argument.as_str() {
                "--bench" => {}
                "--quick" => {
                    options.rounds = 3;
                    options.lasting = Duration::from_millis(300);
                    options.days = 90;
                    options.minutes = options.minutes.min(1);
                }
                name => match SECTIONS.iter().find(|(known, _)| *known == name) {
                    Some((_, section)) => options.sections.push(*section),
                    None => anyhow::bail!(
                        "{name:?} is no section: {} or --quick",
                        SECTIONS.map(|(known, _)| known).join(", ")
                    ),
                },
            }
        }
        if options.sections.is_empty() {
            options.sections = SECTIONS.map(|(_, section)| section).to_vec();
        }
        Ok(options)
    }
}
