//! What a console is told while somebody waits for work: whether the exchange wants to be left alone.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use crate::console::Console;
use crate::wiring::App;

/// How often it is looked; a countdown goes by seconds.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Keeps a console true until the handle is dropped.
pub(super) fn begin(app: &App, console: &Console) -> AbortOnDropHandle<()> {
    let (app, console) = (app.clone(), console.clone());
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Ends: whoever began it drops the handle.
        loop {
            looks.tick().await;
            // A database that is away says nothing about the exchange; the work itself tells of it.
            if let Ok(pause) = app.paused().await {
                console.paused(pause.as_ref());
            }
        }
    }))
}
