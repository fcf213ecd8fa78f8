//! What the demo prints: steps, tables and figures, in colour where the terminal has it.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// A terminal, or a file that wants no colour.
#[derive(Debug)]
pub struct Console {
    colour: bool,
    started: Instant,
    step: usize,
}

/// How text is shown.
#[derive(Debug, Clone, Copy)]
enum Shade {
    Step,
    Dim,
    Good,
    Bad,
}

impl Shade {
    /// The ANSI sequence (ECMA-48 SGR).
    fn code(self) -> &'static str {
        match self {
            Self::Step => "\x1b[1;36m",
            Self::Dim => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[1;31m",
        }
    }
}

impl Console {
    /// The standard output: colour if it is a terminal and `NO_COLOR` is not set.
    #[must_use]
    pub fn stdout() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colour, started: Instant::now(), step: 0 }
    }

    fn shaded(&self, shade: Shade, text: &str) -> String {
        if self.colour { format!("{}{text}\x1b[0m", shade.code()) } else { text.to_owned() }
    }

    /// A numbered step, with what it is about.
    pub fn step(&mut self, title: &str) {
        self.step += 1;
        let clock = format!("{:5.1} s", self.started.elapsed().as_secs_f64());
        println!(
            "\n{} {}",
            self.shaded(Shade::Step, &format!("[{}] {title}", self.step)),
            self.shaded(Shade::Dim, &clock)
        );
    }

    /// A sentence under the step.
    pub fn say(&self, text: &str) {
        println!("    {text}");
    }

    /// A fact that was read from the running site.
    pub fn fact(&self, text: &str) {
        println!("    {} {text}", self.shaded(Shade::Good, "\u{2713}"));
    }

    /// Something that is not as it should be.
    pub fn fault(&self, text: &str) {
        println!("    {} {text}", self.shaded(Shade::Bad, "\u{2717}"));
    }

    /// A command a person could type, and what it printed.
    pub fn command(&self, line: &str, output: &str) {
        println!("    {}", self.shaded(Shade::Dim, &format!("$ {line}")));
        for row in output.trim_end().lines() {
            println!("      {row}");
        }
    }

    /// Says what is waited for, until `work` ends: a line that counts the seconds on a terminal, one line elsewhere.
    pub async fn waiting<T>(&self, what: &str, work: impl Future<Output = T>) -> (T, Duration) {
        let start = Instant::now();
        let mut work = std::pin::pin!(work);
        if !std::io::stdout().is_terminal() {
            println!("    {what} ...");
            return (work.await, start.elapsed());
        }
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        loop {
            tokio::select! {
                done = &mut work => {
                    print!("\r\x1b[K");
                    return (done, start.elapsed());
                }
                _ = tick.tick() => {
                    print!("\r\x1b[K    {what} ... {:.0} s", start.elapsed().as_secs_f64());
                    // A terminal that cannot be written to only loses the count.
                    drop(std::io::stdout().flush());
                }
            }
        }
    }
}
