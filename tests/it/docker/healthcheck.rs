//! `ohlcv healthcheck` against the running program.

use ohlcv_tests::process::{Program, said};

use super::program;

/// An address of this machine at which nobody listens.
const NOBODY: &str = "127.0.0.1:9";

#[test]
fn a_service_that_is_up_passes_its_health_check_wherever_it_says_that_it_listens() {
    let service = program();
    let mut running = service.start(&["serve"]);
    let address = running.url().replace("http://", "");
    let (_, port) = address.rsplit_once(':').unwrap();
    for (listen, metrics) in
        [(address.as_str(), ""), (&format!("0.0.0.0:{port}"), ""), (NOBODY, address.as_str())]
    {
        let output = check(listen, metrics).run(&["healthcheck"]);
        assert_eq!(output.status.code(), Some(0), "{listen} {metrics}: {}", said(&output));
        assert_eq!(said(&output), "", "there is nothing to tell");
    }
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
}

#[test]
fn a_service_that_is_not_up_fails_its_health_check_and_is_named() {
    for (listen, metrics) in [(NOBODY, ""), ("127.0.0.1:8000", NOBODY)] {
        let program = check(listen, metrics);
        let output = program.run(&["healthcheck"]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("http://127.0.0.1:9/livez cannot be asked"), "{}", said(&output));
        assert_eq!(std::fs::read_dir(program.folder()).unwrap().count(), 0, "no database is opened");
    }
}

fn check(listen: &str, metrics: &str) -> Program {
    program().with("LISTEN_ADDRESS", listen).with("METRICS_LISTEN_ADDRESS", metrics)
}
