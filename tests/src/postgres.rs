//! PostgreSQL servers of the tests' own: one for the whole run, and such as a test stops and starts.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long the server may take to be ready.
const START_TIME_MAX: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Many tests run at once, each with pools of its own.
const CONNECTIONS_MAX: u32 = 500;

/// Makes a cluster if there is none, runs it, and ends it when the test process ends, however it ends:
/// its standard input closes then.
const KEEPER: &str = r#"
[ -d "$2/data" ] || "$1/initdb" -D "$2/data" -A trust -U ohlcv --no-sync --no-locale -E UTF8 >"$2/initdb.log" 2>&1 || exit 1
"$1/postgres" -D "$2/data" -p "$3" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c max_connections="$4" -c fsync=off -c synchronous_commit=off -c full_page_writes=off >"$2/server.log" 2>&1 &
server=$!
echo started
read -r _ || true
kill -INT "$server"
wait "$server"
[ "$5" = kept ] || rm -rf "$2"
"#;

#[derive(Debug)]
struct Server {
    url: String,
    // Closing it stops the server.
    _keeper: Option<(Child, ChildStdin)>,
}

static SERVER: OnceLock<Server> = OnceLock::new();

/// The URL of the server: `TEST_DATABASE_URL`, or that of a throw-away one, started at the first call.
pub(crate) async fn server_url() -> String {
    let started = tokio::task::spawn_blocking(|| SERVER.get_or_init(start).url.clone());
    started.await.expect("the PostgreSQL server starts")
}

fn start() -> Server {
    if let Ok(url) = std::env::var("TEST_DATABASE_URL") {
        return Server { url, _keeper: None };
    }
    let (folder, port) = (new_folder(), free_port());
    let keeper = keep(&folder, port, "dropped");
    Server { url: url(port), _keeper: Some(keeper) }
}

/// A server that a test stops and starts again, with a cluster of its own.
#[derive(Debug)]
pub struct OwnServer {
    folder: PathBuf,
    port: u16,
    keeper: Option<(Child, ChildStdin)>,
}

impl OwnServer {
    /// A server that runs.
    pub async fn start() -> Self {
        let mut server = Self { folder: new_folder(), port: free_port(), keeper: None };
        server.start_again().await;
        server
    }

    /// The URL of its database.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Ends it as an operator would who does not wait for clients.
    pub async fn stop(&mut self) {
        let keeper = self.keeper.take();
        tokio::task::spawn_blocking(move || end(keeper)).await.expect("the server ends");
    }

    /// Runs it again, where it was.
    pub async fn start_again(&mut self) {
        let (folder, port) = (self.folder.clone(), self.port);
        let started = tokio::task::spawn_blocking(move || keep(&folder, port, "kept"));
        self.keeper = Some(started.await.expect("the server starts"));
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        end(self.keeper.take());
        // What is left is in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn end(keeper: Option<(Child, ChildStdin)>) {
    if let Some((mut keeper, stdin)) = keeper {
        drop(stdin);
        keeper.wait().expect("the shell ends");
    }
}

fn url(port: u16) -> String {
    format!("postgresql://ohlcv@127.0.0.1:{port}/postgres")
}

/// A folder that belongs to whom the server is to run as.
fn new_folder() -> PathBuf {
    let folder = tempfile::tempdir().expect("a temporary folder").keep();
    if let Some((user, group)) = server_user() {
        chown(&folder, Some(user), Some(group)).expect("root may give a folder away");
    }
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).expect("the folder is ours");
    folder
}

/// Starts the keeper of a server, and waits until that is ready.
fn keep(folder: &Path, port: u16, afterwards: &str) -> (Child, ChildStdin) {
    let programs = programs();
    let mut keeper = Command::new("sh");
    keeper.args(["-c", KEEPER, "keeper"]).args([programs.as_path(), folder]);
    keeper.args([port.to_string(), CONNECTIONS_MAX.to_string(), afterwards.to_owned()]);
    if let Some((user, group)) = server_user() {
        // The server refuses to run as root.
        keeper.uid(user).gid(group).current_dir("/");
    }
    keeper.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut keeper = keeper.spawn().expect("a shell can be started");
    let stdin = keeper.stdin.take().expect("standard input was asked for");
    let mut started = String::new();
    let stdout = keeper.stdout.take().expect("standard output was asked for");
    BufReader::new(stdout).read_line(&mut started).expect("the shell speaks");
    assert_eq!(started.trim(), "started", "initdb failed: {}", log(folder, "initdb.log"));
    wait_until_ready(&programs, port, folder);
    (keeper, stdin)
}

/// The folder with the server's programs.
fn programs() -> PathBuf {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect())
        .unwrap_or_default();
    versions.sort();
    versions.reverse();
    // A wrapper on the PATH may lack the programs beside it, so complete folders only.
    folders.splice(0..0, versions);
    let complete = |folder: &PathBuf| {
        ["initdb", "postgres", "pg_isready"].iter().all(|name| folder.join(name).is_file())
    };
    folders.into_iter().find(complete).unwrap_or_else(|| {
        panic!(
            "no PostgreSQL server is installed: run tests/run, which installs it \
             (or: apt-get install postgresql), or set TEST_DATABASE_URL, \
             or test without it: cargo test --workspace --no-default-features"
        )
    })
}

/// Whom the server is to run as, if this is root: `postgres`, else `nobody`.
fn server_user() -> Option<(u32, u32)> {
    let this = fs::metadata("/proc/self").map(|process| process.uid()).unwrap_or(0);
    if this != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd can be read");
    let id_of = |wanted: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(wanted))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(id_of("postgres").or_else(|| id_of("nobody")).expect("a user other than root"))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

fn wait_until_ready(programs: &Path, port: u16, folder: &Path) {
    let started = Instant::now();
    while started.elapsed() < START_TIME_MAX {
        let mut probe = Command::new(programs.join("pg_isready"));
        probe.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
        if probe.status().is_ok_and(|status| status.success()) {
            return;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    panic!("PostgreSQL is not ready after {START_TIME_MAX:?}: {}", log(folder, "server.log"));
}

fn log(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_default()
}
