//! The cluster a command asks, and the settings of the ironlb that runs in it.

use std::path::PathBuf;

use clap::Parser;
use ironlb_k8s::once::{self, Controller, Missing};
use ironlb_k8s::{Clients, ClusterArgs, Selection, Source};
use ironlb_model::{ServiceSelection, Settings};
use kube::Client;

/// Which cluster is asked, and as whom.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Connection {
    /// A kubeconfig file; without it KUBECONFIG, ~/.kube/config, or the pod's service account.
    #[arg(long, value_name = "PATH")]
    kubeconfig: Option<PathBuf>,

    /// The context in it; without it the current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// Judge as if the controller had this class; without it, the one it runs with.
    #[arg(long, value_name = "CLASS")]
    load_balancer_class: Option<String>,

    /// Judge as if the controller had this selection; without it, the one it runs with.
    #[arg(long, value_enum)]
    service_selection: Option<Selection>,
}

/// The settings that decide, and where they are from.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) settings: Settings,
    /// A phrase for people.
    pub(crate) source: String,
    /// How the controller runs; none where there is none, or where it may not be read.
    pub(crate) controller: Option<Controller>,
    /// Why its Deployment could not be read.
    pub(crate) missing: Option<Missing>,
}

impl Connection {
    /// A client for the cluster.
    pub(crate) async fn connect(&self) -> anyhow::Result<Clients> {
        let source = Source { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() };
        Ok(Clients::connect(&source).await?)
    }

    /// The settings that decide: those given here, else those of the running controller, else the defaults.
    pub(crate) async fn settings(&self, client: &Client) -> Running {
        self.over(once::controller(client).await)
    }

    fn over(&self, found: Result<Option<Controller>, Missing>) -> Running {
        let (controller, missing) = match found {
            Ok(controller) => (controller, None),
            Err(missing) => (None, Some(missing)),
        };
        let read = controller.as_ref().map(|controller| (controller, settings_of(&controller.arguments)));
        let (mut settings, mut source) = match read {
            Some((controller, Some(settings))) => (settings, format!("as Deployment {} runs", controller.deployment)),
            Some((controller, None)) => {
                let name = &controller.deployment;
                (
                    Settings::default(),
                    format!("the defaults, because the arguments of Deployment {name} cannot be read"),
                )
            }
            None if missing.is_some() => {
                (Settings::default(), "the defaults, because the controller's Deployment cannot be read".to_owned())
            }
            None => (Settings::default(), "the defaults, because there is no Deployment ironlb-controller".to_owned()),
        };
        if let Some(class) = &self.load_balancer_class {
            settings.load_balancer_class.clone_from(class);
        }
        if let Some(selection) = self.service_selection {
            settings.service_selection = match selection {
                Selection::Annotated => ServiceSelection::Annotated,
                Selection::All => ServiceSelection::All,
            };
        }
        match (&self.load_balancer_class, self.service_selection) {
            (None, None) => {}
            (Some(_), Some(_)) => "as given on the command line".clone_into(&mut source),
            _ => source.push_str(", but for what is given on the command line"),
        }
        Running { settings, source, controller, missing }
    }
}

/// The settings in a controller's arguments. Its other flags are passed over: it may be of another version.
fn settings_of(arguments: &[String]) -> Option<Settings> {
    #[derive(Debug, Parser)]
    struct Known {
        #[command(flatten)]
        cluster: ClusterArgs,
    }
    let mut known = vec!["controller".to_owned()];
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        for flag in ["--load-balancer-class", "--service-selection"] {
            if argument == flag {
                known.extend([argument.clone(), rest.next()?.clone()]);
            } else if argument.strip_prefix(flag).is_some_and(|value| value.starts_with('=')) {
                known.push(argument.clone());
            }
        }
    }
    Some(Known::try_parse_from(known).ok()?.cluster.settings())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironlb_k8s::once::Part;

    fn connection() -> Connection {
        Connection { kubeconfig: None, context: None, load_balancer_class: None, service_selection: None }
    }

    fn controller(arguments: &[&str]) -> Controller {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Controller { deployment: "ironlb-system/ironlb-controller".to_owned(), arguments, wanted: 2, ready: 2 }
    }

    #[test]
    fn the_settings_are_those_of_the_running_controller() {
        for (arguments, class, selection) in [
            (&["controller"][..], "ironlb.io/ironlb", ServiceSelection::Annotated),
            (&["controller", "--load-balancer-class=mine", "--not-known-yet"], "mine", ServiceSelection::Annotated),
            (
                &["controller", "--service-selection", "all", "--log-level", "info"],
                "ironlb.io/ironlb",
                ServiceSelection::All,
            ),
        ] {
            let running = connection().over(Ok(Some(controller(arguments))));
            let Settings { load_balancer_class, service_selection } = running.settings;
            assert_eq!((load_balancer_class.as_str(), service_selection), (class, selection), "{arguments:?}");
            assert_eq!(running.source, "as Deployment ironlb-system/ironlb-controller runs");
        }
        let running = connection().over(Ok(Some(controller(&["--service-selection=everything"]))));
        assert_eq!(running.settings, Settings::default());
        assert!(running.source.contains("cannot be read"), "{}", running.source);
    }

    #[test]
    fn what_is_given_on_the_command_line_comes_first() {
        let given = Connection { service_selection: Some(Selection::All), ..connection() };
        let running = given.over(Ok(Some(controller(&["--load-balancer-class=mine"]))));
        assert_eq!(running.settings.load_balancer_class, "mine");
        assert_eq!(running.settings.service_selection, ServiceSelection::All);
        assert!(running.source.ends_with("but for what is given on the command line"), "{}", running.source);
    }

    #[test]
    fn without_a_readable_deployment_the_defaults_are_told_as_such() {
        let missing = Missing { part: Part::Controller, error: "refused (403): no".to_owned(), is_forbidden: true };
        for (found, want) in [(Ok(None), "there is no Deployment"), (Err(missing), "cannot be read")] {
            let running = connection().over(found);
            assert_eq!(running.settings, Settings::default());
            assert!(running.source.contains(want), "{}", running.source);
        }
    }
}
