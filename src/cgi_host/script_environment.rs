//! The environment of a CGI program (RFC 3875 §4.1): the variables of its request, those that are configured, and no others.
//! Nothing of runner's own environment gets there by itself: it has secrets.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use bytes::Bytes;

use crate::cgi_host::cgi_script::CgiScript;
use crate::interface::Request;
use crate::protocol::cgi::environ::{self, CONSTANTS};

/// The variables of a program.
pub(super) type ScriptEnvironment = BTreeMap<OsString, OsString>;

/// Those for a request. `configured` are beside those of the request, which they do not replace.
pub(super) fn of(
    script: &CgiScript,
    request: &mut Request,
    configured: &[(OsString, OsString)],
) -> ScriptEnvironment {
    request.variables.retain(|(name, _)| is_passed_on(name));
    let mut environment: ScriptEnvironment = configured.iter().cloned().collect();
    let mut set = |name: &[u8], value: &[u8]| {
        let value = OsString::from_vec(value.to_vec());
        environment.insert(OsString::from_vec(name.to_vec()), value);
    };
    for (name, value) in CONSTANTS {
        set(name.as_bytes(), value.as_bytes());
    }
    environ::variables(request, &mut set);
    let root = script.document_root.as_os_str().as_bytes();
    set(b"DOCUMENT_ROOT", root);
    set(b"SCRIPT_FILENAME", script.file.as_os_str().as_bytes());
    // php-cgi runs nothing without it.
    set(b"REDIRECT_STATUS", b"200");
    // RFC 3875 §4.1.6.
    if !request.path_info.is_empty() {
        set(b"PATH_TRANSLATED", &[root, &request.path_info].concat());
    }
    // No request has one (a zero byte is refused), and a process could not be started with one.
    environment.retain(|name, value| !has_zero(name) && !has_zero(value));
    environment
}

fn has_zero(text: &OsStr) -> bool {
    text.as_bytes().contains(&0)
}

/// Whether a variable that a web server in front has set is one about the request. Others could change how a program is run
/// (`LD_PRELOAD`, `BASH_ENV`, `PERL5OPT`).
fn is_passed_on(name: &Bytes) -> bool {
    const NAMES: [&[u8]; 3] = [b"AUTH_TYPE", b"DOCUMENT_URI", b"UNIQUE_ID"];
    const BEGINNINGS: [&[u8]; 4] = [b"REMOTE_", b"REQUEST_", b"SERVER_", b"SSL_"];
    NAMES.contains(&&**name) || BEGINNINGS.iter().any(|it| name.starts_with(it))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;

    use super::of;
    use crate::cgi_host::cgi_script::CgiScript;
    use crate::interface::Request;

    #[test]
    fn variables_come_from_the_request_and_the_settings_alone() {
        let mut request = Request {
            script_name: Bytes::from_static(b"/cgi-bin/a.pl"),
            path_info: Bytes::from_static(b"/x y"),
            ..Request::default()
        };
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        for (name, value) in [
            ("REMOTE_USER", "zoe"),
            ("LD_PRELOAD", "/tmp/x.so"),
            ("PATH", "/tmp"),
            ("SCRIPT_FILENAME", "/etc/passwd"),
            ("DOCUMENT_ROOT", "/"),
            ("BASH_ENV", "/tmp/x"),
        ] {
            request.variables.push((text(name), text(value)));
        }
        for (name, value) in [("proxy", "evil"), ("x-a", "1"), ("x.a", "2"), ("x_a", "3")] {
            request
                .headers
                .append(name, HeaderValue::from_static(value));
        }
        let script = CgiScript {
            file: "/srv/cgi-bin/a.pl".into(),
            interpreter: None,
            document_root: "/srv/cgi-bin".into(),
        };
        let configured = [("PATH", "/bin"), ("HTTP_X_A", "0"), ("TZ", "UTC")];
        let configured = configured.map(|(name, value)| (name.into(), value.into()));
        let environment = of(&script, &mut request, &configured);
        let lines: Vec<String> = environment
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .filter(|line| !line.starts_with("SERVER_SOFTWARE="))
            .collect();
        let expected = [
            "DOCUMENT_ROOT=/srv/cgi-bin",
            "GATEWAY_INTERFACE=CGI/1.1",
            "HTTP_X_A=1",
            "PATH=/bin",
            "PATH_INFO=/x y",
            "PATH_TRANSLATED=/srv/cgi-bin/x y",
            "QUERY_STRING=",
            "REDIRECT_STATUS=200",
            "REMOTE_ADDR=",
            "REMOTE_USER=zoe",
            "REQUEST_METHOD=GET",
            "REQUEST_URI=",
            "SCRIPT_FILENAME=/srv/cgi-bin/a.pl",
            "SCRIPT_NAME=/cgi-bin/a.pl",
            "SERVER_NAME=",
            "SERVER_PORT=",
            "SERVER_PROTOCOL=HTTP/1.1",
            "TZ=UTC",
        ];
        assert_eq!(lines, expected);
    }
}
