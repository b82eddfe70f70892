//! Colours: on terminals, and where somebody insists.

use std::io;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};

/// Whether log lines and progress may have colours.
pub(crate) fn on_stderr() -> bool {
    wanted_on(&io::stderr())
}

/// Whether what a command prints may have colours.
pub(crate) fn on_stdout() -> bool {
    wanted_on(&io::stdout())
}

/// As clap decides it for help and errors: `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR`, then whether it is
/// a terminal that is not `dumb`.
fn wanted_on(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}
