//! The address of the database, which may hold a password.

use std::fmt;
use std::path::Path;

/// A checked `DATABASE_URL`. Printing it in any way shows `***` for a password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

const ALLOWED: &str = "must be sqlite://FILE, as in sqlite://ohlcv.db?mode=rwc, \
                       or postgresql://USER:PASSWORD@HOST:PORT/DATABASE";

impl DatabaseUrl {
    /// The whole address, password included: for connecting, not for printing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The SQLite file that is named, if it is not there. A name with a % is not looked for: what it
    /// means only the driver knows.
    pub(crate) fn missing_file(&self) -> Option<&str> {
        let file = self.0.strip_prefix("sqlite://")?.split('?').next()?;
        (!file.contains('%') && !Path::new(file).exists()).then_some(file)
    }

    /// The same address, password included, of which no SQLite file is made.
    pub(crate) fn without_making_a_file(&self) -> String {
        match self.0.split_once('?') {
            Some((file, query)) if file.starts_with("sqlite:") => {
                format!("{file}?{}", query.replace("mode=rwc", "mode=rw"))
            }
            _ => self.0.clone(),
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or(ALLOWED)?;
        match scheme {
            "sqlite" => check_sqlite(rest)?,
            "postgres" | "postgresql" => check_postgres(rest)?,
            _ => return Err(ALLOWED.to_owned()),
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn check_sqlite(rest: &str) -> Result<(), String> {
    let (file, query) = rest.split_once('?').unwrap_or((rest, ""));
    let modes = || query.split('&').filter_map(|pair| pair.strip_prefix("mode="));
    if file == ":memory:" || modes().any(|mode| mode == "memory") {
        return Err("must name a file: a database in memory is lost with its connection".to_owned());
    }
    if file.is_empty() {
        return Err(format!("names no file: {ALLOWED}"));
    }
    match modes().find(|mode| !["ro", "rw", "rwc"].contains(mode)) {
        Some(_) => Err("mode must be rwc (makes the file if there is none), rw or ro".to_owned()),
        None => Ok(()),
    }
}

/// The messages quote nothing: in a malformed address the password may stand anywhere.
fn check_postgres(rest: &str) -> Result<(), String> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    // A host may also come as ?host=, which sockets need.
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = tail.split(['?', '#']).next().unwrap_or_default();
    let port = match host_and_port.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']').and_then(|(_, port)| port.strip_prefix(':')),
        None => host_and_port.split_once(':').map(|(_, port)| port),
    };
    let port_is_wrong = port.is_some_and(|port| !port.parse().is_ok_and(|number: u16| number > 0));
    if port_is_wrong || path.contains('@') || tail.starts_with('#') {
        return Err("host or port cannot be read: the port must be 1 to 65535, and in user and password \
                    @ : / ? # must be written as %40 %3A %2F %3F %23"
            .to_owned());
    }
    if host_and_port.is_empty() && !tail.contains("host=") {
        return Err(format!("names no host: {ALLOWED}"));
    }
    Ok(())
}

/// A text with everything masked that may be a password: between `user:` and the last `@`, and
/// behind `password=`. Rather too much than too little, because the text may be malformed.
pub(super) fn without_password(text: &str) -> String {
    let text = without_password_parameter(text);
    let (scheme, rest) = match text.find("://") {
        Some(at) => text.split_at(at + "://".len()),
        None => ("", text.as_str()),
    };
    let Some((user_info, host)) = rest.rsplit_once('@') else { return text };
    match user_info.split_once(':') {
        Some((user, _)) => format!("{scheme}{user}:***@{host}"),
        None if scheme.is_empty() => format!("***@{host}"),
        None => text,
    }
}

fn without_password_parameter(text: &str) -> String {
    const KEY: &str = "password=";
    let lower = text.to_ascii_lowercase();
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(found) = lower.get(from..).and_then(|rest| rest.find(KEY)) {
        let value = from + found + KEY.len();
        shown.push_str(&text[from..value]);
        shown.push_str("***");
        from = text[value..].find(['&', ' ']).map_or(text.len(), |end| value + end);
    }
    shown.push_str(&text[from..]);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_shown_in_no_way() {
        for url in [
            "postgresql://crypto:s3cret@db:5432/portfolio",
            "postgres://crypto:a@s3cret@db/portfolio",
            "postgres://db/portfolio?user=crypto&password=s3cret",
            "postgres://db:5432/portfolio?PASSWORD=a:b@s3cret&sslmode=require",
        ] {
            let url = DatabaseUrl(url.to_owned());
            assert!(!format!("{url} {url:?} {url:#?}").contains("s3cret"), "{url}");
            assert!(url.expose().contains("s3cret"));
        }
        assert_eq!(
            without_password("postgresql://crypto:s3cret@db:5432/p"),
            "postgresql://crypto:***@db:5432/p"
        );
        assert_eq!(without_password("crypto:s3cret@db"), "crypto:***@db");
        assert_eq!(without_password("s3cret@db"), "***@db");
        assert_eq!(without_password("host=db password=s3cret user=x"), "host=db password=*** user=x");
    }

    #[test]
    fn a_file_can_be_looked_at_without_being_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.db").display().to_string();
        let url = DatabaseUrl::parse(&format!("sqlite://{file}?mode=rwc")).unwrap();
        assert_eq!(url.missing_file(), Some(file.as_str()));
        assert_eq!(url.without_making_a_file(), format!("sqlite://{file}?mode=rw"));
        std::fs::write(&file, "").unwrap();
        assert_eq!(url.missing_file(), None);
        let server = DatabaseUrl::parse("postgresql://h/x?application_name=mode=rwc").unwrap();
        assert_eq!(server.missing_file(), None);
        assert_eq!(server.without_making_a_file(), server.expose());
    }

    #[test]
    fn what_holds_no_password_is_shown_as_it_is() {
        for url in
            ["sqlite://ohlcv.db?mode=rwc", "postgresql://db:5432/portfolio", "postgresql://crypto@db/p"]
        {
            assert_eq!(DatabaseUrl(url.to_owned()).to_string(), url);
        }
    }

    #[test]
    fn addresses_as_both_databases_know_them_are_taken() {
        for url in [
            "sqlite://ohlcv.db",
            "sqlite:///var/lib/ohlcv/ohlcv.db?mode=rwc",
            "postgres://db",
            "postgresql://crypto:p%40ss@[::1]:5432/portfolio?sslmode=require",
            "postgresql:///portfolio?host=/run/postgresql",
            "postgresql://crypto@db/portfolio?application_name=a@b",
        ] {
            assert_eq!(DatabaseUrl::parse(url).unwrap().expose(), url);
        }
    }
}
