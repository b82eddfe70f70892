//! What the command line takes, and what it says of the rest.

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
        assert_eq!(flags.into_iter().collect::<Vec<_>>(), [("LOG_LEVEL".into(), "debug".into())], "{line}");
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
        assert!(settings.contains(&format!("{}: {}", variable.name, variable.meaning)), "{}", variable.name);
        assert!(settings.contains(&format!("[default: {}]", variable.default_told())), "{}", variable.name);
    }
}

#[test]
fn backfill_takes_assets_repeated_or_in_a_list() {
    let cli = parse("ohlcv backfill --force --asset btc --asset ETH,SOL --asset BTC --days 30").unwrap();
    let Some(Command::Backfill(args)) = cli.command else { panic!("{cli:?}") };
    assert_eq!(args.assets().iter().map(Asset::as_str).collect::<Vec<_>>(), ["BTC", "ETH", "SOL"]);
    assert!(args.force);
    assert_eq!(args.days, Some(30));
    assert_eq!(parse("ohlcv backfill").unwrap().command, Some(Command::Backfill(BackfillArgs::default())));
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
