//! Before this process executes another program, which goes on with its services, and at the beginning of
//! that one.

use std::{io, sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use super::{Inner, ServiceLoader};
use crate::{
    ServiceLoaderError,
    keeper::{Key, lock},
    session::LEADERS,
};

/// How long starts and ends under way are waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at them.
const PAUSE: Duration = Duration::from_millis(1);

impl ServiceLoader {
    /// As [`ServiceLoaderApi::hand_over`](crate::ServiceLoaderApi::hand_over).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn hand_over(&self) -> Result<(), ServiceLoaderError> {
        let busy = |what| ServiceLoaderError::Io(io::Error::new(io::ErrorKind::TimedOut, what));
        let starts = Arc::clone(&self.inner.starts).write_owned();
        let no_starts = timeout(PATIENCE, starts).await;
        let no_starts = no_starts.map_err(|_| busy("a service is being started"))?;
        let settled = timeout(PATIENCE, self.inner.pause_reaping()).await;
        settled.map_err(|_| busy("a service is just ending"))?;
        let notify = self.inner.notifier.descriptor();
        if self.inner.keeper.hand_over(notify).await.is_err() {
            LEADERS.resume();
            return Err(busy("the keeper does not answer"));
        }
        *lock(&self.inner.no_starts) = Some(no_starts);
        Ok(())
    }

    /// As [`ServiceLoaderApi::go_on`](crate::ServiceLoaderApi::go_on).
    pub fn go_on(&self) {
        if lock(&self.inner.no_starts).take().is_some() {
            self.inner.keeper.release(Key::Notify);
            LEADERS.resume();
        }
    }
}

impl Inner {
    /// Pauses it at a moment when each leader that was reaped has been told of.
    async fn pause_reaping(&self) {
        loop {
            LEADERS.pause();
            if self.slots.all_leaders(|pid| LEADERS.contains(pid)) {
                return;
            }
            // The commands after a stop have to be reaped, too.
            LEADERS.resume();
            sleep(PAUSE).await;
        }
    }

    /// Goes on with the notify socket of the program before.
    pub(super) fn resume_notifier(&self) {
        let Some(mut kept) = self.keeper.take(&Key::Notify) else {
            return;
        };
        self.keeper.release(Key::Notify);
        if let Some(socket) = kept.pop()
            && let Err(error) = self.notifier.resume(socket)
        {
            tracing::warn!(%error, "what services have told of themselves just now is lost");
        }
    }
}
