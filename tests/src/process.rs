//! The program as its own process, as an operator starts it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a process may take for anything a test waits for.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A program in a folder of its own, with nothing of this process's environment and no archive.
#[derive(Debug)]
pub struct Program {
    binary: PathBuf,
    folder: TempDir,
    env: BTreeMap<String, String>,
}

impl Program {
    /// The program at `binary`: `env!("CARGO_BIN_EXE_ohlcv")` in a test.
    #[must_use]
    pub fn new(binary: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // No test reaches outside of the machine.
        let env = BTreeMap::from([("BINANCE_ARCHIVE_BASE_URL".to_owned(), String::new())]);
        Self { binary: PathBuf::from(binary), folder, env }
    }

    /// The same program with a variable in its environment.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The folder it runs in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The command that runs it, with nothing on standard input.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env_clear().envs(&self.env).current_dir(self.folder.path());
        command.stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program starts")
    }

    /// Starts it with an end of its standard output in the caller's hands.
    #[must_use]
    pub fn start_piped(&self, arguments: &[&str]) -> Child {
        let piped = self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        piped.expect("the program starts")
    }

    /// Runs it to its end on a terminal, which `script` of util-linux imitates: 120 columns, 40 lines,
    /// xterm unless its environment says otherwise. Returns what the terminal was sent.
    #[must_use]
    pub fn run_on_terminal(&self, arguments: &[&str]) -> (String, Option<i32>) {
        let quoted = |word: &str| format!("'{}'", word.replace('\'', r"'\''"));
        let binary = self.binary.to_str().expect("a path in UTF-8");
        let words: Vec<String> =
            std::iter::once(binary).chain(arguments.iter().copied()).map(quoted).collect();
        let line = format!("stty cols 120 rows 40; exec {}", words.join(" "));
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env_clear();
        // The shell in between finds its programs; the program under test starts none.
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TERM", "xterm-256color");
        command.envs(&self.env).current_dir(self.folder.path()).stdin(Stdio::null());
        let output = command.output().unwrap_or_else(|error| {
            panic!(
                "no terminal can be imitated: `script` of util-linux is missing (Debian: bsdutils)? {error}"
            )
        });
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
    }

    /// Starts it and leaves it running.
    #[must_use]
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self
            .command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = child.stderr.take().expect("standard error was asked for");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // The test may have heard enough.
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Running { child, lines, heard: Vec::new() }
    }
}

/// A running program; it is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    heard: Vec<String>,
}

impl Running {
    /// Where its API is, once it says so.
    pub fn url(&mut self) -> String {
        self.address_after("listening on ")
    }

    /// Where the metrics of a scheduler alone are, without their path, once it says so.
    pub fn metrics_url(&mut self) -> String {
        self.address_after("metrics on ").trim_end_matches("/metrics").to_owned()
    }

    fn address_after(&mut self, text: &str) -> String {
        let line = self.wait_for(text);
        let from = line.find("http://").expect("an address");
        line[from..].split([',', ' ']).next().expect("an address").to_owned()
    }

    /// Waits for a line on standard error that contains `text`.
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.heard.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no \"{text}\" within {WAIT_MAX:?}: {:#?}", self.heard)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended without \"{text}\": {:#?}", self.heard)
                }
            }
        }
    }

    /// Sends a signal by its name, as in `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill can be run").success(), "the process is there");
    }

    /// The most memory it has held so far, in KiB.
    #[must_use]
    pub fn memory_peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    /// The memory it holds now, in KiB.
    #[must_use]
    pub fn memory_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    fn status_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the process is there");
        let size = status.lines().find_map(|line| line.strip_prefix(name)).expect("its memory is told");
        size.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
    }

    /// Waits for its end; returns the exit status, none if a signal ended it.
    pub fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end: {:#?}", self.heard());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Everything it has said on standard error so far.
    pub fn heard(&mut self) -> &[String] {
        self.heard.extend(self.lines.try_iter());
        &self.heard
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both outputs of an ended program, as text.
#[must_use]
pub fn said(output: &Output) -> String {
    let mut text = String::new();
    for mut stream in [output.stdout.as_slice(), output.stderr.as_slice()] {
        stream.read_to_string(&mut text).expect("the program speaks UTF-8");
    }
    text
}
