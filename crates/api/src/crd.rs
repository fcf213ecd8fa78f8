//! The CRDs, made from the types and the [rules](crate::rules).
//!
//! What the derive gives is stamped with [`CRD_VERSION`], gets its columns, and is changed in four ways, each for a reason
//! found on a real API server:
//! - every `nullable` is taken out, so that a `null` (what a template renders for an empty value) counts as absent;
//! - the rules are put in;
//! - OpenELB's kinds are served as `v1alpha1` as well, with the same schema and status subresource: a narrower schema
//!   would drop on each write through that version what the other wrote;
//! - `spec` may be absent where no field of it is required, and is then the empty object.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use crate::columns;
use crate::names::annotation;
use crate::rules::{RULES, Versions};
use crate::{BgpConf, BgpPeer, Eip, Speaker};

/// The number of the CRDs' contents, raised by one with every change of a schema or rule that is released: the greater
/// one is never replaced by the smaller.
pub const CRD_VERSION: u32 = 1;

/// The version OpenELB's kinds are stored in.
pub const STORED_VERSION: &str = "v1alpha2";

/// OpenELB's older version, which stays served.
pub const OLD_VERSION: &str = "v1alpha1";

/// The four CRDs: Eip, BgpConf, BgpPeer, Speaker.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![
        with_old_version(finish(Eip::crd())),
        with_old_version(finish(with_optional_spec(BgpConf::crd()))),
        with_old_version(finish(with_optional_spec(BgpPeer::crd()))),
        finish(Speaker::crd()),
    ]
}

/// Which [`CRD_VERSION`] a CRD was made with; `None` for OpenELB's own.
#[must_use]
pub fn crd_version(crd: &CustomResourceDefinition) -> Option<u32> {
    crd.metadata.annotations.as_ref()?.get(annotation::CRD_VERSION)?.parse().ok()
}

/// Is the CRD in the cluster newer than the one we would put in its place?
#[must_use]
pub fn is_newer_than_ours(installed: &CustomResourceDefinition) -> bool {
    crd_version(installed).is_some_and(|installed| installed > CRD_VERSION)
}

/// Stamps, cleans, and adds columns and rules.
fn finish(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    crd.metadata
        .annotations
        .get_or_insert_default()
        .insert(annotation::CRD_VERSION.to_owned(), CRD_VERSION.to_string());
    let names = &mut crd.spec.names;
    names.list_kind = Some(format!("{}List", names.kind));
    names.categories.take_if(|list| list.is_empty());
    names.short_names.take_if(|list| list.is_empty());
    let kind = names.kind.clone();
    for version in &mut crd.spec.versions {
        version.additional_printer_columns = Some(columns::of(&kind));
        if let Some(root) = root_schema(version) {
            strip_nullable(root);
            for rule in RULES.iter().filter(|rule| rule.kind == kind) {
                if let Some(property) = property_at(root, rule.path) {
                    property.x_kubernetes_validations.get_or_insert_default().push(rule.to_validation());
                }
            }
        }
    }
    crd
}

/// Serves the same schema as `v1alpha1` as well, less the rules that do not stand there.
fn with_old_version(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let Some(stored) = crd.spec.versions.first() else { return crd };
    let mut old = stored.clone();
    old.name = OLD_VERSION.to_owned();
    old.storage = false;
    if let Some(root) = root_schema(&mut old) {
        for rule in RULES.iter().filter(|rule| rule.kind == crd.spec.names.kind && rule.versions == Versions::V1alpha2)
        {
            if let Some(property) = property_at(root, rule.path) {
                let left_out = rule.to_validation();
                property.x_kubernetes_validations.get_or_insert_default().retain(|kept| *kept != left_out);
                property.x_kubernetes_validations.take_if(|list| list.is_empty());
            }
        }
    }
    crd.spec.versions.insert(0, old);
    crd
}

/// Lets an object leave `spec` out, as OpenELB's CRDs do.
fn with_optional_spec(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(root) = root_schema(version) {
            root.required.take();
            if let Some(spec) = property_at(root, &["spec"]) {
                spec.default = Some(JSON(serde_json::json!({})));
            }
        }
    }
    crd
}

fn root_schema(version: &mut CustomResourceDefinitionVersion) -> Option<&mut JSONSchemaProps> {
    version.schema.as_mut()?.open_api_v3_schema.as_mut()
}

fn property_at<'a>(root: &'a mut JSONSchemaProps, path: &[&str]) -> Option<&'a mut JSONSchemaProps> {
    path.iter().try_fold(root, |schema, name| schema.properties.as_mut()?.get_mut(*name))
}

fn strip_nullable(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    for property in schema.properties.iter_mut().flat_map(|map| map.values_mut()) {
        strip_nullable(property);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => strip_nullable(items),
        Some(JSONSchemaPropsOrArray::Schemas(list)) => list.iter_mut().for_each(strip_nullable),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        strip_nullable(values);
    }
}

#[cfg(test)]
mod tests;
