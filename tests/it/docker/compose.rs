//! The compose files: what they name exists, and what they set the program accepts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use clap::Parser;
use ohlcv::cli::Cli;
use ohlcv::settings::{Settings, VARIABLES};
use yaml_serde::Value;

use super::{entries, image, is_setting, root, settings_in, text, texts, yaml};

const COMPOSE: &str = "docker/compose.yaml";
const SECRETS: &str = "docker/compose.secrets.yaml";
const MANAGED: &str = "docker/compose.managed.yaml";
const FILES: [&str; 3] = [COMPOSE, SECRETS, MANAGED];
const README: &str = "docker/README.md";
/// The services that are the program.
pub(super) const OURS: [&str; 3] = ["api", "migrate", "scheduler"];
/// What the images of others are told.
const OF_OTHERS: [&str; 8] = [
    "GF_ANALYTICS_CHECK_FOR_UPDATES",
    "GF_ANALYTICS_REPORTING_ENABLED",
    "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH",
    "GF_SECURITY_ADMIN_PASSWORD",
    "POSTGRES_DB",
    "POSTGRES_PASSWORD",
    "POSTGRES_PASSWORD_FILE",
    "POSTGRES_USER",
];
/// Where containers find secrets.
const SECRETS_FOLDER: &str = "/run/secrets/";

fn services(path: &str) -> BTreeMap<String, Value> {
    entries(&yaml(path)["services"]).into_iter().collect()
}

fn service(name: &str) -> Value {
    services(COMPOSE).remove(name).unwrap_or_else(|| panic!("{COMPOSE} has no service {name}"))
}

/// A text with its variables replaced, when nobody has set any.
fn with_nothing_set(text: &str) -> String {
    let Some(start) = text.find("${") else { return text.replace("$$", "$") };
    let (before, body) = (&text[..start], &text[start + 2..]);
    let mut depth = 0;
    let end = body.find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth < 0
    });
    let end = end.unwrap_or_else(|| panic!("a brace is missing: {text}"));
    let (_, default) = body[..end].split_once(":-").unwrap_or_else(|| panic!("no default: {text}"));
    format!("{before}{}{}", with_nothing_set(default), with_nothing_set(&body[end + 1..]))
}

/// The settings of one of our services, when nobody has set any.
pub(super) fn settings(name: &str) -> Settings {
    let set = entries(&service(name)["environment"]).into_iter();
    let set = set.filter_map(|(name, value)| Some((name, with_nothing_set(value.as_str()?))));
    settings_in(image::env().into_iter().chain(set).collect())
}

/// The command that a service gives to its image.
fn command(service: &Value) -> Vec<String> {
    texts(&service["command"])
}

#[test]
fn every_environment_variable_is_a_setting_or_known_to_the_image_it_is_for() {
    let mut named = 0;
    for path in FILES {
        for (service, body) in services(path) {
            for (name, _) in entries(&body["environment"]) {
                named += 1;
                let is_known = match OURS.contains(&service.as_str()) {
                    true => is_setting(&name),
                    false => OF_OTHERS.contains(&name.as_str()),
                };
                assert!(is_known, "{path}: {service}: nobody knows {name}");
            }
        }
    }
    assert!(named > VARIABLES.len(), "{named}");
}

#[test]
fn every_setting_reaches_the_program() {
    for name in OURS {
        let mut set: BTreeSet<String> =
            entries(&service(name)["environment"]).into_iter().map(|(name, _)| name).collect();
        // Where it listens is for those that listen; files are for the overlay.
        set.extend(["LISTEN_ADDRESS", "METRICS_LISTEN_ADDRESS"].map(str::to_owned));
        let missing: Vec<&str> = VARIABLES
            .iter()
            .map(|variable| variable.name)
            .filter(|name| !set.contains(*name) && !name.ends_with("_FILE"))
            .collect();
        assert_eq!(missing, [""; 0], "{COMPOSE}: pass these on to {name}, under x-settings");
    }
}

#[test]
fn with_nothing_set_the_program_accepts_its_settings_and_finds_the_database() {
    for name in OURS {
        let settings = settings(name);
        assert_eq!(
            settings.database_url.expose(),
            "postgresql://crypto:password@postgres:5432/portfolio",
            "as in the service that this one re-creates"
        );
        assert!(!settings.auto_migrate, "the schema is brought up once, by `migrate`");
    }
    let postgres = service("postgres");
    let told = |name: &str| with_nothing_set(postgres["environment"][name].as_str().unwrap());
    assert_eq!(
        ["POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"].map(told),
        ["crypto", "password", "portfolio"]
    );
}

#[test]
fn every_variable_that_an_operator_may_set_is_a_setting_or_documented() {
    let readme = text(README);
    for path in FILES {
        let file = text(path);
        for (at, start) in file.match_indices("${") {
            let rest = &file[at + start.len()..];
            let name = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
            let is_told = is_setting(name) || readme.contains(&format!("`{name}`"));
            assert!(is_told, "{path}: {name} is neither a setting nor named in {README}");
        }
    }
}

#[test]
fn every_path_is_there() {
    let folder = root().join("docker");
    for path in FILES {
        for (name, body) in services(path) {
            if !body["build"].is_null() {
                let context = folder.join(body["build"]["context"].as_str().unwrap());
                assert_eq!(context.canonicalize().unwrap(), root().canonicalize().unwrap());
                let dockerfile = body["build"]["dockerfile"].as_str().unwrap();
                assert!(context.join(dockerfile).is_file(), "{path}: {name}: {dockerfile}");
                assert!(context.join(format!("{dockerfile}.dockerignore")).is_file());
            }
            for mount in texts(&body["volumes"]) {
                let (from, _) = mount.split_once(':').unwrap();
                if from.starts_with('.') {
                    assert!(folder.join(from).exists(), "{path}: {name}: {from} is not there");
                    assert!(mount.ends_with(":ro"), "{path}: {name}: {mount}: a container writes no source");
                } else {
                    let volumes = entries(&yaml(path)["volumes"]);
                    assert!(volumes.iter().any(|(volume, _)| volume == from), "{path}: no volume {from}");
                }
            }
        }
    }
}

#[test]
fn every_command_is_one_that_the_program_has() {
    for name in OURS {
        let line = [vec!["ohlcv".to_owned()], command(&service(name))].concat();
        Cli::try_parse_from(&line).unwrap_or_else(|error| panic!("{name}: {line:?}: {error}"));
    }
    assert_eq!(OURS.map(|name| command(&service(name))), [["serve"], ["migrate"], ["schedule"]]);
}

#[test]
fn services_wait_for_what_can_happen() {
    let all = services(COMPOSE);
    for path in FILES {
        for (name, body) in services(path) {
            for (awaited, wait) in entries(&body["depends_on"]) {
                let condition = wait["condition"].as_str().unwrap();
                let found = all.get(&awaited).unwrap_or_else(|| panic!("{path}: {name} waits for {awaited}"));
                let can_happen = match condition {
                    "service_started" => true,
                    "service_healthy" => !found["healthcheck"]["test"].is_null(),
                    "service_completed_successfully" => found["restart"] == "no",
                    _ => false,
                };
                assert!(can_happen, "{path}: {name} waits for {awaited} to be {condition}");
                let is_watched = awaited == "postgres" || found["profiles"] == body["profiles"];
                assert!(is_watched, "{path}: {name} waits for {awaited}, which may not be started");
            }
        }
    }
    let awaited = |name: &str| entries(&all[name]["depends_on"])[0].clone();
    assert_eq!(awaited("migrate").0, "postgres");
    for name in ["api", "scheduler"] {
        assert_eq!(awaited(name).0, "migrate", "{name}");
    }
}

#[test]
fn our_containers_can_do_no_more_than_they_need_and_have_the_time_to_stop() {
    for name in OURS {
        let body = service(name);
        assert_eq!(body["read_only"], true, "{name}");
        assert_eq!(texts(&body["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(texts(&body["security_opt"]), ["no-new-privileges:true"], "{name}");
        assert_eq!(body["stop_grace_period"], "15s", "{name}");
        assert!(body["privileged"].is_null() && body["user"].is_null(), "{name}");
    }
}

#[test]
fn nothing_is_published_beyond_this_machine_unless_somebody_says_so() {
    let mut published = BTreeSet::new();
    for (name, body) in services(COMPOSE) {
        for port in texts(&body["ports"]) {
            assert!(with_nothing_set(&port).starts_with("127.0.0.1:"), "{name}: {port}");
            published.insert(name.clone());
        }
    }
    assert_eq!(published.into_iter().collect::<Vec<_>>(), ["api", "grafana", "prometheus"]);
    let (_, port) = with_nothing_set(&texts(&service("api")["ports"])[0]).rsplit_once(':').map(own).unwrap();
    assert_eq!(settings("api").listen_address.port().to_string(), port);
}

fn own((before, after): (&str, &str)) -> (String, String) {
    (before.to_owned(), after.to_owned())
}

#[test]
fn monitoring_is_started_only_when_asked_for() {
    for (name, body) in services(COMPOSE) {
        let is_optional = ["grafana", "prometheus"].contains(&name.as_str());
        assert_eq!(texts(&body["profiles"]), if is_optional { vec!["monitoring"] } else { vec![] }, "{name}");
    }
}

#[test]
fn with_secrets_in_files_none_is_in_the_environment() {
    let is_reset = |value: &Value| matches!(value, Value::Tagged(tagged) if tagged.tag == "!reset");
    let declared: BTreeMap<String, Value> = entries(&yaml(SECRETS)["secrets"]).into_iter().collect();
    let mut used = BTreeSet::new();
    for (name, body) in services(SECRETS) {
        let env: BTreeMap<String, Value> = entries(&body["environment"]).into_iter().collect();
        let given = texts(&body["secrets"]);
        for (variable, value) in &env {
            let Some(plain) = variable.strip_suffix("_FILE") else { continue };
            let secret = value.as_str().unwrap().strip_prefix(SECRETS_FOLDER).unwrap();
            assert!(given.iter().any(|given| given == secret), "{SECRETS}: {name} is not given {secret}");
            // PostgreSQL's image takes an empty one for none.
            assert!(is_reset(&env[plain]) || env[plain] == "", "{SECRETS}: {name}: {plain} stays");
            used.insert(secret.to_owned());
        }
        if OURS.contains(&name.as_str()) {
            assert!(is_reset(&env["DATABASE_URL"]) && is_reset(&env["API_KEY"]), "{SECRETS}: {name}");
        }
    }
    assert_eq!(used, declared.keys().cloned().collect());
    let ignored = fs::read_to_string(root().join(".gitignore")).unwrap();
    assert!(ignored.lines().any(|line| line == "/docker/secrets/"), "no secret is ever committed");
    let readme = text(README);
    for secret in declared.values() {
        let file = secret["file"].as_str().unwrap().replace("./", "docker/");
        assert!(readme.contains(&file), "{README} tells how to make {file}");
    }
}

#[test]
fn without_a_postgres_of_our_own_nothing_waits_for_it() {
    let services = services(MANAGED);
    assert_eq!(texts(&services["postgres"]["profiles"]), ["unused"]);
    let all = super::compose::services(COMPOSE);
    for (name, body) in all.iter().filter(|(_, body)| !body["depends_on"]["postgres"].is_null()) {
        assert_eq!(body["depends_on"]["postgres"]["condition"], "service_healthy");
        assert_eq!(services[name]["depends_on"]["postgres"]["required"], false, "{name}");
    }
}
