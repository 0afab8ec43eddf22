//! Modules that Apache loads.

/// The modules of Apache that a server for https with an application behind HTTP needs.
pub const APACHE: [&str; 6] = [
    "mpm_event",
    "authz_core",
    "proxy",
    "proxy_http",
    "headers",
    "ssl",
];

/// The lines of Apache's configuration that load modules.
pub fn apache_modules(names: &[&str]) -> String {
    let load = |name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
    names.iter().map(load).collect()
}
