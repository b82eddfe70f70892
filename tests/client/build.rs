//! Generates the client out of the pinned document.

use std::error::Error;
use std::path::Path;

use openapiv3::OpenAPI;
use progenitor_impl::{GenerationSettings, Generator, HooksMode, InterfaceStyle};
use serde_json::Value;

/// The document as the service has it, behind a head of its own.
const SNAPSHOT: &str = "../it/snapshots/openapi.snap";
/// Where the head ends.
const HEAD_END: &str = "\n---\n";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={SNAPSHOT}");
    let pinned = std::fs::read_to_string(SNAPSHOT)?;
    let (_, document) = pinned.split_once(HEAD_END).ok_or("the snapshot has no head")?;
    let mut document: Value = serde_json::from_str(document)?;
    as_progenitor_reads_it(&mut document);
    let document: OpenAPI = serde_json::from_value(document)?;
    let mut settings = GenerationSettings::default();
    settings.with_interface(InterfaceStyle::Builder);
    settings.with_inner_type("crate::Used".parse()?).with_hooks(HooksMode::Expected);
    let code = Generator::new(&settings).generate_tokens(&document)?;
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("client.rs"), code.to_string())?;
    Ok(())
}

/// Progenitor knows one type of success and one of errors for an operation, and JSON by one name alone.
///
/// So errors are given the name that it knows, and answers go that are neither of the two: 304, which has
/// no body, and the 503 of `/api/v1/health`, which is the body of the 200.
fn as_progenitor_reads_it(document: &mut Value) {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    let operations = paths.filter_map(Value::as_object_mut).flat_map(|operations| operations.values_mut());
    for responses in operations.filter_map(|operation| operation["responses"].as_object_mut()) {
        responses.retain(|status, response| {
            let content = &mut response["content"];
            let is_problem = !content["application/problem+json"].is_null();
            if is_problem {
                let problem = content["application/problem+json"].take();
                *content = serde_json::json!({ "application/json": problem });
            }
            is_problem || status.starts_with('2')
        });
    }
}
