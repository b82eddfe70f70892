//! `ohlcv run`, `serve` and `schedule`: the API, the scheduler, or both.

use anyhow::Context;
use poem::Server;
use poem::listener::TcpAcceptor;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{End, progress};
use crate::console::Console;
use crate::lifecycle::{Lifecycle, Outcome};
use crate::scheduler;
use crate::settings::Settings;
use crate::wiring::{App, Outside};
use crate::worker;

/// How long answers in hand may take after the service was told to stop.
const DRAIN_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// Which parts of the service this process runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    api: bool,
    scheduler: bool,
}

impl Parts {
    pub(super) const ALL: Self = Self { api: true, scheduler: true };
    pub(super) const API: Self = Self { api: true, scheduler: false };
    pub(super) const SCHEDULER: Self = Self { api: false, scheduler: true };
}

pub(super) async fn execute(
    settings: Settings,
    outside: Outside,
    parts: Parts,
    mut lifecycle: Lifecycle,
    console: Console,
) -> anyhow::Result<End> {
    let Ok(opened) = lifecycle.one_shot(App::open(settings, outside)).await else {
        return Ok(End::Done);
    };
    let app = opened?;
    let end = run(&app, parts, &mut lifecycle, console).await;
    lifecycle.within_stop_time(app.close()).await;
    end
}

/// Runs the parts until they are told to stop.
async fn run(app: &App, parts: Parts, lifecycle: &mut Lifecycle, console: Console) -> anyhow::Result<End> {
    let stop = lifecycle.token();
    if parts.api {
        let address = app.settings.listen_address;
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on LISTEN_ADDRESS={address}"))?;
        let address = listener.local_addr()?;
        tracing::info!("listening on http://{address}, documentation on http://{address}/docs");
        if app.settings.api_keys.is_empty() {
            tracing::info!("API_KEY is not set: fetches and jobs over HTTP are off");
        }
        lifecycle.spawn("the API", serve(app.clone(), listener, stop.clone()));
    }
    if parts.scheduler {
        let (worker, jobs_stop, shown) = (app.clone(), stop.clone(), progress(&console));
        lifecycle.spawn("the worker", async move {
            worker::run(&worker, &jobs_stop, shown).await;
            Ok(())
        });
        let app = app.clone();
        lifecycle.spawn("the scheduler", async move {
            scheduler::run(&app, &stop, progress(&console), || console.clear()).await;
            Ok(())
        });
    }
    match lifecycle.run().await {
        Outcome::Stopped => Ok(End::Done),
        Outcome::Failed(error) => Err(error),
    }
}

/// Serves the API on a bound socket until it is told to stop.
async fn serve(app: App, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
    let acceptor = TcpAcceptor::from_tokio(listener)?;
    let server = Server::new_with_acceptor(acceptor);
    let stopped = async move { stop.cancelled().await };
    server.run_with_graceful_shutdown(app.endpoint(), stopped, Some(DRAIN_TIME_MAX)).await?;
    Ok(())
}
