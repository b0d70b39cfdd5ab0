//! The task that carries over to the keeper what is to be held, and replaces a keeper that has ended.

use std::{io, sync::Arc};

use tokio::time::{Duration, Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Table, connection::Connection};

/// Time between two starts of a keeper: one that ends at once must not be started all the time.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Agent {
    pub(super) table: Arc<Table>,
    pub(super) connection: Option<Connection>,
}

impl Agent {
    /// Runs until it is to close; tells the keeper all that it has to know before.
    pub(super) async fn run(mut self, closing: CancellationToken) {
        let mut next_start = Instant::now();
        loop {
            let connection = match self.connection.take() {
                Some(connection) => connection,
                None => match closing
                    .run_until_cancelled(self.start(&mut next_start))
                    .await
                {
                    Some(connection) => connection,
                    None => return,
                },
            };
            match self.carry_over(&connection, &closing).await {
                Ok(()) => {
                    let holds_nothing = self.table.is_empty();
                    return connection.part(holds_nothing, &self.table.config).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "the keeper has ended; it is replaced");
                    connection.end().await;
                }
            }
        }
    }

    /// A new keeper, once there is something to be held.
    async fn start(&self, next_start: &mut Instant) -> Connection {
        loop {
            while self.table.is_empty() {
                self.table.changed.notified().await;
            }
            sleep_until(*next_start).await;
            *next_start = Instant::now() + PAUSE;
            match Connection::start(&self.table.config) {
                Ok(connection) => {
                    self.table.tell_all_again();
                    return connection;
                }
                Err(error) => {
                    tracing::warn!(%error, "no keeper: what ends while no daemon lives will not be known");
                    self.table.changed.notified().await;
                }
            }
        }
    }

    /// Fails once the keeper has ended.
    async fn carry_over(
        &self,
        connection: &Connection,
        closing: &CancellationToken,
    ) -> io::Result<()> {
        loop {
            while let Some((key, held)) = self.table.next_untold() {
                connection.tell(&key, held.as_deref()).await?;
            }
            tokio::select! {
                biased;
                () = self.table.changed.notified() => {}
                () = closing.cancelled() => return Ok(()),
                () = connection.lost() => return Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
    }
}
