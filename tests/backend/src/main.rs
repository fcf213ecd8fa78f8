//! The back end that the lab's Services point at, and the pause container of its pods: one small static program.
//!
//! `ironlb-backend serve` answers HTTP and says which pod on which node answered, so that a measuring client learns
//! where its connection went. `ironlb-backend pause` holds a pod's namespaces open and reaps what is left in them.
//!
//! What it does not do: TLS, request bodies, routing of any kind. It is not shipped; only the lab's images hold it.
//!
//! Where to start reading: [`serve`] for the life of the server, [`connection`] for one client.

mod connection;
mod identity;
mod pause;
mod request;
mod serve;
mod signals;

use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage:
  ironlb-backend serve [--port N] [--grace SECONDS]
      answer HTTP on every address (default port 8080, 0 = any free one);
      on SIGTERM go on serving for the grace time (default 3 s), then finish and end
  ironlb-backend pause
      sleep until SIGTERM or SIGINT, reaping children
environment of serve: POD_NAME (else HOSTNAME), NODE_NAME";

/// Long enough for the endpoint's removal to reach every node's kube-proxy (whose own minimum sync period is 1 s), and
/// short beside a pod's default termination period of 30 s; chosen.
const DEFAULT_GRACE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match parse(&arguments) {
        Ok(Command::Pause) => pause::run(),
        Ok(Command::Serve(options)) => serve::run(&options, identity::Identity::from_environment()),
        Err(message) => {
            eprintln!("ironlb-backend: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ironlb-backend: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, PartialEq)]
enum Command {
    Pause,
    Serve(serve::Options),
}

fn parse(arguments: &[String]) -> Result<Command, String> {
    let (command, rest) = arguments.split_first().ok_or("no command given")?;
    match command.as_str() {
        "pause" if rest.is_empty() => Ok(Command::Pause),
        "serve" => parse_serve(rest).map(Command::Serve),
        "pause" => Err("pause takes no arguments".to_owned()),
        other => Err(format!("unknown command {other:?}")),
    }
}

fn parse_serve(arguments: &[String]) -> Result<serve::Options, String> {
    let mut options = serve::Options { port: 8080, grace: DEFAULT_GRACE };
    let mut words = arguments.iter();
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let wrong = || format!("{flag} cannot be {value:?}");
        match flag.as_str() {
            "--port" => options.port = value.parse().map_err(|_| wrong())?,
            "--grace" => {
                let seconds: f64 = value.parse().map_err(|_| wrong())?;
                options.grace = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
            }
            _ => return Err(format!("unknown flag {flag:?}")),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn command_lines() {
        let serve = |port, millis| Ok(Command::Serve(serve::Options { port, grace: Duration::from_millis(millis) }));
        let rows = [
            ("pause", Ok(Command::Pause)),
            ("serve", serve(8080, 3000)),
            ("serve --port 81", serve(81, 3000)),
            ("serve --grace 0.5 --port 0", serve(0, 500)),
            ("", Err("no command given".to_owned())),
            ("sleep", Err("unknown command \"sleep\"".to_owned())),
            ("pause now", Err("pause takes no arguments".to_owned())),
            ("serve --port", Err("--port needs a value".to_owned())),
            ("serve --port 65536", Err("--port cannot be \"65536\"".to_owned())),
            ("serve --grace -1", Err("--grace cannot be \"-1\"".to_owned())),
            ("serve --tls yes", Err("unknown flag \"--tls\"".to_owned())),
        ];
        for (line, expected) in rows {
            assert_eq!(parsed(line), expected, "{line:?}");
        }
    }
}
