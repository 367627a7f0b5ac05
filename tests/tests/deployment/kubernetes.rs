//! `deploy/kubernetes/`.

use crate::{deploy, documents, exactly, is_installed, parse};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Container, PodTemplateSpec, Probe, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// How long a worker takes to end: it waits for others to take over, then for calls.
const WORKER_ENDS_SECONDS: i64 = 15 + 10;

/// A kustomization, as far as it is used here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kustomization {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    namespace: String,
    resources: Vec<String>,
    #[serde(default)]
    images: Vec<Image>,
    config_map_generator: Vec<Generator>,
    #[serde(default)]
    patches: Vec<Patch>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    name: String,
    #[serde(rename = "newName")]
    _new_name: String,
    #[serde(rename = "newTag")]
    _new_tag: String,
}

#[derive(Debug, Deserialize)]
struct Generator {
    name: String,
    #[serde(rename = "behavior")]
    _behavior: Option<String>,
    #[serde(default)]
    literals: Vec<String>,
    #[serde(default)]
    files: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Patch {
    path: String,
}

/// One of the kinds that are used.
pub(crate) enum Resource {
    StatefulSet(Box<StatefulSet>),
    Deployment(Box<Deployment>),
    Autoscaler(Box<HorizontalPodAutoscaler>),
    Other,
}

fn read(document: &Value, whence: &str) -> Resource {
    let text = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default();
    let whence = &format!("{whence}, {}", text("kind"));
    match (text("apiVersion"), text("kind")) {
        ("v1", "Service") => drop(exactly::<Service>(document, whence)),
        ("v1", "ConfigMap") => drop(exactly::<ConfigMap>(document, whence)),
        ("policy/v1", "PodDisruptionBudget") => drop(exactly::<PodDisruptionBudget>(document, whence)),
        ("apps/v1", "StatefulSet") => return Resource::StatefulSet(Box::new(exactly(document, whence))),
        ("apps/v1", "Deployment") => return Resource::Deployment(Box::new(exactly(document, whence))),
        ("autoscaling/v2", "HorizontalPodAutoscaler") => {
            return Resource::Autoscaler(Box::new(exactly(document, whence)));
        }
        other => panic!("{whence}: {other:?} is not checked yet"),
    }
    Resource::Other
}

fn kustomization(folder: &str) -> Kustomization {
    let path = deploy("kubernetes").join(folder).join("kustomization.yaml");
    let [document] = <[_; 1]>::try_from(documents(&path)).unwrap();
    exactly(&document, folder)
}

/// All of `base`.
pub(crate) fn base() -> Vec<Resource> {
    let resources = kustomization("base").resources.into_iter();
    let paths = resources.map(|resource| deploy("kubernetes/base").join(resource));
    paths
        .flat_map(|path| {
            documents(&path).iter().map(|one| read(one, &path.display().to_string())).collect::<Vec<_>>()
        })
        .collect()
}

/// The pods that a resource makes, with its selector and the names of the volumes it claims.
pub(crate) fn pods(resource: &Resource) -> Option<(&PodTemplateSpec, &LabelSelector, BTreeSet<String>)> {
    match resource {
        Resource::StatefulSet(set) => {
            let spec = set.spec.as_ref()?;
            let claims = spec.volume_claim_templates.iter().flatten();
            let claims = claims.filter_map(|claim| claim.metadata.name.clone()).collect();
            Some((&spec.template, &spec.selector, claims))
        }
        Resource::Deployment(deployment) => {
            let spec = deployment.spec.as_ref()?;
            Some((&spec.template, &spec.selector, BTreeSet::new()))
        }
        _ => None,
    }
}

#[test]
fn the_manifests_are_of_their_types_and_no_field_is_unknown() {
    let base = base();
    assert_eq!(base.iter().filter(|resource| pods(resource).is_some()).count(), 3);
    let named: BTreeSet<String> = kustomization("base").resources.into_iter().collect();
    let files = std::fs::read_dir(deploy("kubernetes/base")).unwrap();
    let files: BTreeSet<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files.difference(&named).collect::<Vec<_>>(), ["kustomization.yaml"], "every file is used");
}

#[test]
fn every_pod_is_selected_probed_mounted_and_has_time_to_end() {
    let resources = base();
    for (template, selector, claims) in resources.iter().filter_map(pods) {
        let (labels, spec) =
            (template.metadata.as_ref().unwrap().labels.as_ref().unwrap(), template.spec.as_ref().unwrap());
        let [container] = spec.containers.as_slice() else { panic!("one container") };
        let name = &container.name;
        for (key, value) in selector.match_labels.as_ref().unwrap() {
            assert_eq!(labels.get(key), Some(value), "{name}");
        }
        assert_eq!(spec.enable_service_links, Some(false), "{name}: links would be options");
        let volumes = spec.volumes.iter().flatten().map(|volume| volume.name.clone());
        let volumes: BTreeSet<String> = volumes.chain(claims).collect();
        let mounts = container.volume_mounts.iter().flatten();
        assert_eq!(mounts.map(|mount| mount.name.clone()).collect::<BTreeSet<_>>(), volumes, "{name}");
        check_container(container);
        if name == "worker" {
            assert!(spec.termination_grace_period_seconds.unwrap() > WORKER_ENDS_SECONDS);
        }
    }
}

fn check_container(container: &Container) {
    let name = &container.name;
    let ports = container.ports.as_ref().unwrap();
    let grpc = ports.iter().find(|port| port.name.as_deref() == Some("grpc")).unwrap().container_port;
    let probes = [&container.startup_probe, &container.readiness_probe, &container.liveness_probe];
    for probe in
        probes.map(|probe: &Option<Probe>| probe.as_ref().unwrap_or_else(|| panic!("{name} lacks a probe")))
    {
        let command = probe.exec.as_ref().unwrap().command.as_ref().unwrap();
        assert_eq!(*command, ["pelton-probe", "--connect", &format!("localhost:{grpc}")], "{name}");
        // The probe itself gives up after 2 s, and says why.
        assert!(probe.timeout_seconds.unwrap() > 2, "{name}");
    }
    let arguments = container.args.as_ref().unwrap();
    let listens = arguments.iter().any(|argument| argument.ends_with(&format!("0.0.0.0:{grpc}")));
    assert!(listens, "{name}: {arguments:?}");
    let environment = container.env.as_ref().unwrap();
    let known: BTreeSet<&str> = environment.iter().map(|variable| variable.name.as_str()).collect();
    for argument in arguments {
        for variable in argument.split("$(").skip(1) {
            let variable = variable.split_once(')').unwrap().0;
            assert!(known.contains(variable), "{name}: {argument}");
        }
    }
    let generators = kustomization("base").config_map_generator;
    let literals = generators.iter().flat_map(|generator| &generator.literals);
    let given: BTreeSet<String> =
        literals.map(|literal| literal.split_once('=').unwrap().0.to_owned()).collect();
    for variable in environment {
        if let Some(reference) =
            variable.value_from.as_ref().and_then(|from| from.config_map_key_ref.as_ref())
        {
            assert!(given.contains(&reference.key), "{name}: {}", reference.key);
        }
    }
    for file in ["PELTON_TLS_CERT", "PELTON_TLS_KEY", "PELTON_TLS_CA"] {
        let variable = environment.iter().find(|variable| variable.name == file).unwrap();
        assert!(variable.value.as_ref().unwrap().starts_with("/tls/"), "{name}");
    }
}

#[test]
fn workers_are_scaled_by_a_metric_that_the_injector_has() {
    let resources = base();
    let autoscaler = resources.iter().find_map(|resource| match resource {
        Resource::Autoscaler(autoscaler) => autoscaler.spec.as_ref(),
        _ => None,
    });
    let autoscaler = autoscaler.unwrap();
    let target = &autoscaler.scale_target_ref;
    let scaled = resources.iter().any(|resource| match resource {
        Resource::Deployment(deployment) => {
            deployment.metadata.name.as_deref() == Some(&target.name)
                && deployment.spec.as_ref().unwrap().replicas.is_none()
        }
        _ => false,
    });
    assert!(scaled, "its count is the autoscaler's alone");
    let metric = &autoscaler.metrics.as_ref().unwrap()[0].external.as_ref().unwrap().metric.name;
    let gauge = format!("metrics::gauge!(\"{metric}\")");
    assert!(is_said(&deploy("../injector/src"), &gauge), "{gauge} is nowhere in the injector");
}

fn is_said(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            is_said(&path, text)
        } else {
            std::fs::read_to_string(path).is_ok_and(|contents| contents.contains(text))
        }
    })
}

#[test]
fn the_foundationdb_variant_patches_what_there_is() {
    let overlay = kustomization("foundationdb");
    let base = kustomization("base");
    assert_eq!((overlay.resources, overlay.namespace), (vec!["../base".to_owned()], base.namespace));
    assert_eq!(
        base.images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>(),
        ["pelton", "my-pipeline"]
    );
    for generator in &overlay.config_map_generator {
        for file in &generator.files {
            assert!(deploy("kubernetes/foundationdb").join(file).is_file(), "{}: {file}", generator.name);
        }
    }
    for patch in overlay.patches {
        for mut document in documents(&deploy("kubernetes/foundationdb").join(&patch.path)) {
            document.as_object_mut().unwrap().remove("$patch");
            read(&document, &patch.path);
        }
    }
}

#[test]
fn kustomize_makes_of_both_variants_what_kubernetes_takes() {
    if !is_installed("kubectl", "--help") {
        return;
    }
    let rendered = |folder: &str| {
        let output =
            Command::new("kubectl").arg("kustomize").arg(deploy("kubernetes").join(folder)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        parse(&String::from_utf8(output.stdout).unwrap(), folder)
    };
    let mut kinds = BTreeMap::new();
    for folder in ["base", "foundationdb"] {
        for document in rendered(folder) {
            let resource = read(&document, folder);
            let Some((template, ..)) = pods(&resource) else { continue };
            let spec = template.spec.as_ref().unwrap();
            *kinds.entry(folder).or_insert(0) += 1;
            let copied =
                spec.init_containers.iter().flatten().any(|container| container.name == "cluster-file");
            assert_eq!(copied, folder == "foundationdb");
            assert_eq!(spec.containers.len(), 1, "the patch changes the container that there is");
        }
    }
    assert_eq!(kinds, BTreeMap::from([("base", 3), ("foundationdb", 2)]));
}
