//! How a line looks, and how many there were.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    Layer,
    fmt::{
        FmtContext, FormatEvent, FormatFields, MakeWriter,
        format::{self, DefaultFields, JsonFields, Writer},
        layer as lines,
    },
    registry::LookupSpan,
};

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For a person: time, level, message, fields.
    Text,
    /// One JSON object a line.
    Json,
    /// For the journal: a priority before the message, and no time.
    Journal,
}

/// Messages since the process began, in the order of [`LEVELS`].
static MESSAGES: [AtomicU64; LEVELS.len()] = [const { AtomicU64::new(0) }; LEVELS.len()];

const LEVELS: [(Level, &str); 5] = [
    (Level::ERROR, "error"),
    (Level::WARN, "warn"),
    (Level::INFO, "info"),
    (Level::DEBUG, "debug"),
    (Level::TRACE, "trace"),
];

/// How many messages of each level were logged since the process began.
pub(crate) fn messages() -> [(&'static str, u64); LEVELS.len()] {
    let mut counts = LEVELS.map(|(_, name)| (name, 0));
    for ((_, count), messages) in counts.iter_mut().zip(&MESSAGES) {
        *count = messages.load(Ordering::Relaxed);
    }
    counts
}

/// Writes lines of a format.
pub(super) fn layer<S, W>(
    format: Format,
    colors: bool,
    writer: W,
) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = lines().with_ansi(colors).with_writer(writer);
    let text = format::format().with_target(false);
    match format {
        Format::Text => lines.event_format(Counted(text)).boxed(),
        Format::Journal => {
            let text = text.without_time().with_level(false).with_ansi(false);
            lines.event_format(Counted(Prioritised(text))).boxed()
        }
        Format::Json => {
            let json = format::format().json().flatten_event(true);
            let lines = lines.fmt_fields(JsonFields::new());
            lines.event_format(Counted(json)).boxed()
        }
    }
}

/// Counts what it formats.
struct Counted<F>(F);

impl<S, N, F> FormatEvent<S, N> for Counted<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = event.metadata().level();
        if let Some(index) = LEVELS.iter().position(|(one, _)| one == level) {
            MESSAGES[index].fetch_add(1, Ordering::Relaxed);
        }
        self.0.format_event(context, writer, event)
    }
}

/// Puts a priority before what it formats, as `sd-daemon(3)` has it.
struct Prioritised<F>(F);

impl<S, F> FormatEvent<S, DefaultFields> for Prioritised<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    F: FormatEvent<S, DefaultFields>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, DefaultFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        // The journal reads a priority at each line, and a message is one message.
        let mut text = String::new();
        self.0
            .format_event(context, Writer::new(&mut text), event)?;
        for line in text.trim_end().lines() {
            writeln!(writer, "<{priority}>{line}")?;
        }
        Ok(())
    }
}
