//! The command line.

mod help;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use ohlcv_domain::{Asset, Interval, Timestamp};

pub use self::values::Since;
use self::values::{asset, interval, since, time};
use crate::settings::{VARIABLES, Variable};

/// The most rows that `candles --limit` takes, as many as one answer of the API has.
const LIMIT_ROWS_MAX: i64 = 10_000;

/// Where the flags of the settings stand in `--help`.
const SETTINGS_HEADING: &str = "Settings";

/// Fetches Binance spot candles, stores them exactly and serves them over REST.
#[derive(Debug, Parser)]
#[command(name = "ohlcv", version, after_help = help::PROGRAM)]
#[command(after_long_help = format!("{}\n\n{}", help::PROGRAM, help::PROGRAM_EXITS))]
pub struct Cli {
    /// What to do; without a command, `run`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings given as flags.
    #[command(flatten)]
    pub settings: SettingFlags,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// API and scheduler in one process (what happens without a command)
    #[default]
    #[command(after_help = help::RUN)]
    Run,
    /// The API alone: stateless, any number of them
    #[command(after_help = help::SERVE)]
    Serve,
    /// The scheduler alone: catches up after candle closes, heals holes
    #[command(after_help = help::SCHEDULE)]
    Schedule,
    /// Fetches the history that is missing; can be stopped and run again
    #[command(after_help = help::BACKFILL)]
    Backfill(BackfillArgs),
    /// Compares what is stored with the exchange, and with itself
    #[command(after_help = help::VERIFY)]
    Verify(VerifyArgs),
    /// Writes all stored candles with all their fields
    #[command(after_help = help::EXPORT)]
    Export(ExportArgs),
    /// Stores candles out of files, checked as those of the exchange
    #[command(after_help = help::IMPORT)]
    Import(ImportArgs),
    /// Lists what is stored of every asset, and how it stands
    #[command(after_help = help::ASSETS)]
    Assets(AssetsArgs),
    /// Shows candles of an asset, as a table, CSV or JSON
    #[command(after_help = help::CANDLES)]
    Candles(CandlesArgs),
    /// Brings the database schema up, or tells how it stands
    #[command(after_help = help::MIGRATE)]
    Migrate {
        /// What to do with the schema
        #[arg(value_enum, default_value_t)]
        action: MigrateAction,
    },
    /// Asks the service on this machine whether it is up, for containers
    #[command(after_help = help::HEALTHCHECK)]
    Healthcheck,
    /// Prints the OpenAPI document
    #[command(after_help = help::OPENAPI)]
    Openapi,
    /// Prints what a shell needs to complete commands and flags
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Everything against a simulated exchange: no network, nothing kept
    #[command(after_help = help::DEMO)]
    Demo,
}

/// The command line with its help laid out.
#[must_use]
pub fn command() -> clap::Command {
    help::laid_out(Cli::command())
}

/// Reads the command line of this process. Help, and what is wrong with it, are told here, and the
/// process ends.
#[must_use]
pub fn parse() -> Cli {
    let matches = command().get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command()).exit())
}

/// What `backfill` is to fetch.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct BackfillArgs {
    /// Ask for everything again, also for what is stored
    #[arg(long)]
    pub force: bool,
    /// One asset, as in BTC; may be repeated [default: all of TRACKED_ASSETS]
    #[arg(long = "asset", value_name = "ASSET", value_delimiter = ',', value_parser = asset)]
    assets: Vec<Asset>,
    /// How many days back, 1 to 36500 [default: INITIAL_BACKFILL_DAYS]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: Option<u32>,
}

impl BackfillArgs {
    /// The assets named, each once, in their order; empty means all tracked ones.
    #[must_use]
    pub fn assets(&self) -> Vec<Asset> {
        each_once(&self.assets)
    }
}

/// What `verify` is to look at, and what to do about it.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyArgs {
    /// One asset, as in BTC; may be repeated [default: all of TRACKED_ASSETS]
    #[arg(long = "asset", value_name = "ASSET", value_delimiter = ',', value_parser = asset)]
    assets: Vec<Asset>,
    /// Only candles that open at this time or later: RFC 3339, or milliseconds since 1970
    #[arg(long, value_name = "T", value_parser = time)]
    pub start: Option<Timestamp>,
    /// Only candles that open before this time
    #[arg(long, value_name = "T", value_parser = time)]
    pub end: Option<Timestamp>,
    /// Fetch what is missing or differs, mend ledger and summary; nothing is ever deleted
    #[arg(long)]
    pub repair: bool,
    /// Print one JSON document instead of a table
    #[arg(long)]
    pub json: bool,
}

impl VerifyArgs {
    /// The assets named, each once, in their order; empty means all tracked ones.
    #[must_use]
    pub fn assets(&self) -> Vec<Asset> {
        each_once(&self.assets)
    }
}

/// What `export` is to write, and where to.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportArgs {
    /// One asset, as in BTC; may be repeated [default: everything that is stored]
    #[arg(long = "asset", value_name = "ASSET", value_delimiter = ',')]
    assets: Vec<Asset>,
    /// Only candles that open at this time or later: RFC 3339, or milliseconds since 1970
    #[arg(long, value_name = "T", value_parser = time)]
    pub start: Option<Timestamp>,
    /// Only candles that open before this time
    #[arg(long, value_name = "T", value_parser = time)]
    pub end: Option<Timestamp>,
    /// How rows are written [default: arrow if FILE ends in .arrow or .arrows, else csv]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Option<TableFormat>,
    /// A file, written whole or not at all; a folder, for a file of each asset; - for standard output
    #[arg(short, long, value_name = "FILE|DIR|-", default_value = "-")]
    pub output: PathBuf,
    /// Overwrite files that are there
    #[arg(long)]
    pub force: bool,
}

impl ExportArgs {
    /// The assets named, each once, in their order; empty means all stored ones.
    #[must_use]
    pub fn assets(&self) -> Vec<Asset> {
        each_once(&self.assets)
    }
}

/// What `import` is to read, and what it may do.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportArgs {
    /// Files with candles, ascending by time for each asset; - for standard input
    #[arg(value_name = "FILE|-", required = true)]
    pub files: Vec<PathBuf>,
    /// Whose candles these are, if the files do not say so
    #[arg(long, value_name = "ASSET")]
    pub asset: Option<Asset>,
    /// How the files are written [default: as their first bytes look]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Option<TableFormat>,
    /// Replace stored candles that differ; they are kept as revisions
    #[arg(long)]
    pub replace: bool,
    /// Change nothing, but say what would be done with the database as it is
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON document instead of a table
    #[arg(long)]
    pub json: bool,
}

/// How files with candles are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// Comma-separated values below a line of names
    Csv,
    /// Apache Arrow's IPC stream
    Arrow,
}

fn each_once(named: &[Asset]) -> Vec<Asset> {
    let mut assets = Vec::with_capacity(named.len());
    for asset in named {
        if !assets.contains(asset) {
            assets.push(*asset);
        }
    }
    assets
}

/// How `assets` lists.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct AssetsArgs {
    /// Print the JSON of GET /api/v1/assets instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Which candles `candles` shows, and how.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct CandlesArgs {
    /// The asset, as in BTC
    #[arg(value_parser = asset)]
    pub asset: Asset,
    /// From so long ago: 90m, 24h, 7d, 4w; or from a date or time on
    #[arg(long, value_name = "AGO", value_parser = since, conflicts_with = "start")]
    since: Option<Since>,
    /// From this time on
    #[arg(long, value_name = "T", value_parser = time)]
    start: Option<Timestamp>,
    /// Up to this time, exclusive
    #[arg(long, value_name = "T", value_parser = time)]
    pub end: Option<Timestamp>,
    /// Of this interval, which the stored one has to divide [default: the stored one]
    #[arg(long, value_name = "INTERVAL", value_parser = interval)]
    pub interval: Option<Interval>,
    /// A row for every slot: gaps carry the last close, and are marked
    #[arg(long)]
    pub fill: bool,
    /// At most so many rows, 1 to 10000: the oldest of a range with a start, else the newest
    /// [default: all; of a table without a range the newest 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=LIMIT_ROWS_MAX))]
    pub limit: Option<u32>,
    /// Print CSV, as GET /api/v1/ohlcv/{asset}?format=csv answers
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Print one JSON document, as GET /api/v1/ohlcv/{asset} answers
    #[arg(long)]
    pub json: bool,
}

impl CandlesArgs {
    /// Where the range begins, if that was said.
    #[must_use]
    pub fn start_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.start.or(self.since.map(|since| since.at(now)))
    }
}

/// What `migrate` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MigrateAction {
    /// Applies what is pending
    #[default]
    Up,
    /// Lists what is applied and what is pending; changes nothing
    Status,
}

/// One flag per setting, taken as text: [`settings::load`](crate::settings::load) checks them
/// together with the other places that settings come from.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SettingFlags(BTreeMap<String, String>);

impl SettingFlags {
    /// The values given, by variable.
    #[must_use]
    pub fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }
}

impl fmt::Debug for SettingFlags {
    /// Names alone: a value may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Args for SettingFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(VARIABLES.iter().map(flag))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for variable in &VARIABLES {
            if let Some(text) = matches.get_one::<String>(variable.name) {
                self.0.insert(variable.name.to_owned(), text.clone());
            }
        }
        Ok(())
    }
}

fn flag(variable: &Variable) -> Arg {
    let Variable { name, meaning, .. } = variable;
    Arg::new(*name)
        .long(variable.flag)
        .value_name("VALUE")
        .global(true)
        .help_heading(SETTINGS_HEADING)
        .hide_short_help(true)
        .help(format!("{name}: {meaning} [default: {}]", variable.default_told()))
}

#[cfg(test)]
mod tests;
