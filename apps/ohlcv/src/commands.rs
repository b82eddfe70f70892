//! One module per command, and what their ends mean to the shell.

mod backfill;
mod demo;
mod migrate;
mod openapi;
mod service;

use std::process::ExitCode;
use std::sync::Arc;

use ohlcv_usecases::{Progress, ProgressSink};

use crate::cli::{Cli, Command};
use crate::console::Console;
use crate::lifecycle::{Lifecycle, Signal};
use crate::settings::{self, SettingsError, Sources};
use crate::telemetry;
use crate::wiring::{Outside, Refused};
use service::Parts;

/// Something failed; the rest was still done.
const FAILED: u8 = 1;
/// The command line or a setting is wrong.
const USAGE: u8 = 2;

/// How a command ended.
#[derive(Debug)]
enum End {
    /// It did all it should.
    Done,
    /// Part of it failed, which it has told already.
    PartlyFailed,
    /// A signal interrupted it; run again, it goes on.
    Interrupted(Signal),
}

/// Runs a command to its end and says what to tell the shell.
pub async fn execute(cli: Cli) -> ExitCode {
    match dispatch(cli).await {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::PartlyFailed) => ExitCode::from(FAILED),
        Ok(End::Interrupted(signal)) => {
            eprintln!("ohlcv: interrupted; what was fetched is stored, run it again to go on");
            ExitCode::from(signal.exit_code())
        }
        Err(error) => {
            eprintln!("ohlcv: {error:#}");
            let usage = error.is::<SettingsError>() || error.is::<Refused>();
            ExitCode::from(if usage { USAGE } else { FAILED })
        }
    }
}

async fn dispatch(cli: Cli) -> anyhow::Result<End> {
    let command = cli.command.unwrap_or_default();
    let mut flags = cli.settings.into_map();
    if command == Command::Openapi {
        return openapi::execute();
    }
    let throw_away = match command {
        Command::Demo => Some(demo::database(&mut flags)?),
        _ => None,
    };
    let settings = settings::load(Sources::from_process(flags))?;
    let console = match command {
        Command::Backfill(_) => Console::for_command(),
        _ => Console::for_service(),
    };
    telemetry::init(&settings.log_level, settings.log_format, &console)?;
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
        Command::Migrate { action } => migrate::execute(&settings, action).await,
        Command::Openapi => openapi::execute(),
    };
    // Only now: the service is done with its database.
    drop(throw_away);
    end
}

/// Shows the progress of use-cases on a console.
fn progress(console: &Console) -> ProgressSink {
    let console = console.clone();
    Arc::new(move |Progress { asset, done, expected }| console.advanced(asset, done, expected))
}
