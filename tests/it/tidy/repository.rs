//! The repository's text files, and Rust code without its comments and literals.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Hidden names that belong to the repository; all others are a machine's own.
const HIDDEN: [&str; 4] = [".ci", ".env.example", ".github", ".gitignore"];
/// A file of the operator's that may lie in the root.
const LOCAL: &str = "ohlcv.toml";
/// What marks a folder of build products.
const CACHE_TAG: &str = "CACHEDIR.TAG";

/// A text file.
#[derive(Debug)]
pub(super) struct File {
    /// Its path from the root, with slashes.
    pub(super) path: String,
    /// What it says.
    pub(super) text: String,
    /// If it is Rust: the same lines, with comments and literals blanked out. Else empty.
    pub(super) code: String,
}

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let mut files = Vec::new();
    read_folder(&root(), "", &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
});

/// Where the repository lies.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All text files, sorted by path.
pub(super) fn files() -> &'static [File] {
    &FILES
}

/// All Rust files below a folder; the root is the empty name.
pub(super) fn rust_files(folder: &str) -> Vec<&'static File> {
    let found: Vec<&File> = files()
        .iter()
        .filter(|file| Path::new(&file.path).starts_with(folder) && file.path.ends_with(".rs"))
        .collect();
    // Without a file a rule about files holds, and says nothing.
    assert!(!found.is_empty(), "no Rust file below {folder}: name the folder that the rule is about");
    found
}

/// The text of a file that has to be there.
pub(super) fn text(path: &str) -> &'static str {
    let found = files().iter().find(|file| file.path == path);
    found.map_or_else(|| panic!("{path} is missing"), |file| &file.text)
}

/// `path:line: text` of every line that `is_wrong`.
pub(super) fn lines_that(path: &str, text: &str, is_wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let numbered = text.lines().enumerate().filter(|(_, line)| is_wrong(line));
    numbered.map(|(index, line)| format!("{path}:{}: {}", index + 1, line.trim())).collect()
}

/// `path:line: text` of every line of code that `is_wrong`.
pub(super) fn code_that(files: &[&File], is_wrong: impl Fn(&str) -> bool) -> Vec<String> {
    files.iter().flat_map(|file| lines_that(&file.path, &file.code, &is_wrong)).collect()
}

/// Fails with all places that break a rule.
pub(super) fn hold(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}; {} break it:\n  {}", broken.len(), broken.join("\n  "));
}

/// Whether a line holds a word, or a path or call that begins or ends with one, as a whole.
pub(super) fn names(line: &str, word: &str) -> bool {
    let joins = |a: Option<char>, b: Option<char>| a.is_some_and(is_word) && b.is_some_and(is_word);
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !joins(before.chars().next_back(), word.chars().next())
            && !joins(word.chars().next_back(), after.chars().next())
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn read_folder(folder: &Path, name: &str, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let own_name = entry.file_name().into_string().unwrap();
        let path = if name.is_empty() { own_name.clone() } else { format!("{name}/{own_name}") };
        if (own_name.starts_with('.') && !HIDDEN.contains(&own_name.as_str())) || path == LOCAL {
            continue;
        }
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !entry.path().join(CACHE_TAG).exists() {
            read_folder(&entry.path(), &path, files);
        } else if kind.is_file()
            && let Ok(text) = String::from_utf8(fs::read(entry.path()).unwrap())
        {
            let code = if path.ends_with(".rs") { code_of(&text) } else { String::new() };
            files.push(File { path, text, code });
        }
    }
}

/// Rust text with every comment, string and character blanked out; lines stay where they are.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let in_word = code.chars().next_back().is_some_and(is_word);
        let blanked = blank_len(rest, in_word);
        let (token, after) = rest.split_at(if blanked > 0 { blanked } else { first.len_utf8() });
        if blanked > 0 {
            code.extend(token.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        } else {
            code.push(first);
        }
        rest = after;
    }
    code
}

/// How many bytes of a comment or literal `rest` begins with.
fn blank_len(rest: &str, in_word: bool) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_len(rest);
    }
    if let Some(inside) = rest.strip_prefix('"') {
        return 1 + escaped_len(inside, '"');
    }
    if let Some(inside) = rest.strip_prefix('\'') {
        let mut chars = inside.chars();
        let is_character = chars.next() == Some('\\') || chars.next() == Some('\'');
        // Else it is a lifetime.
        return if is_character { 1 + escaped_len(inside, '\'') } else { 0 };
    }
    let hashed = ["br", "cr", "r"].into_iter().find_map(|prefix| rest.strip_prefix(prefix));
    if let (Some(hashed), false) = (hashed, in_word) {
        let inside = hashed.trim_start_matches('#');
        let end = format!("\"{}", "#".repeat(hashed.len() - inside.len()));
        if let Some(inside) = inside.strip_prefix('"') {
            let before = rest.len() - inside.len();
            return inside.find(&end).map_or(rest.len(), |at| before + at + end.len());
        }
    }
    0
}

/// How long a literal goes on, its closing quote included.
fn escaped_len(inside: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in inside.char_indices() {
        if c == quote && !is_escaped {
            return at + c.len_utf8();
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    inside.len()
}

/// How long a comment between `/*` and `*/` is; comments may hold comments.
fn block_comment_len(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

#[test]
fn code_is_what_is_left_without_comments_and_literals() {
    for (text, code) in [
        ("a(); // b()", "a();       "),
        ("a /* b\n /* c */ d */ e", "a     \n              e"),
        (r#"a("b \" // c") + 1"#, "a(           ) + 1"),
        (r##"a(r#"b " c"#, "d")"##, "a(          ,    )"),
        ("a(b\"c\", br\"\\\", d)", "a(b   ,      , d)"),
        ("fn a<'b>(c: &'b str) { '\\'' == '\"' }", "fn a<'b>(c: &'b str) {      ==     }"),
        ("r#type + for\"a\"", "r#type + for   "),
        ("\"a\nb\" c", "  \n   c"),
    ] {
        assert_eq!(code_of(text), code, "{text}");
    }
}

#[test]
fn the_walk_sees_every_kind_of_file_and_nothing_that_was_built() {
    for path in ["Cargo.toml", ".env.example", ".ci/run", "domain/src/lib.rs", "tests/it/tidy.rs"] {
        assert!(files().iter().any(|file| file.path == path), "{path}");
    }
    let built =
        files().iter().find(|file| file.path.starts_with(".git/") || file.path.starts_with("target/"));
    assert!(built.is_none(), "{built:?}");
}

#[test]
fn a_word_is_named_only_as_a_whole() {
    assert!(names("let price: f64 = 1.into();", "f64"));
    assert!(!names("delay.as_secs_f64()", "f64"));
    assert!(names("chrono::Utc::now()", "Utc::now"));
    assert!(!names("NotUtc::now()", "Utc::now"));
    assert!(names("println!(x)", "println!"));
    assert!(!names("eprintln!(x)", "println!"));
}
