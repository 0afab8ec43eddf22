//! nginx in front of a server.

use super::{Address, Folder, Server};

/// nginx with this configuration, which listens on a port.
pub fn start_nginx(folder: &Folder, configuration: String, port: u16) -> Server {
    let folder = folder.clone().file("nginx.conf", configuration);
    folder
        .program("nginx", ["-p", ".", "-c", "nginx.conf", "-e", "stderr"])
        .start_at(Address::port(port))
}

/// An nginx that keeps its connections to a FastCGI server on `run/socket`.
pub fn nginx_keeping_connections(folder: &Folder, port: u16) -> String {
    let parameters: String = [
        ("REQUEST_METHOD", "$request_method"),
        ("PATH_INFO", "$uri"),
        ("CONTENT_LENGTH", "$content_length"),
        ("SERVER_PROTOCOL", "$server_protocol"),
        ("SERVER_NAME", "$server_name"),
        ("SERVER_PORT", "$server_port"),
    ]
    .map(|(name, value)| format!("fastcgi_param {name} {value};\n"))
    .concat();
    let socket = folder.path("run/socket").display().to_string();
    format!(
        "daemon off; master_process off; pid run/nginx.pid; error_log stderr;\n\
         events {{}}\n\
         http {{\n\
         access_log off; keepalive_requests 1000000;\n\
         client_body_temp_path run/body; proxy_temp_path run/proxy; fastcgi_temp_path run/fastcgi;\n\
         uwsgi_temp_path run/uwsgi; scgi_temp_path run/scgi;\n\
         upstream application {{ server unix:{socket}; keepalive 16; }}\n\
         server {{\n\
         listen 127.0.0.1:{port};\n\
         location / {{\n\
         fastcgi_pass application; fastcgi_keep_conn on;\n\
         {parameters}}}}}}}\n"
    )
}
