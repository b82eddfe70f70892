//! What the framework does at best: a handler that returns ready bytes from memory.

use std::io::Write;

use anyhow::Context;
use poem::endpoint::make_sync;
use poem::listener::TcpAcceptor;
use poem::{Response, Server};

use crate::world::Helper;

/// How this program is called to be that server; two files with bodies follow.
pub(crate) const COMMAND: &str = "bare-server";
/// Where the second body is; the first is everywhere else.
const SECOND: &str = "/1";

/// Where a body of [`start`] is served.
pub(crate) fn path(index: usize) -> String {
    format!("/{index}")
}

/// Starts the server as a process of its own.
pub(crate) fn start(bodies: [&[u8]; 2]) -> anyhow::Result<Helper> {
    let folder = tempfile::tempdir()?;
    let mut paths = Vec::new();
    for (index, body) in bodies.iter().enumerate() {
        let path = folder.path().join(index.to_string());
        std::fs::write(&path, body)?;
        paths.push(path.display().to_string());
    }
    Helper::start(&[COMMAND, &paths[0], &paths[1]])
}

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let read = |at: usize| -> anyhow::Result<&'static [u8]> {
        let path = arguments.get(at).context("the files with the bodies are missing")?;
        // They are there as long as the process is.
        Ok(Box::leak(std::fs::read(path)?.into_boxed_slice()))
    };
    let (first, second) = (read(0)?, read(1)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        let endpoint = make_sync(move |request| {
            let body = if request.uri().path() == SECOND { second } else { first };
            Response::builder().content_type("application/json; charset=utf-8").body(body)
        });
        Server::new_with_acceptor(TcpAcceptor::from_tokio(listener)?).run(endpoint).await?;
        Ok(())
    })
}
