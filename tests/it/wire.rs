//! A wire to a database that can be cut.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use ohlcv_tests::database::TestDatabase;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Passes bytes to and fro between its port and a database until it is cut.
pub(crate) struct Wire(JoinHandle<()>);

impl Wire {
    /// From now on the database is reached through it.
    pub(crate) async fn before(database: &mut TestDatabase) -> Self {
        let address = database.url().split_once('@').unwrap().1.split('/').next().unwrap().to_owned();
        let target: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        database.reach_through(&address, &format!("127.0.0.1:{port}"));
        Self(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut far = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                    // Either end may break: that is what the wire is for.
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        }))
    }

    pub(crate) fn cut(&self) {
        self.0.abort();
    }
}
