//! The text of a page of metrics, in two dialects: OpenMetrics, and the older text format of Prometheus.
//!
//! They differ in the end of the page, in the names of counters (`x` and `x_total`), and in the kinds: the
//! older one has no units, no infos and no state sets.

use std::fmt::Write as _;

/// How a page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    OpenMetrics,
    Prometheus,
}

impl Dialect {
    /// What the `Accept` header of a request asks for. OpenMetrics unless only the other one is named.
    pub(super) fn accepted(accept: &str) -> Self {
        if accept.contains("text/plain") && !accept.contains("application/openmetrics-text") {
            Self::Prometheus
        } else {
            Self::OpenMetrics
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
    StateSet,
}

/// A metric of which there is a value for each combination of labels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    /// Without the suffix of its kind.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The last word of the name; empty where there is none.
    pub(super) unit: &'static str,
    pub(super) help: &'static str,
}

/// A page that is being written.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
    dialect: Dialect,
}

impl Page {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            text: String::new(),
            dialect,
        }
    }

    /// Begins a family. Its samples follow, and none of them later.
    pub(super) fn family(&mut self, family: &Family) -> Samples<'_> {
        let Family {
            name,
            kind,
            unit,
            help,
        } = *family;
        let (suffix, kind_name) = match (kind, self.dialect) {
            (Kind::Counter, Dialect::OpenMetrics) => ("", "counter"),
            (Kind::Counter, Dialect::Prometheus) => ("_total", "counter"),
            (Kind::Gauge, _) => ("", "gauge"),
            (Kind::Histogram, _) => ("", "histogram"),
            (Kind::Info, Dialect::OpenMetrics) => ("", "info"),
            (Kind::Info, Dialect::Prometheus) => ("_info", "gauge"),
            (Kind::StateSet, Dialect::OpenMetrics) => ("", "stateset"),
            (Kind::StateSet, Dialect::Prometheus) => ("", "gauge"),
        };
        self.line(format_args!("# HELP {name}{suffix} {help}"));
        self.line(format_args!("# TYPE {name}{suffix} {kind_name}"));
        if !unit.is_empty() && self.dialect == Dialect::OpenMetrics {
            self.line(format_args!("# UNIT {name}{suffix} {unit}"));
        }
        Samples {
            page: self,
            name,
            kind,
        }
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> String {
        match self.dialect {
            Dialect::OpenMetrics => self.text.push_str("# EOF\n"),
            Dialect::Prometheus => {}
        }
        self.text
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing into a string cannot fail.
        let _ = self.text.write_fmt(text);
        self.text.push('\n');
    }
}

/// Where the samples of one family go.
#[derive(Debug)]
pub(super) struct Samples<'a> {
    page: &'a mut Page,
    name: &'static str,
    kind: Kind,
}

/// Name and value of a label.
pub(super) type Label<'a> = (&'a str, &'a str);

impl Samples<'_> {
    /// One value.
    pub(super) fn add(&mut self, labels: &[Label<'_>], value: f64) {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram | Kind::StateSet => "",
        };
        self.sample(suffix, labels, value);
    }

    /// All states of one set, of which `active` holds.
    pub(super) fn states<'s>(
        &mut self,
        of: Label<'_>,
        states: impl IntoIterator<Item = &'s str>,
        active: &str,
    ) {
        for state in states {
            self.add(&[of, (self.name, state)], f64::from(state == active));
        }
    }

    /// A histogram: how many values lay in each class, the last without an upper bound, and their sum.
    pub(super) fn classes(
        &mut self,
        labels: &[Label<'_>],
        bounds: impl IntoIterator<Item = f64>,
        counts: &[u64],
        sum: f64,
    ) {
        let bounds = bounds
            .into_iter()
            .map(|bound| format!("{bound:?}"))
            .chain(["+Inf".to_owned()]);
        let mut below = 0;
        for (bound, count) in bounds.zip(counts) {
            below += count;
            let mut labels = labels.to_vec();
            labels.push(("le", &bound));
            self.sample("_bucket", &labels, below as f64);
        }
        self.sample("_count", labels, below as f64);
        self.sample("_sum", labels, sum);
    }

    fn sample(&mut self, suffix: &str, labels: &[Label<'_>], value: f64) {
        let text = &mut self.page.text;
        text.push_str(self.name);
        text.push_str(suffix);
        for (index, (name, value)) in labels.iter().enumerate() {
            text.push(if index == 0 { '{' } else { ',' });
            text.push_str(name);
            text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    other => text.push(other),
                }
            }
            text.push('"');
        }
        let close = if labels.is_empty() { "" } else { "}" };
        self.page.line(format_args!("{close} {value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(dialect: Dialect) -> String {
        let mut page = Page::new(dialect);
        let family = |name, kind, unit| Family {
            name,
            kind,
            unit,
            help: "What.",
        };
        let mut counter = page.family(&family("a_seconds", Kind::Counter, "seconds"));
        counter.add(&[("x", "q\"\\\n")], 1.5);
        let mut info = page.family(&family("b", Kind::Info, ""));
        info.add(&[("v", "1")], 1.0);
        let mut states = page.family(&family("c", Kind::StateSet, ""));
        states.states(("of", "t"), ["on", "off"], "off");
        let mut histogram = page.family(&family("d", Kind::Histogram, ""));
        histogram.classes(&[], [0.0005, 1.0], &[2, 0, 1], 9.25);
        page.finish()
    }

    #[test]
    fn open_metrics_has_units_states_and_an_end() {
        let expected = "# HELP a_seconds What.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
            a_seconds_total{x=\"q\\\"\\\\\\n\"} 1.5\n\
            # HELP b What.\n# TYPE b info\nb_info{v=\"1\"} 1\n\
            # HELP c What.\n# TYPE c stateset\nc{of=\"t\",c=\"on\"} 0\nc{of=\"t\",c=\"off\"} 1\n\
            # HELP d What.\n# TYPE d histogram\nd_bucket{le=\"0.0005\"} 2\nd_bucket{le=\"1.0\"} 2\n\
            d_bucket{le=\"+Inf\"} 3\nd_count 3\nd_sum 9.25\n# EOF\n";
        assert_eq!(page(Dialect::OpenMetrics), expected);
    }

    #[test]
    fn the_older_format_names_counters_and_infos_in_full() {
        let text = page(Dialect::Prometheus);
        for line in [
            "# TYPE a_seconds_total counter",
            "# TYPE b_info gauge",
            "# TYPE c gauge",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        assert!(
            !text.contains("# UNIT") && !text.contains("# EOF"),
            "{text}"
        );
    }

    #[test]
    fn open_metrics_is_what_nobody_asks_otherwise_for() {
        for (accept, dialect) in [
            ("", Dialect::OpenMetrics),
            ("*/*", Dialect::OpenMetrics),
            ("text/plain", Dialect::Prometheus),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2",
                Dialect::OpenMetrics,
            ),
        ] {
            assert_eq!(Dialect::accepted(accept), dialect, "{accept}");
        }
    }
}
