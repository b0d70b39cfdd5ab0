//! Before this process executes another program, which goes on with the hall.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::{Gladsheim, GladsheimError, Result};

/// How long the journal may be behind.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(1);

impl Gladsheim {
    /// Prepares for this process to execute another program: a hall with the same `state_dir` and, in
    /// `events_before`, the number that is returned goes on with everything that runs, as with the own children that they
    /// are. Until then services run on; starts wait, and exits are left to be told by that hall.
    ///
    /// Where the program could not be executed, [`go_on`](Self::go_on) takes it back. Cancellation: dropping the future
    /// may leave it half done; `go_on` helps.
    ///
    /// # Errors
    ///
    /// `ServiceLoader` if starts or ends under way take too long; `Journal` if it does not say what runs. Everything
    /// goes on then.
    pub async fn hand_over(&self) -> Result<u64> {
        self.thjalfi.hand_over().await?;
        match self.written_down().await {
            Ok(()) => Ok(self.hall.bus.newest()),
            Err(error) => {
                self.go_on();
                Err(error)
            }
        }
    }

    /// Goes on after a [`hand_over`](Self::hand_over) to a program that could not be executed.
    pub fn go_on(&self) {
        self.thjalfi.go_on();
    }

    /// Waits until the journal has each run, and nothing else.
    async fn written_down(&self) -> Result<()> {
        let agreed = async {
            while !self.journal_agrees()? {
                sleep(PAUSE).await;
            }
            Ok(())
        };
        let late = |_| GladsheimError::Journal("it does not say yet what runs".to_owned());
        timeout(PATIENCE, agreed).await.map_err(late)?
    }

    fn journal_agrees(&self) -> Result<bool> {
        for name in self.hall.directory.names() {
            let unkept = || GladsheimError::Journal("it cannot be written".to_owned());
            let written = self.hall.journal.run_of(&name).ok_or_else(unkept)?;
            let process = self.thjalfi.get_process(&name);
            if process.map(|process| process.pid) != written {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
