//! Python with the packages that answers are read with.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names another Python than the one that `tests/run` makes.
const VARIABLE: &str = "OHLCV_TEST_PYTHON";

/// Runs a script of `tests/python` to its end, and returns what it printed.
///
/// # Panics
/// If there is no such Python, or the script fails: then with what it said.
#[must_use]
pub fn run_python(script: &str, arguments: &[&str]) -> String {
    run_python_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script), arguments)
}

/// Runs any other script in the same way.
///
/// # Panics
/// As [`run_python`] does.
#[must_use]
pub fn run_python_file(script: &Path, arguments: &[&str]) -> String {
    let made = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python");
    let python = std::env::var_os(VARIABLE).map_or_else(made, PathBuf::from);
    assert!(
        python.exists(),
        "no Python at {}: run tests/run --features ohlcv-tests/python, or set {VARIABLE} to one that has the \
         packages of tests/python/requirements.txt",
        python.display()
    );
    let mut command = Command::new(&python);
    // Nothing of the machine's own packages, and no files beside the scripts.
    command.args(["-I", "-B"]).arg(script).args(arguments).stdin(Stdio::null());
    let done = command.output().expect("Python starts");
    let (said, failed) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{} {arguments:?} fails:\n{said}\n{failed}", script.display());
    said.into_owned()
}
