//! What `top` asks of the daemon, and what has not been answered yet.

use std::{
    future::{Future, pending},
    pin::Pin,
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use gladsheim_proto::{
    Client, reason,
    v1::{
        self, DescribeServiceRequest, ForceKillServiceRequest, GetSystemUsageRequest,
        ListServicesRequest, LogLine, RestartServiceRequest, ServiceStatus, StartServiceRequest,
        StopServiceRequest, StreamLogsRequest, WatchEventsRequest,
    },
};
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Status, Streaming};

use super::model::{Action, Command, Event, Outcome};
use crate::client::{CliError, about};

/// A daemon that takes longer than this to tell its services does not answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// News are no reason to ask more often than this.
const QUIET: Duration = Duration::from_millis(100);
/// Lines of a service before those that follow.
const LAST_LINES: u32 = 200;
/// Lines that are taken at once, before anything else has its turn.
const BATCH: usize = 256;

/// What comes of a question.
enum Answer {
    /// Something for the model.
    Tell(Event),
    /// The event bus is being watched.
    News(Box<Streaming<v1::Event>>),
    /// The output of a service is being followed.
    Lines(String, Box<Streaming<LogLine>>),
    /// Nothing that matters.
    Nothing,
}

/// Questions under way. Dropping it abandons them; what the daemon has begun, it goes on with.
pub(super) struct Desk {
    client: Client,
    answers: FuturesUnordered<Pin<Box<dyn Future<Output = Answer>>>>,
    /// Whether all services are being asked for.
    polling: bool,
    polled_at: Instant,
    /// When they are to be asked for because of news.
    due: Option<Instant>,
    news: Option<Box<Streaming<v1::Event>>>,
    following: Option<String>,
    lines: Option<Box<Streaming<LogLine>>>,
}

impl Desk {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            answers: FuturesUnordered::new(),
            polling: false,
            polled_at: Instant::now(),
            due: None,
            news: None,
            following: None,
            lines: None,
        }
    }

    /// Asks for all services, unless that is being asked.
    pub(super) fn poll(&mut self) {
        self.due = None;
        if std::mem::replace(&mut self.polling, true) {
            return;
        }
        self.polled_at = Instant::now();
        let client = self.client.clone();
        self.push(async move {
            let asked = timeout(PATIENCE, async {
                let list = client.list_services(ListServicesRequest::default()).await?;
                let system = client.get_system_usage(GetSystemUsageRequest {}).await?;
                Ok((list.services, system))
            });
            let no_answer = |_| Err(Status::deadline_exceeded("the daemon does not answer"));
            Answer::Tell(match asked.await.unwrap_or_else(no_answer) {
                Ok((services, system)) => Event::Polled(services, system),
                Err(status) => Event::Lost(CliError::of_status(None, status).to_string()),
            })
        });
    }

    /// Carries out a command.
    pub(super) fn ask(&mut self, command: Command) {
        let client = self.client.clone();
        self.push(async move {
            let outcome = match carry_out(&client, &command).await {
                Ok(status) => Outcome::Done(status.unwrap_or_default().state),
                Err(status) => {
                    let is_needed = reason::of(&status) == Some(reason::NEEDED_BY_OTHERS);
                    match about(&command.service_name)(status).to_string() {
                        why if is_needed => Outcome::Needed(why),
                        why => Outcome::Failed(why),
                    }
                }
            };
            Answer::Tell(Event::Done(command, outcome))
        });
    }

    /// Asks for one service at length.
    pub(super) fn describe(&mut self, service_name: String) {
        let client = self.client.clone();
        self.push(async move {
            let request = DescribeServiceRequest { service_name };
            match client.describe_service(request).await {
                Ok(description) => Answer::Tell(Event::Described(Box::new(description))),
                // It is no longer there, or nobody is; the next poll tells.
                Err(_) => Answer::Nothing,
            }
        });
    }

    /// Follows a service's output, or nobody's.
    pub(super) fn follow(&mut self, name: Option<String>) {
        self.lines = None;
        self.following.clone_from(&name);
        let Some(service_name) = name else { return };
        let client = self.client.clone();
        self.push(async move {
            let request = StreamLogsRequest {
                service_name: service_name.clone(),
                last: Some(LAST_LINES),
                follow: true,
            };
            match client.stream_logs(request).await {
                Ok(lines) => Answer::Lines(service_name, Box::new(lines)),
                Err(_) => Answer::Nothing,
            }
        });
    }

    /// What comes next, as events; may be none. Cancel safe.
    pub(super) async fn next(&mut self) -> Vec<Event> {
        let due = async {
            match self.due {
                Some(due) => sleep_until(due).await,
                None => pending().await,
            }
        };
        tokio::select! {
            Some(answer) = self.answers.next() => self.answered(answer).into_iter().collect(),
            lines = batch(&mut self.lines) => lines.into_iter().map(Event::Line).collect(),
            _ = batch(&mut self.news) => {
                self.due.get_or_insert(self.polled_at + QUIET);
                Vec::new()
            }
            () = due => {
                self.poll();
                Vec::new()
            }
        }
    }

    fn answered(&mut self, answer: Answer) -> Option<Event> {
        match answer {
            Answer::Tell(event) => {
                match &event {
                    Event::Polled(..) => {
                        self.polling = false;
                        if self.news.is_none() {
                            self.watch();
                        }
                    }
                    Event::Lost(_) => {
                        self.polling = false;
                        (self.news, self.lines) = (None, None);
                    }
                    // What became of it is to be seen at once.
                    Event::Done(..) => self.poll(),
                    Event::Key(_) | Event::Redraw | Event::Described(_) | Event::Line(_) => {}
                }
                return Some(event);
            }
            Answer::News(news) => self.news = Some(news),
            Answer::Lines(name, lines) if self.following.as_ref() == Some(&name) => {
                self.lines = Some(lines);
            }
            Answer::Lines(..) | Answer::Nothing => {}
        }
        None
    }

    /// Watches the event bus from now on.
    fn watch(&mut self) {
        let client = self.client.clone();
        self.push(async move {
            let request = WatchEventsRequest {
                follow: true,
                ..WatchEventsRequest::default()
            };
            match client.watch_events(request).await {
                Ok(news) => Answer::News(Box::new(news)),
                Err(_) => Answer::Nothing,
            }
        });
    }

    fn push(&self, answer: impl Future<Output = Answer> + 'static) {
        self.answers.push(Box::pin(answer));
    }
}

async fn carry_out(client: &Client, command: &Command) -> Result<Option<ServiceStatus>, Status> {
    let service_name = command.service_name.clone();
    let stop = |force| StopServiceRequest {
        service_name: service_name.clone(),
        timeout_ms: None,
        force,
    };
    Ok(match command.action {
        Action::Start => {
            let request = StartServiceRequest {
                service_name,
                ..StartServiceRequest::default()
            };
            client.start_service(request).await?.status
        }
        Action::Stop => client.stop_service(stop(false)).await?.status,
        Action::ForceStop => client.stop_service(stop(true)).await?.status,
        Action::Restart => {
            let request = RestartServiceRequest { service_name };
            client.restart_service(request).await?.status
        }
        Action::Kill => {
            let request = ForceKillServiceRequest { service_name };
            client.force_kill_service(request).await?.status
        }
    })
}

/// What a stream has by now, at least one message; a stream that is over is let go of. Cancel safe.
async fn batch<T>(stream: &mut Option<Box<Streaming<T>>>) -> Vec<T> {
    let Some(messages) = stream else {
        return pending().await;
    };
    let mut batch = Vec::new();
    let mut next = messages.next().await;
    while let Some(Ok(message)) = next {
        batch.push(message);
        if batch.len() == BATCH {
            return batch;
        }
        match messages.next().now_or_never() {
            Some(another) => next = another,
            None => return batch,
        }
    }
    *stream = None;
    batch
}
