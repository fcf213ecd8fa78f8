//! The process's log: one line per event on standard error, as text for people or JSON for machines.

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

/// The form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people; in colour on a terminal.
    #[default]
    Text,
    /// One JSON object a line, the event's fields beside its time, level and message.
    Json,
}

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter does not parse; the user's to mend.
    #[error("log filter {filter:?} is neither a level nor a list like info,ironlb_k8s=debug")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// The process has a log already; a bug.
    #[error("logging was started twice")]
    Twice,
}

impl LogError {
    /// A name from a closed list.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Filter { .. } => "filter",
            Self::Twice => "twice",
        }
    }
}

/// Starts the process's log. `filter` is a level (`info`) or a list of levels by module (`info,ironlb_k8s=debug`).
///
/// # Errors
/// [`LogError::Filter`] when the filter does not parse, [`LogError::Twice`] when the process has a log already.
pub fn start_logging(format: LogFormat, filter: &str) -> Result<(), LogError> {
    let ansi = std::io::stderr().is_terminal();
    let subscriber = subscriber(format, filter, ansi, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Twice)?;
    // Crates that log through `log` instead. A failure means that another crate has taken that facade: its loss only.
    let _ = tracing_log::LogTracer::init();
    Ok(())
}

fn subscriber<W>(
    format: LogFormat,
    filter: &str,
    ansi: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter =
        EnvFilter::builder().parse(filter).map_err(|source| LogError::Filter { filter: filter.to_owned(), source })?;
    let base = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(ansi);
    Ok(match format {
        LogFormat::Text => Box::new(base.with(lines)),
        LogFormat::Json => Box::new(base.with(lines.json().flatten_event(true).with_span_list(false))),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing::{debug, info, info_span};

    use super::*;
    use crate::fields;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no test panics while writing").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The lines that two events inside a span make.
    fn logged(format: LogFormat, filter: &str) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let subscriber = subscriber(format, filter, false, move || writer.clone()).expect("the filter is right");
        tracing::subscriber::with_default(subscriber, || {
            let _span = info_span!("watch", { fields::KIND } = "Service").entered();
            info!({ fields::VIP } = "192.0.2.1", { fields::ATTEMPT } = 2, "answering");
            debug!("too fine");
        });
        let bytes = memory.0.lock().expect("no test panics while writing").clone();
        String::from_utf8(bytes).expect("lines are text")
    }

    #[test]
    fn text_lines() {
        let text = logged(LogFormat::Text, "info");
        assert_eq!(text.lines().count(), 1, "{text}");
        for part in [" INFO ", "watch{kind=\"Service\"}", "answering", "vip=\"192.0.2.1\"", "attempt=2"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains('\u{1b}'), "no colour outside a terminal");
    }

    #[test]
    fn json_lines() {
        let line = logged(LogFormat::Json, "info");
        let event: serde_json::Value = serde_json::from_str(&line).expect("one object");
        assert_eq!(event["level"], "INFO");
        assert_eq!(event["message"], "answering");
        assert_eq!(event[fields::VIP], "192.0.2.1");
        assert_eq!(event[fields::ATTEMPT], 2);
        assert_eq!(event["span"][fields::KIND], "Service");
        assert!(event["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
    }

    #[test]
    fn filters() {
        assert_eq!(logged(LogFormat::Json, "debug").lines().count(), 2);
        assert_eq!(logged(LogFormat::Json, "warn,ironlb_telemetry=info").lines().count(), 1);
        assert_eq!(logged(LogFormat::Json, "error"), "");
        for wrong in ["verbose=loud", "info,a=b=c"] {
            let Err(error) = subscriber(LogFormat::Text, wrong, false, std::io::sink) else {
                panic!("{wrong} was accepted");
            };
            assert_eq!(error.category(), "filter");
            assert!(error.to_string().contains(wrong), "{error}");
        }
    }
}
