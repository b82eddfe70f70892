//! `ohlcv completions`: what a shell needs to complete commands and flags.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::{End, print};
use crate::cli::Cli;

pub(super) fn execute(shell: Shell) -> anyhow::Result<End> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "ohlcv", &mut script);
    print(&script)?;
    Ok(End::Done)
}
