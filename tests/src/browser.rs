//! A headless Chromium that a test drives, and what it has to say about the page.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use fantoccini::actions::{
    Actions, InputSource, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction,
};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything that a test waits for may take: two cores draw and build at once.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long the programs may take to start.
const START_MAX: Duration = Duration::from_secs(60);
/// Between two looks at the page.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What has to be installed.
const INSTALL: &str = "install Debian's packages chromium and chromium-driver, or run \
    tests/run --features ohlcv-tests/browser, which does";
/// Notes what the page's security policy forbids, before any script of the page runs.
const NOTE_VIOLATIONS: &str = "window.violations = []; document.addEventListener('securitypolicyviolation', \
    (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));";

/// A browser with a profile of its own; it is gone when this is dropped.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    /// Where the driver takes commands that only this browser knows.
    session: String,
    http: reqwest::Client,
    programs: Programs,
}

/// Both programs and their folder.
#[derive(Debug)]
struct Programs {
    driver: Child,
    profile: TempDir,
}

/// What the browser has noted.
#[derive(Debug)]
pub struct Noted {
    /// Errors and warnings on its console, whatever they come from.
    pub complaints: Vec<String>,
    /// Where it has asked for anything.
    pub requests: Vec<String>,
    /// What the security policy of the page has forbidden.
    pub violations: Value,
}

impl Browser {
    /// Starts one whose window has so many pixels.
    ///
    /// # Panics
    /// If there is no Chromium; then it says what to install.
    pub async fn start(width: u32, height: u32) -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let (programs, url) = Programs::start(profile);
        let folder = programs.profile.path().display();
        let capabilities = json!({
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": {
                "binary": program("chromium"),
                "args": [
                    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
                    "--disable-background-networking", "--disable-component-update", "--disable-sync",
                    "--hide-scrollbars", "--force-device-scale-factor=1", "--lang=en-US",
                    format!("--user-data-dir={folder}/profile"), format!("--window-size={width},{height}"),
                ],
            },
        });
        let capabilities = capabilities.as_object().expect("an object").clone();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let connecting = builder.capabilities(capabilities);
        let client = tokio::time::timeout(START_MAX, connecting.connect(&url)).await;
        let client = client.expect("Chromium starts in time").expect("Chromium starts");
        let id = client.session_id().await.expect("the driver answers").expect("a session has a name");
        let http = crate::http_client_builder().timeout(WAIT_MAX).build().expect("a client");
        let browser = Self { client, session: format!("{url}/session/{id}"), http, programs };
        browser.cdp("Page.addScriptToEvaluateOnNewDocument", json!({"source": NOTE_VIOLATIONS})).await;
        browser.resize(width, height).await;
        // What the browser shows of its own when it starts is no matter of tests.
        browser.open("about:blank").await;
        let _ = browser.noted().await;
        browser
    }

    /// Makes the page so many pixels wide and high; below 500 as a phone does.
    pub async fn resize(&self, width: u32, height: u32) {
        let phone = width < 500;
        let scale = if phone { 2 } else { 1 };
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone});
        self.cdp("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Whether pages are told that their reader prefers dark ones.
    pub async fn prefer_dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.cdp("Emulation.setEmulatedMedia", features).await;
    }

    /// A command of Chromium's own protocol.
    pub async fn cdp(&self, command: &str, parameters: Value) -> Value {
        self.post("goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let request = self.http.post(format!("{}/{path}", self.session)).body(body.to_string());
        let answer =
            request.header("content-type", "application/json").send().await.expect("the driver answers");
        let text = answer.text().await.expect("a whole answer");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        assert!(answer["value"]["error"].is_null(), "{path}: {text}");
        answer["value"].clone()
    }

    /// Opens an address.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.expect("the page loads");
    }

    /// What an expression of JavaScript is.
    pub async fn value(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.client.execute(&script, Vec::new()).await.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The text of the element that a selector finds, as it is shown.
    pub async fn text(&self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({})?.innerText", json!(selector))).await;
        text.as_str().unwrap_or_else(|| panic!("there is no {selector}")).to_owned()
    }

    /// Waits until an expression is true, and returns what it is then.
    pub async fn until(&self, expression: &str) -> Value {
        let started = Instant::now();
        loop {
            let value = self.value(expression).await;
            if !matches!(&value, Value::Null | Value::Bool(false)) && value != json!("") && value != json!(0)
            {
                return value;
            }
            if started.elapsed() > WAIT_MAX {
                self.screenshot("failed").await;
                panic!("not within {WAIT_MAX:?}: {expression}\n{:#?}", self.noted().await);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Presses keys one after the other, each held down with those before it if `together`.
    pub async fn press(&self, keys: &[char], together: bool) {
        let mut actions = KeyActions::new("keyboard".to_owned());
        let down = |value| KeyAction::Down { value };
        let up = |value| KeyAction::Up { value };
        if together {
            actions = keys.iter().fold(actions, |actions, key| actions.then(down(*key)));
            actions = keys.iter().rev().fold(actions, |actions, key| actions.then(up(*key)));
        } else {
            actions = keys.iter().fold(actions, |actions, key| actions.then(down(*key)).then(up(*key)));
        }
        self.client.perform_actions(Actions::from(actions)).await.expect("keys are pressed");
    }

    /// Moves the mouse to a place in the window.
    pub async fn point(&self, (x, y): (f64, f64)) {
        self.mouse(&[moved(x, y)]).await;
    }

    /// Clicks at a place in the window.
    pub async fn click(&self, (x, y): (f64, f64)) {
        self.mouse(&[moved(x, y), down(), up()]).await;
    }

    /// Clicks at the middle of the element that a selector finds.
    pub async fn click_on(&self, selector: &str) {
        let found = json!(selector);
        self.value(&format!("document.querySelector({found}).scrollIntoView({{block: 'center'}})")).await;
        let middle = format!(
            "(({{x, y, width, height}}) => [x + width / 2, y + height / 2])(document.querySelector({found})\
             .getBoundingClientRect())"
        );
        self.click(pair(&self.value(&middle).await)).await;
    }

    /// Drags the mouse from one place to another, with stops on the way as a hand makes.
    pub async fn drag(&self, (from_x, from_y): (f64, f64), (to_x, to_y): (f64, f64)) {
        let part = |part: f64| moved(from_x + (to_x - from_x) * part, from_y + (to_y - from_y) * part);
        self.mouse(&[part(0.0), down(), part(0.3), part(0.7), part(1.0), up()]).await;
    }

    async fn mouse(&self, steps: &[PointerAction]) {
        let mouse = MouseActions::new("mouse".to_owned());
        let mouse = steps.iter().fold(mouse, |mouse, step| mouse.then(step.clone()));
        self.client.perform_actions(Actions::from(mouse)).await.expect("the mouse moves");
    }

    /// Keeps what is in the window as a picture in `target/screenshots`.
    pub async fn screenshot(&self, name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots");
        std::fs::create_dir_all(&folder).expect("a folder for pictures");
        let path = folder.join(format!("{name}.png"));
        let picture = self.client.screenshot().await.expect("a picture");
        std::fs::write(&path, picture).expect("the picture is written");
        path
    }

    /// What the browser has noted since it was last asked.
    pub async fn noted(&self) -> Noted {
        let log = |kind: &'static str| async move {
            let entries = self.post("se/log", json!({"type": kind})).await;
            entries.as_array().expect("a list of entries").clone()
        };
        let told = log("browser").await.into_iter().filter(|entry| entry["level"] != "INFO");
        let mut requests = Vec::new();
        for entry in log("performance").await {
            let message: Value =
                serde_json::from_str(entry["message"].as_str().expect("text")).expect("a message in JSON");
            if message["message"]["method"] == "Network.requestWillBeSent" {
                let url = &message["message"]["params"]["request"]["url"];
                requests.push(url.as_str().expect("an address").to_owned());
            }
        }
        Noted {
            complaints: told.map(|entry| entry["message"].to_string()).collect(),
            requests,
            violations: self.value("window.violations").await,
        }
    }

    /// Ends it.
    pub async fn close(self) {
        let Self { client, programs, .. } = self;
        client.close().await.expect("Chromium ends");
        drop(programs);
    }
}

/// Two numbers in a list.
#[must_use]
pub fn pair(value: &Value) -> (f64, f64) {
    let number = |at: usize| value[at].as_f64().unwrap_or_else(|| panic!("no two numbers: {value}"));
    (number(0), number(1))
}

fn moved(x: f64, y: f64) -> PointerAction {
    PointerAction::MoveTo { duration: Some(Duration::from_millis(30)), x, y }
}

fn down() -> PointerAction {
    PointerAction::Down { button: MOUSE_BUTTON_LEFT }
}

fn up() -> PointerAction {
    PointerAction::Up { button: MOUSE_BUTTON_LEFT }
}

/// Where a program is.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no {name} on this machine: {INSTALL}"))
}

impl Programs {
    /// Starts the driver, and returns where it listens.
    fn start(profile: TempDir) -> (Self, String) {
        let mut command = Command::new(program("chromedriver"));
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        // Nothing is left outside of its folder; and whoever ends it ends what it has started.
        for name in ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR"] {
            command.env(name, profile.path());
        }
        let mut driver = command.process_group(0).spawn().expect("the driver starts");
        let stdout = driver.stdout.take().expect("standard output was asked for");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // To its end, or the driver would wait for somebody to read.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let programs = Self { driver, profile };
        let started = Instant::now();
        let port = loop {
            let left = START_MAX.saturating_sub(started.elapsed());
            let line = lines.recv_timeout(left).expect("the driver says where it listens");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        (programs, format!("http://127.0.0.1:{port}"))
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        // They may have ended already. The browser is in the driver's group, or names the folder.
        let group = format!("-{}", self.driver.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.driver.wait();
        let folder = self.profile.path().display().to_string();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let names_it = std::fs::read(entry.path().join("cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&folder));
            if names_it {
                let _ =
                    Command::new("kill").arg("-KILL").arg(entry.file_name()).stderr(Stdio::null()).status();
            }
        }
    }
}
