//! Manifests that scenarios apply.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ironlb_api::names::annotation;

use crate::ground::SCENARIO;
use crate::release::checkout;

/// The back end's image, as `scripts/images.sh` names it.
pub const BACKEND_IMAGE: &str = "localhost/ironlb/backend:1";

/// An Eip for Layer 2.
#[must_use]
pub fn eip(name: &str, scenario: &str, addresses: &str) -> String {
    format!(
        "apiVersion: network.kubesphere.io/v1alpha2
kind: Eip
metadata: {{name: {name}, labels: {{{SCENARIO}: {scenario}}}}}
spec: {{address: {addresses}, protocol: layer2, interface: eth0}}
"
    )
}

/// A Service that takes an address of an Eip for the pods of the back end; `more` are further lines of its spec.
#[must_use]
pub fn service(name: &str, eip: &str, more: &str) -> String {
    let (opt_in, value, wanted) = (annotation::OPT_IN, annotation::OPT_IN_VALUE, annotation::WANTED_EIP);
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: {name}, annotations: {{{opt_in}: {value}, {wanted}: {eip}}}}}
spec:
  type: LoadBalancer
  selector: {{app: web}}
  ports: [{{name: http, port: 80, targetPort: 8080}}]
  {more}
"
    )
}

/// The back end of the examples, with so many pods.
///
/// # Errors
/// The example cannot be read.
pub fn web(replicas: u8) -> Result<String> {
    let text = example(&checkout("examples/web.yaml"))?;
    let wanted = text.replace("replicas: 2", &format!("replicas: {replicas}"));
    ensure!(wanted != text || replicas == 2, "examples/web.yaml no longer says how many replicas it wants");
    Ok(wanted)
}

/// A manifest of `examples/`, word for word but for the image of its pods, which the lab has under another name.
///
/// # Errors
/// It cannot be read, or has pods of several images.
pub fn example(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let is_image = |line: &&str| line.trim_start().starts_with("image: ");
    let images = text.lines().filter(is_image).count();
    ensure!(images <= 1, "{} has {images} images", file.display());
    let Some(line) = text.lines().find(is_image) else { return Ok(text) };
    let indent = line.len() - line.trim_start().len();
    Ok(text.replace(line, &format!("{:indent$}image: {BACKEND_IMAGE}", "")))
}

/// Every manifest below `examples/`, in the order of their paths.
///
/// # Errors
/// The folder cannot be read.
pub fn examples() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![checkout("examples")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "yaml") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_image_of_an_example_is_changed() {
        let file = checkout("examples/web.yaml");
        let (original, changed) = (std::fs::read_to_string(&file).unwrap(), example(&file).unwrap());
        let differing: Vec<_> = original.lines().zip(changed.lines()).filter(|(a, b)| a != b).collect();
        assert_eq!(
            differing,
            [("          image: nginxinc/nginx-unprivileged:1.29", "          image: localhost/ironlb/backend:1")]
        );
        let eip = checkout("examples/layer2/eip.yaml");
        assert_eq!(example(&eip).unwrap(), std::fs::read_to_string(&eip).unwrap());
    }

    #[test]
    fn the_number_of_pods_can_be_chosen() {
        assert!(web(3).unwrap().contains("replicas: 3"));
        assert!(web(2).unwrap().contains("replicas: 2"));
    }

    #[test]
    fn the_examples_are_found() {
        let all = examples().unwrap();
        assert!(all.iter().any(|file| file.ends_with("layer2/service.yaml")) && all.len() >= 10, "{all:?}");
    }
}
