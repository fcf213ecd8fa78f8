//! The same binary as a plugin of kubectl: called `kubectl-ironlb`, it is `kubectl ironlb` and has the commands for people only.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{CommandFactory, FromArgMatches, Parser};

use crate::{Cli, Command};

/// The commands that need a pod of ironlb's around them.
const NOT_FOR_PEOPLE: [&str; 3] = ["controller", "speaker", "probe"];

/// Reads the command line; on one that cannot be read, or asks for help, it is told and the process ends.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Command {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if !arguments.first().is_some_and(|name| is_plugin(name)) {
        return Cli::parse_from(arguments).command;
    }
    let matches = command().get_matches_from(arguments);
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).command
}

/// Is this the name under which kubectl starts a plugin `ironlb`?
fn is_plugin(name: &OsStr) -> bool {
    Path::new(name).file_name().and_then(OsStr::to_str).is_some_and(|name| name == "kubectl-ironlb")
}

/// The commands as kubectl's users see them.
fn command() -> clap::Command {
    let mut command = Cli::command().name("kubectl-ironlb").bin_name("kubectl ironlb");
    for name in NOT_FOR_PEOPLE {
        command = command.mut_subcommand(name, |command| command.hide(true));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_the_path_decides() {
        for (name, want) in [
            ("ironlb", false),
            ("/usr/local/bin/ironlb", false),
            ("kubectl-ironlb", true),
            ("/home/me/.krew/bin/kubectl-ironlb", true),
            ("/usr/local/kubectl-ironlb/ironlb", false),
        ] {
            assert_eq!(is_plugin(OsStr::new(name)), want, "{name}");
        }
    }

    #[test]
    fn its_help_speaks_of_kubectl_and_of_commands_for_people() {
        let help = command().render_help().to_string();
        assert!(help.contains("Usage: kubectl ironlb") && help.contains("explain"), "{help}");
        assert!(!help.contains("speaker"), "{help}");
        command().debug_assert();
    }
}
