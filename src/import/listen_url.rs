//! Addresses as other servers write them, as URLs of ours.

use crate::import::imported_text::ImportedText;

/// The URL of an address: `HOST:PORT`, `:PORT`, `PORT`, `unix:PATH`, a path, or a URL.
#[must_use]
pub fn listen_url(address: &ImportedText) -> ImportedText {
    let beginning = address.beginning();
    for prefix in ["unix://", "unix:"] {
        if let Some(path) = address.without_beginning(prefix) {
            return path.after("unix:");
        }
    }
    for prefix in ["tcp://", "http://"] {
        if let Some(rest) = address.without_beginning(prefix) {
            return with_host(&rest);
        }
    }
    match beginning.starts_with(['/', '.', '@']) || beginning.ends_with(".sock") {
        true => address.clone().after("unix:"),
        false => with_host(address),
    }
}

fn with_host(address: &ImportedText) -> ImportedText {
    let beginning = address.beginning();
    if beginning.starts_with(':') {
        return address.clone().after("tcp://*");
    }
    // A port alone, or an expression that gives one.
    let is_port = match address.literal() {
        Some(text) => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
        None => address.is_variable(),
    };
    if is_port {
        return address.clone().after("tcp://*:");
    }
    match address.literal() {
        // A host alone: gunicorn's and uvicorn's port is 8000.
        Some(host)
            if !host.is_empty() && !host.trim_end_matches(char::is_numeric).ends_with(':') =>
        {
            address.clone().after("tcp://").before(":8000")
        }
        _ => address.clone().after("tcp://"),
    }
}

/// The URL of a host and a port that are given apart.
#[must_use]
pub fn host_and_port(host: &ImportedText, port: &ImportedText) -> ImportedText {
    let host = match host.literal() {
        Some("" | "0.0.0.0" | "::" | "*") => ImportedText::known("*"),
        Some(address) if address.contains(':') && !address.starts_with('[') => {
            ImportedText::known(format!("[{address}]"))
        }
        _ => host.clone(),
    };
    port.clone().joined_after(&host.after("tcp://").before(":"))
}

#[cfg(test)]
mod tests {
    use super::{host_and_port, listen_url};
    use crate::import::imported_text::{ImportedPiece, ImportedText};

    #[test]
    fn addresses_become_urls() {
        for (address, url) in [
            (":8000", "tcp://*:8000"),
            ("8000", "tcp://*:8000"),
            ("127.0.0.1:80", "tcp://127.0.0.1:80"),
            ("[::1]:80", "tcp://[::1]:80"),
            ("localhost", "tcp://localhost:8000"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("unix:///run/a.sock", "unix:/run/a.sock"),
            ("/run/a.sock", "unix:/run/a.sock"),
            ("app.sock", "unix:app.sock"),
            ("tcp://0.0.0.0:5000", "tcp://0.0.0.0:5000"),
        ] {
            let found = listen_url(&ImportedText::known(address));
            assert_eq!(found.literal(), Some(url), "{address}");
        }
        let mut port = ImportedText::default();
        port.push(ImportedPiece::Variable {
            name: "PORT".to_owned(),
            default: None,
        });
        assert_eq!(
            listen_url(&port).expression(),
            "'tcp://*:' + os.environ.get('PORT', '8000')"
        );
        let address = host_and_port(&ImportedText::known("::1"), &port);
        assert_eq!(
            address.expression(),
            "'tcp://[::1]:' + os.environ.get('PORT', '8000')"
        );
    }
}
