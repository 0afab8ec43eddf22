//! Objects of Kubernetes: a Deployment and its Service.

use serde_json::{Value, json};

use crate::export::containers::container::Container;
use crate::export::containers::yaml_text::yaml;
use crate::export::export_remarks::ExportRemarks;
use crate::export::exported_server::{ExportedServer, whole_seconds};

/// Seconds in which the cluster stops to send requests, before the server is told to stop.
const LEAVE: u64 = 5;

/// The lines of the file.
pub(in crate::export) fn text(server: &ExportedServer, remarks: &mut ExportRemarks) -> String {
    let container = Container::of(server, remarks);
    let id = server.identifier.as_str();
    let labels = json!({ "app.kubernetes.io/name": id });
    let name = |number: usize| match number {
        0 => "web".to_owned(),
        _ => format!("web-{number}"),
    };
    let ports = container.ports.iter().enumerate();
    let ports = ports.map(|(number, port)| json!({ "name": name(number), "containerPort": port }));
    let status = container
        .pages
        .map(|port| json!({ "name": "status", "containerPort": port }));
    let container_ports: Vec<Value> = ports.chain(status).collect();
    let folders = container.written.iter().enumerate();
    let volumes: Vec<(String, &String)> = folders
        .map(|(number, folder)| (format!("written-{number}"), folder))
        .collect();
    let mounts = volumes
        .iter()
        .map(|(name, folder)| json!({ "name": name, "mountPath": folder }));
    let mut spec = json!({
        "name": id,
        "image": format!("{id}:latest"),
        "command": container.command.iter().map(|word| plain(word)).collect::<Vec<_>>(),
        "ports": container_ports,
        "lifecycle": { "preStop": { "exec": { "command": ["sleep", LEAVE.to_string()] } } },
        "resources": resources(server, remarks),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
        "volumeMounts": mounts.collect::<Vec<_>>(),
    });
    if container.pages.is_none() {
        let what = "only with `runner.status.http = 'tcp://*:9090'`, which other machines reach, can probes ask whether \
                    it is ready (/readyz) and alive (/healthz)";
        remarks.note(server, "runner.status.http", what);
    }
    probes(server, &container, &mut spec);
    let mut security = json!({
        "runAsNonRoot": true,
        "runAsUser": container.user.1,
        "runAsGroup": container.user.1,
        "fsGroup": container.user.1,
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    if container.has_low_port {
        security["sysctls"] =
            json!([{ "name": "net.ipv4.ip_unprivileged_port_start", "value": "0" }]);
    }
    let volumes: Vec<Value> = volumes
        .iter()
        .map(|(name, _)| json!({ "name": name, "emptyDir": {} }))
        .collect();
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": id, "labels": labels },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "automountServiceAccountToken": false,
                    // The server needs `runner.stop_timeout` to finish its requests, and a little to end its workers.
                    "terminationGracePeriodSeconds": LEAVE + whole_seconds(server.stop_timeout) + 10,
                    "securityContext": security,
                    "containers": [spec],
                    "volumes": volumes,
                },
            },
        },
    });
    let mut text = format!(
        "# The image is that of `runner export dockerfile`, which has the file and its code in /app.\n---\n{}",
        yaml(&deployment)
    );
    let is_alone = container.ports.len() == 1;
    let served = container.ports.iter().enumerate().map(|(number, port)| {
        let name = name(number);
        let outside = match is_alone {
            true => 80,
            false => *port,
        };
        json!({ "name": name, "port": outside, "targetPort": name })
    });
    let served: Vec<Value> = served.collect();
    if !served.is_empty() {
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": id, "labels": labels },
            "spec": { "selector": labels, "ports": served },
        });
        text.push_str(&format!("---\n{}", yaml(&service)));
    }
    text
}

/// The probes: the master's pages, or else whether the port is open.
fn probes(server: &ExportedServer, container: &Container, spec: &mut Value) {
    let page = |path: &str| json!({ "httpGet": { "path": path, "port": "status" } });
    let start = server.start_limit.map_or(600, whole_seconds);
    let (ready, alive) = match (container.pages, container.ports.is_empty()) {
        (Some(_), _) => (page("/readyz"), Some(page("/healthz"))),
        (None, false) => (json!({ "tcpSocket": { "port": "web" } }), None),
        (None, true) => return,
    };
    let mut startup = ready.clone();
    startup["periodSeconds"] = json!(2);
    startup["failureThreshold"] = json!(start.div_ceil(2).max(1));
    spec["startupProbe"] = startup;
    let mut readiness = ready;
    readiness["periodSeconds"] = json!(5);
    spec["readinessProbe"] = readiness;
    if let Some(mut liveness) = alive {
        liveness["periodSeconds"] = json!(10);
        liveness["failureThreshold"] = json!(3);
        spec["livenessProbe"] = liveness;
    }
}

/// What a pod asks for, from the numbers and limits of its workers. A limit on the processor would only slow it down.
fn resources(server: &ExportedServer, remarks: &mut ExportRemarks) -> Value {
    let workers = server.workers;
    let mut resources = json!({ "requests": { "cpu": format!("{}m", 100 * workers.min.max(1)) } });
    match (workers.min_memory, workers.max_memory) {
        (Some(min), Some(max)) => {
            resources["requests"]["memory"] = json!(mebibytes(min));
            resources["limits"] = json!({ "memory": mebibytes(max) });
        }
        _ if workers.max > 0 => {
            let what = "without `runner.workers.max_memory` the pod has no limit of memory";
            remarks.note(server, "runner.workers.max_memory", what);
        }
        _ => {}
    }
    resources
}

fn mebibytes(bytes: u64) -> String {
    format!("{}Mi", bytes.div_ceil(1 << 20))
}

/// A text in which Kubernetes replaces no variable: of two dollar signs it takes one.
fn plain(text: &str) -> String {
    text.replace('$', "$$")
}
