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
    /// Change no candle, but say what would be done
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
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn no_command_means_run() {
        assert_eq!(parse("ohlcv").unwrap().command.unwrap_or_default(), Command::Run);
        assert_eq!(parse("ohlcv --log-level debug").unwrap().command, None);
    }

    #[test]
    fn settings_are_flags_before_and_behind_the_command() {
        for line in ["ohlcv --log-level debug serve", "ohlcv serve --log-level debug"] {
            let cli = parse(line).unwrap();
            assert_eq!(cli.command, Some(Command::Serve));
            let flags = cli.settings.into_map();
            assert_eq!(
                flags.into_iter().collect::<Vec<_>>(),
                [("LOG_LEVEL".into(), "debug".into())],
                "{line}"
            );
        }
    }

    #[test]
    fn flags_are_named_after_their_variables() {
        for variable in &VARIABLES {
            assert_eq!(variable.flag, variable.name.to_ascii_lowercase().replace('_', "-"));
        }
    }

    #[test]
    fn help_lists_every_setting_with_its_default() {
        let help = command().term_width(0).render_long_help().to_string();
        let (_, settings) = help.split_once("\nSettings:\n").unwrap();
        for variable in &VARIABLES {
            assert!(settings.contains(&format!("--{} <VALUE>", variable.flag)), "{}", variable.flag);
            assert!(
                settings.contains(&format!("{}: {}", variable.name, variable.meaning)),
                "{}",
                variable.name
            );
            assert!(
                settings.contains(&format!("[default: {}]", variable.default_told())),
                "{}",
                variable.name
            );
        }
    }

    #[test]
    fn backfill_takes_assets_repeated_or_in_a_list() {
        let cli = parse("ohlcv backfill --force --asset btc --asset ETH,SOL --asset BTC --days 30").unwrap();
        let Some(Command::Backfill(args)) = cli.command else { panic!("{cli:?}") };
        assert_eq!(args.assets().iter().map(Asset::as_str).collect::<Vec<_>>(), ["BTC", "ETH", "SOL"]);
        assert!(args.force);
        assert_eq!(args.days, Some(30));
        assert_eq!(
            parse("ohlcv backfill").unwrap().command,
            Some(Command::Backfill(BackfillArgs::default()))
        );
    }

    #[test]
    fn verify_takes_times_as_the_api_does() {
        for start in ["2024-11-01T00:00:00Z", "2024-11-01T02:00:00+02:00", "1730419200000"] {
            let cli = parse(&format!("ohlcv verify --asset btc --start {start} --json")).unwrap();
            let Some(Command::Verify(args)) = cli.command else { panic!("{cli:?}") };
            assert_eq!(args.start.map(Timestamp::millis), Some(1_730_419_200_000), "{start}");
            assert_eq!((args.assets().len(), args.end, args.repair, args.json), (1, None, false, true));
        }
    }

    #[test]
    fn export_and_import_say_where_from_and_where_to() {
        let cli = parse("ohlcv export --asset btc,ETH --end 1730419200000 -o out --format arrow").unwrap();
        let Some(Command::Export(args)) = cli.command else { panic!("{cli:?}") };
        assert_eq!((args.assets().len(), args.output.as_path()), (2, "out".as_ref()));
        assert_eq!((args.format, args.force), (Some(TableFormat::Arrow), false));
        let cli = parse("ohlcv import a.csv - --asset btc --dry-run").unwrap();
        let Some(Command::Import(args)) = cli.command else { panic!("{cli:?}") };
        assert_eq!((args.files.len(), args.dry_run, args.replace, args.json), (2, true, false, false));
    }

    #[test]
    fn migrate_brings_up_unless_told_otherwise() {
        let action = |line| match parse(line).unwrap().command {
            Some(Command::Migrate { action }) => action,
            other => panic!("{other:?}"),
        };
        assert_eq!(action("ohlcv migrate"), MigrateAction::Up);
        assert_eq!(action("ohlcv migrate up"), MigrateAction::Up);
        assert_eq!(action("ohlcv migrate status"), MigrateAction::Status);
    }

    #[test]
    fn a_bad_command_line_is_exit_2_and_says_what_is_wrong() {
        let cases = [
            ("ohlcv fetch", "fetch"),
            ("ohlcv backfill --days 0", "1..=36500"),
            ("ohlcv backfill --days 36501", "1..=36500"),
            ("ohlcv backfill --days many", "many"),
            ("ohlcv backfill --asset BTC/USDT", "letters A-Z"),
            ("ohlcv backfill BTC", "BTC"),
            ("ohlcv verify --start yesterday", "2024-11-01T00:00:00Z"),
            ("ohlcv verify --end 99999999999999999", "1 to 9999"),
            ("ohlcv verify --force", "--force"),
            ("ohlcv serve --force", "--force"),
            ("ohlcv import", "FILE"),
            ("ohlcv import a.csv --asset BTC,ETH", "BTC,ETH"),
            ("ohlcv export --format json", "csv, arrow"),
            ("ohlcv migrate down", "up, status"),
            ("ohlcv candles", "<ASSET>"),
            ("ohlcv candles BTC/USDT", "is BTC meant?"),
            ("ohlcv candles BTC --since soon", "90m, 24h, 7d or 4w"),
            ("ohlcv candles BTC --since 7d --start 2024-11-01", "--start"),
            ("ohlcv candles BTC --interval 1H", "1h, 2h"),
            ("ohlcv candles BTC --limit 0", "1..=10000"),
            ("ohlcv candles BTC --csv --json", "--json"),
            ("ohlcv completions tcsh", "bash"),
            ("ohlcv --candel-interval 1h", "--candle-interval"),
            ("ohlcv --log-level", "--log-level"),
            ("ohlcv --log-level info --log-level debug", "--log-level"),
        ];
        for (line, told) in cases {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(told), "{line}: {error}");
        }
    }

    #[test]
    fn a_password_on_the_command_line_is_not_printed() {
        let cli = parse("ohlcv --database-url postgres://u:s3cret@h/db").unwrap();
        assert!(!format!("{cli:?}").contains("s3cret"));
    }
}
