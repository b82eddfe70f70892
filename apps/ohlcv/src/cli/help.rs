//! What `--help` teaches: commands in groups, examples, exit statuses.

use std::fmt::Write;

use clap::Command;
use clap::builder::{StyledStr, Styles};

/// The commands, in the order in which somebody gets to know them.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Start here", &["demo", "run"]),
    ("Look at what is stored", &["candles", "assets"]),
    ("Fetch and check", &["backfill", "verify"]),
    ("Bring in and take out", &["export", "import"]),
    ("Operate", &["serve", "schedule", "migrate", "healthcheck"]),
    ("For other programs", &["openapi", "completions"]),
];
/// Where a command stands that is in none of the groups.
const OTHERS: &str = "More";

/// How help is laid out: examples before the options, or the long list of settings would hide them.
const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}{after-help}\n\n{all-args}";

pub(super) const PROGRAM: &str = "\
Examples:
  ohlcv demo
      everything against a simulated exchange: no network, nothing kept
  ohlcv --tracked-assets BTC,ETH --candle-interval 1h
      fetch, store and serve two assets, in ohlcv.db
  ohlcv candles BTC --since 7d
      look at the candles of a week

`ohlcv help COMMAND` has examples of each command. Settings come from built-in defaults,
ohlcv.toml, .env, the environment and flags; the later one counts. `ohlcv --help` lists them all.";

pub(super) const PROGRAM_EXITS: &str = "\
Exit status:
  0         done
  1         something failed; the rest was still done
  2         the command line or a setting is wrong
  130, 143  interrupted by SIGINT or SIGTERM; run it again to go on";

pub(super) const RUN: &str = "\
Examples:
  ohlcv run
      keep the tracked assets up to date and serve them at http://127.0.0.1:8000
  ohlcv --tracked-assets BTC,ETH --candle-interval 1h
      the same with other settings; `run` may be left out
  DATABASE_URL=postgresql://me:secret@db/candles ohlcv run
      on PostgreSQL

Exit status:
  0  stopped by SIGINT or SIGTERM
  1  it cannot go on, as without a free port or a database
  2  the command line or a setting is wrong, or the database belongs to other settings";

pub(super) const SERVE: &str = "\
Examples:
  ohlcv serve --listen-address 0.0.0.0:8000
      serve what is stored to every network; another process fetches
  ohlcv serve --database-url postgresql://reader@db/candles --auto-migrate false
      one of several on a shared database, whose schema somebody else brings up

Exit status:
  0  stopped by SIGINT or SIGTERM
  1  it cannot go on, as without a free port or a database
  2  the command line or a setting is wrong, or a migration is pending";

pub(super) const SCHEDULE: &str = "\
Examples:
  ohlcv schedule
      catch up after candle closes and work on jobs, beside any number of `ohlcv serve`
  ohlcv schedule --metrics-listen-address 127.0.0.1:9000
      the same, with its metrics and probes

Exit status:
  0  stopped by SIGINT or SIGTERM
  1  it cannot go on, as without a database
  2  the command line or a setting is wrong, or a migration is pending";

pub(super) const BACKFILL: &str = "\
Examples:
  ohlcv backfill
      fetch what is missing of all tracked assets
  ohlcv backfill --asset BTC,ETH --days 30
      of two assets, and of the last 30 days alone
  ohlcv backfill --asset BTC --force
      ask for everything again, and take over what the exchange has changed

Exit status:
  0         all that could be had is stored
  1         an asset failed; the others were done
  2         the command line or a setting is wrong
  130, 143  interrupted by SIGINT or SIGTERM; run it again to go on";

pub(super) const VERIFY: &str = "\
Examples:
  ohlcv verify
      compare every stored candle with the exchange; changes nothing
  ohlcv verify --asset BTC --start 2024-01-01 --end 2025-01-01
      one year of one asset
  ohlcv verify --repair --json > report.json
      fetch what is missing or differs, and report for machines

Exit status:
  0         everything is right
  1         something is wrong, mended or not, or could not be looked at
  2         the command line or a setting is wrong
  130, 143  interrupted by SIGINT or SIGTERM";

pub(super) const ASSETS: &str = "\
Examples:
  ohlcv assets
      what is stored of every asset, and how it stands
  ohlcv assets --json
      the same as GET /api/v1/assets answers it

Reads the database alone, also while a service runs on it, and changes nothing.

Exit status:
  0  done
  1  the database cannot be read
  2  the command line or a setting is wrong, or there is no such database";

pub(super) const CANDLES: &str = "\
Examples:
  ohlcv candles BTC --since 7d
      the candles of a week
  ohlcv candles BTC --since 2024-01-01 --end 2025-01-01 --interval 1w --fill
      a year week by week, with a row for weeks without a candle
  ohlcv candles BTC --csv > btc.csv
      everything, for a spreadsheet

Times are RFC 3339 (2024-11-01T12:00:00Z), dates (2024-11-01: midnight UTC) or milliseconds since
1970. --since also takes how long ago: 90m, 24h, 7d, 4w. The end is exclusive.
Reads the database alone, also while a service runs on it, and changes nothing.

Exit status:
  0  done, also if no candle opens in the range
  1  the asset is unknown, or the database cannot be read
  2  the command line or a setting is wrong, or there is no such database";

pub(super) const EXPORT: &str = "\
Examples:
  ohlcv export --asset BTC --output btc.csv
      all stored candles of one asset, for a spreadsheet or for `ohlcv import`
  ohlcv export --format arrow --output candles.arrow
      of all assets, for pandas and polars
  ohlcv export --start 2024-01-01 --end 2025-01-01 > 2024.csv
      one year, to standard output

Reads the database alone, also while a service runs on it. A file is written whole or not at all.

Exit status:
  0         done
  1         the database cannot be read, or the output cannot be written
  2         the command line or a setting is wrong, or there is no such database
  130, 143  interrupted by SIGINT or SIGTERM: a file was not made; of a folder, the files that were
            whole stay, and with --force it is run again";

pub(super) const IMPORT: &str = "\
Examples:
  ohlcv import btc.csv
      store what an export holds; what is stored already stays
  ohlcv import btc.csv --dry-run
      say what would be stored and what refused; changes nothing. The database has to be there, and
      each file is compared with what is stored now, not with the files before it
  ohlcv import btc.csv --replace
      also take over what differs from what is stored

Exit status:
  0         all rows are stored
  1         rows were refused or could not be read, which is told; the others are stored
  2         the command line or a setting is wrong, a file was refused as a whole, or there is no such
            database for a dry run
  130, 143  interrupted by SIGINT or SIGTERM; run it again to go on";

pub(super) const MIGRATE: &str = "\
Examples:
  ohlcv migrate status
      what is applied and what is pending; changes nothing
  ohlcv migrate
      bring the schema up, as every start does unless AUTO_MIGRATE is false

Exit status:
  0         done
  1         the database cannot be reached, or refuses
  2         the command line or a setting is wrong
  130, 143  interrupted by SIGINT or SIGTERM; nothing was changed";

pub(super) const HEALTHCHECK: &str = "\
Examples:
  ohlcv healthcheck
      ask the service at LISTEN_ADDRESS, or at METRICS_LISTEN_ADDRESS if that is set
  ohlcv healthcheck --listen-address 127.0.0.1:9001
      ask another one of this machine

Exit status:
  0  the service is up
  1  it is not
  2  the command line or a setting is wrong";

pub(super) const OPENAPI: &str = "\
Examples:
  ohlcv openapi > openapi.json
      for generators of clients

Exit status:
  0  done";

pub(super) const DEMO: &str = "\
Examples:
  ohlcv demo
      then look at http://127.0.0.1:8000/docs
  ohlcv demo --listen-address 127.0.0.1:9001 --candle-interval 1h
      elsewhere, with other candles

Exit status:
  0  stopped by SIGINT or SIGTERM
  1  it cannot go on, as without a free port
  2  the command line or a setting is wrong";

pub(super) const COMPLETIONS: &str = "\
Examples:
  ohlcv completions bash > ~/.local/share/bash-completion/completions/ohlcv
      for bash, from the next shell on
  ohlcv completions zsh > ~/.zfunc/_ohlcv
      for zsh, if ~/.zfunc is in $fpath
  ohlcv completions fish > ~/.config/fish/completions/ohlcv.fish
      for fish

Exit status:
  0  done
  2  the shell is not known";

/// The program's command line with its help laid out.
pub(super) fn laid_out(program: Command) -> Command {
    let styles = program.get_styles().clone();
    let overview = overview(&program, &styles);
    let with_headings = |text: Option<&StyledStr>| {
        let text = text.map(|text| headed(&text.to_string(), &styles)).unwrap_or_default();
        StyledStr::from(text)
    };
    let short = with_headings(program.get_after_help());
    let long = with_headings(program.get_after_long_help());
    let template = TEMPLATE.replace("{usage}", &format!("{{usage}}\n\n{overview}"));
    program
        .help_template(template)
        .after_help(short)
        .after_long_help(long)
        // Without it usage would pass over commands, all of which are hidden: the overview has them.
        .override_usage("ohlcv [OPTIONS] [COMMAND]")
        .mut_subcommands(|command| {
            let help = with_headings(command.get_after_help());
            command.help_template(TEMPLATE).after_help(help).hide(true)
        })
}

/// All commands with a line each, in groups.
fn overview(program: &Command, styles: &Styles) -> String {
    let is_grouped = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let names: Vec<&str> = program.get_subcommands().map(Command::get_name).collect();
    let others: Vec<&str> = names.iter().copied().filter(|name| !is_grouped(name)).collect();
    let widest = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (title, names) in GROUPS.into_iter().chain([(OTHERS, others.as_slice())]) {
        let commands = names.iter().filter_map(|name| program.find_subcommand(name));
        let commands: Vec<&Command> = commands.collect();
        if commands.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{title}:");
        for command in commands {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let (literal, name) = (styles.get_literal(), command.get_name());
            let _ = writeln!(
                text,
                "  {literal}{name}{literal:#}{:blanks$}{about}",
                "",
                blanks = widest + 2 - name.len()
            );
        }
        text.push('\n');
    }
    headed(text.trim_end(), styles)
}

/// A text whose headings look like those that clap writes.
fn headed(text: &str, styles: &Styles) -> String {
    let header = styles.get_header();
    let is_heading = |line: &str| line.ends_with(':') && !line.starts_with(' ');
    let line =
        |line: &str| if is_heading(line) { format!("{header}{line}{header:#}") } else { line.to_owned() };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}
