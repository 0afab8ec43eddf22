//! A service of Docker Compose.

use serde_json::{Value, json};

use crate::export::containers::container::Container;
use crate::export::containers::yaml_text::yaml;
use crate::export::export_remarks::ExportRemarks;
use crate::export::exported_server::{ExportedServer, whole_seconds};

/// The lines of the file.
pub(in crate::export) fn text(server: &ExportedServer, remarks: &mut ExportRemarks) -> String {
    let container = Container::of(server, remarks);
    let id = server.identifier.as_str();
    let number = container.user.1;
    let folders = container.written.iter().map(|folder| {
        // The user of the container may write there. A colon begins the options.
        if folder.contains(':') {
            let what = format!("Compose cannot mount a folder with a colon, `{folder}`");
            remarks.essential(server, "", what);
        }
        plain(&format!("{folder}:mode=1777"))
    });
    let folders: Vec<String> = folders.collect();
    let ports: Vec<String> = container
        .ports
        .iter()
        .map(|port| format!("{port}:{port}"))
        .collect();
    let mut service = json!({
        "build": ".",
        "image": id,
        "command": container.command.iter().map(|word| plain(word)).collect::<Vec<_>>(),
        "ports": ports,
        "restart": "unless-stopped",
        "user": format!("{number}:{number}"),
        "read_only": true,
        "tmpfs": folders,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "stop_signal": "SIGTERM",
        "stop_grace_period": format!("{}s", whole_seconds(server.stop_timeout) + 10),
    });
    if container.ports.is_empty() {
        remove(&mut service, "ports");
    }
    if container.has_low_port {
        service["sysctls"] = json!({ "net.ipv4.ip_unprivileged_port_start": "0" });
    }
    if !container.health.is_empty() {
        let test = container.health.iter().map(|word| plain(word));
        let test: Vec<String> = ["CMD".to_owned()].into_iter().chain(test).collect();
        service["healthcheck"] = json!({
            "test": test,
            "interval": "30s",
            "timeout": "5s",
            "start_period": "60s",
        });
    }
    if let Some(memory) = server.workers.max_memory {
        service["deploy"] =
            json!({ "resources": { "limits": { "memory": format!("{memory}b") } } });
    }
    let mut services = json!({});
    services[id] = service;
    format!(
        "# The image is that of `runner export dockerfile`, in the same folder.\n{}",
        yaml(&json!({ "services": services }))
    )
}

fn remove(object: &mut Value, name: &str) {
    if let Some(members) = object.as_object_mut() {
        members.remove(name);
    }
}

/// A text in which Compose replaces no variable.
fn plain(text: &str) -> String {
    text.replace('$', "$$")
}
