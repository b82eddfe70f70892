//! One module per command, and what their ends mean to the shell.

mod assets;
mod backfill;
mod candles;
mod completions;
mod demo;
mod export;
mod healthcheck;
mod import;
mod migrate;
mod openapi;
mod service;
mod table;
mod verify;
mod watch;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use ohlcv_domain::Asset;
use ohlcv_usecases::{Progress, ProgressSink};

use crate::cli::{Cli, Command};
use crate::console::Console;
use crate::lifecycle::{Lifecycle, Signal};
use crate::lookalike;
use crate::settings::{self, SettingsError, Sources, mistyped_in_dotenv};
use crate::telemetry;
use crate::wiring::{App, Outside, Refused};
use service::Parts;

/// Something failed; the rest was still done.
const FAILED: u8 = 1;
/// The command line or a setting is wrong.
const USAGE: u8 = 2;
/// How many names of assets an error lists.
const NAMES_MAX: usize = 10;

/// How a command ended.
#[derive(Debug)]
enum End {
    /// It did all it should.
    Done,
    /// Part of it failed, which it has told already.
    PartlyFailed,
    /// A signal interrupted it; run again, it goes on.
    Interrupted(Signal),
    /// A signal ended it, and what it was making is not whole.
    Abandoned(Signal),
}

/// Runs a command to its end and says what to tell the shell.
pub async fn execute(cli: Cli) -> ExitCode {
    match dispatch(cli).await {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::PartlyFailed) => ExitCode::from(FAILED),
        Ok(End::Interrupted(signal)) => {
            complain("interrupted; what was done is kept, run it again to go on");
            ExitCode::from(signal.exit_code())
        }
        Ok(End::Abandoned(signal)) => {
            complain("interrupted before the end; a file is written whole or not at all");
            ExitCode::from(signal.exit_code())
        }
        Err(error) => {
            complain(&told(&error));
            let usage = error.is::<SettingsError>() || error.is::<Refused>();
            ExitCode::from(if usage { USAGE } else { FAILED })
        }
    }
}

/// An error and its causes, each once: many a message holds the one beneath already.
fn told(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| match cause.to_string() {
        cause if told.contains(&cause) => told,
        cause if told.is_empty() => cause,
        cause => format!("{told}: {cause}"),
    })
}

/// Says on standard error why the program ends.
fn complain(text: &str) {
    // With standard error closed there is nobody left to tell.
    let _ = write_line(&mut io::stderr(), &format!("ohlcv: {text}"));
}

/// Writes a line on standard output.
fn say(text: &str) -> io::Result<()> {
    write_line(&mut io::stdout(), text)
}

/// Writes on standard output; tells whether somebody still reads.
fn print(bytes: &[u8]) -> io::Result<bool> {
    write_to(&mut io::stdout(), bytes)
}

fn write_line(to: &mut dyn Write, text: &str) -> io::Result<()> {
    write_to(to, format!("{text}\n").as_bytes()).map(drop)
}

fn write_to(to: &mut dyn Write, bytes: &[u8]) -> io::Result<bool> {
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Ok(()) => Ok(true),
        // A reader that has seen enough, such as `head`, is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// What somebody is told who asked for an asset of which there is nothing.
async fn unknown_asset(app: &App, asset: Asset) -> anyhow::Error {
    let known = match app.list_assets().run().await {
        Ok(listed) => listed.into_iter().map(|known| known.asset).collect(),
        Err(_) => app.settings.tracked_assets.clone(),
    };
    let hint = match lookalike::meant(asset, app.settings.quote_asset, &known) {
        Some(meant) => format!("is {meant} meant?"),
        None => {
            let names: Vec<&str> = known.iter().take(NAMES_MAX).map(Asset::as_str).collect();
            let more = if known.len() > NAMES_MAX { ", …" } else { "" };
            format!("there is {}{more}", names.join(", "))
        }
    };
    anyhow::anyhow!("{asset} is not tracked and nothing is stored of it: {hint}")
}

async fn dispatch(cli: Cli) -> anyhow::Result<End> {
    let command = cli.command.unwrap_or_default();
    let mut flags = cli.settings.into_map();
    match command {
        Command::Openapi => return openapi::execute(),
        Command::Completions { shell } => return completions::execute(shell),
        _ => {}
    }
    let throw_away = match command {
        Command::Demo => Some(demo::database(&mut flags)?),
        _ => None,
    };
    let sources = Sources::from_process(flags);
    let dir = sources.dir.clone();
    let settings = settings::load(sources)?;
    if command == Command::Healthcheck {
        return healthcheck::execute(&settings).await;
    }
    let console = match command {
        Command::Backfill(_)
        | Command::Verify(_)
        | Command::Assets(_)
        | Command::Candles(_)
        | Command::Export(_)
        | Command::Import(_) => Console::for_command(),
        _ => Console::for_service(),
    };
    telemetry::init(&settings.log_level, settings.log_format, &console)?;
    warn_of_mistyped_settings(&dir);
    match &command {
        // They only read, so a signal may end them at any moment.
        Command::Assets(wanted) => return assets::execute(settings, wanted).await,
        Command::Candles(wanted) => return candles::execute(settings, wanted).await,
        _ => {}
    }
    let lifecycle = Lifecycle::new()?;
    let outside = match command {
        Command::Demo => Outside::simulated(),
        _ => Outside::real(&settings)?,
    };
    let end = match command {
        Command::Run | Command::Demo => {
            service::execute(settings, outside, Parts::ALL, lifecycle, console).await
        }
        Command::Serve => service::execute(settings, outside, Parts::API, lifecycle, console).await,
        Command::Schedule => service::execute(settings, outside, Parts::SCHEDULER, lifecycle, console).await,
        Command::Backfill(wanted) => backfill::execute(settings, outside, &wanted, lifecycle, console).await,
        Command::Verify(wanted) => verify::execute(settings, outside, &wanted, lifecycle, console).await,
        Command::Export(wanted) => export::execute(settings, outside, &wanted, lifecycle, console).await,
        Command::Import(wanted) => import::execute(settings, outside, &wanted, lifecycle, console).await,
        Command::Migrate { action } => migrate::execute(&settings, action, &lifecycle).await,
        // Run above.
        Command::Assets(_)
        | Command::Candles(_)
        | Command::Completions { .. }
        | Command::Healthcheck
        | Command::Openapi => Ok(End::Done),
    };
    // Only now: the service is done with its database.
    drop(throw_away);
    end
}

fn warn_of_mistyped_settings(dir: &Path) {
    for (name, known) in mistyped_in_dotenv(dir) {
        tracing::warn!("{name} in .env is no setting of this program; is {known} meant?");
    }
}

/// Shows the progress of use-cases on a console.
fn progress(console: &Console) -> ProgressSink {
    let console = console.clone();
    Arc::new(move |Progress { asset, done, expected }| console.advanced(asset, done, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct ClosedPipe;

    impl Write for ClosedPipe {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        assert!(write_line(&mut ClosedPipe, "a line").is_ok());
        let mut full: &mut [u8] = &mut [0; 3];
        assert!(write_line(&mut full, "a line").is_err());
    }

    #[test]
    fn a_cause_that_a_message_holds_already_is_not_told_again() {
        let error = anyhow::anyhow!("disk full").context("cannot write: disk full").context("no page stored");
        assert_eq!(told(&error), "no page stored: cannot write: disk full");
    }
}
