//! Certificates of clients: which are accepted, and what applications learn of them.

mod support;

use std::fs;
use std::io::{Read, Write};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustix::process::Signal;
use support::{Folder, Outcome, Server, python};
use tls_client::{TlsClient, client_with};

#[path = "support/tls_client.rs"]
mod tls_client;

/// Shows the variables of TLS, one a line.
const WSGI: &str = "\
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    names = sorted(name for name in environ if 'SSL' in name)
    return [f'{name}={environ[name]}\\n'.encode('latin-1') for name in names]
";

/// Shows the extension `tls`.
const ASGI: &str = "\
async def application(scope, receive, send):
    tls = scope['extensions'].get('tls')
    shown = repr(sorted({**tls, 'client_cert_chain': list(tls['client_cert_chain'])}.items())) if tls else 'none'
    tls and tls.clear()
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': shown.encode()})
";

/// An address of mail in a name (RFC 2985 §5.2.1).
const EMAIL: [u64; 7] = [1, 2, 840, 113_549, 1, 9, 1];

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Test, Inc.");
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// The certificate of a client with its key, valid until the end of a year.
    fn sign(&self, name: &str, serial: &[u8], year: i32) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params
            .distinguished_name
            .push(DnType::OrganizationalUnitName, "R+D");
        params
            .distinguished_name
            .push(DnType::CustomDnType(EMAIL.to_vec()), "ada@example.com");
        params.serial_number = Some(SerialNumber::from_slice(serial));
        params.not_before = date_time_ymd(2020, 2, 3);
        params.not_after = date_time_ymd(year, 12, 31);
        let email = "ada@example.com".try_into().expect("an address");
        params.subject_alt_names.push(SanType::Rfc822Name(email));
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.0).expect("a certificate");
        signed.pem() + &key.serialize_pem()
    }

    /// A list of revoked certificates.
    fn revoke(&self, serial: &[u8]) -> String {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let signed = list.signed_by(&self.0).expect("a list");
        signed.pem().expect("PEM")
    }
}

/// A folder with a certificate of the server, and those of clients.
fn folder(kind: &str, app: &str, settings: &str) -> Folder {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("names");
    let (ours, other) = (Authority::new("Our CA"), Authority::new("Other CA"));
    let file = format!(
        "app = commands.Alias(command=['serve', '{kind}', 'import:app.application'])\n\
         url = 'https://localhost:0'\n[runner.tls]\ncert = 'cert.pem'\nclient_ca = 'ca.pem'\n{settings}"
    );
    Folder::new()
        .file("app.py", app)
        .file("app.ini", file)
        .file(
            "cert.pem",
            made.cert.pem() + &made.signing_key.serialize_pem(),
        )
        .file("ca.pem", ours.0.pem())
        .file("crl.pem", ours.revoke(&[9]))
        .file("ada.pem", ours.sign("Ada, \"é\"", &[0x80, 0x0a], 2999))
        .file("bob.pem", ours.sign("Bob", &[9], 2999))
        .file("old.pem", ours.sign("Old", &[3], 2020))
        .file("other.pem", other.sign("Other", &[4], 2999))
}

fn serving(kind: &str, app: &str, settings: &str) -> Server {
    folder(kind, app, settings)
        .runner(["runIni", "app.ini"])
        .start()
}

/// What a client with a certificate, or without one, gets.
fn ask(server: &Server, certificate: Option<&str>) -> Outcome {
    let shown = ["--cacert", "cert.pem", server.url()];
    let lie = ["-H", "SSL-Client-Verify: SUCCESS"];
    let with = certificate.map(|name| ["--cert", name]);
    let all = with
        .iter()
        .flatten()
        .chain(&lie)
        .chain(&shown)
        .copied()
        .collect::<Vec<_>>();
    server.folder().curl(all)
}

#[test]
fn the_variables_are_those_of_mod_ssl() {
    let server = serving("WSGI", WSGI, "client_auth = 'optional'\n");
    let said = ask(&server, Some("ada.pem"));
    assert_eq!(
        said.success(),
        "\
HTTP_SSL_CLIENT_VERIFY=SUCCESS
SSL_CIPHER=TLS_AES_256_GCM_SHA384
SSL_CLIENT_I_DN=O=Test\\, Inc.,CN=Our CA
SSL_CLIENT_I_DN_CN=Our CA
SSL_CLIENT_I_DN_O=Test, Inc.
SSL_CLIENT_M_SERIAL=800A
SSL_CLIENT_SAN_Email_0=ada@example.com
SSL_CLIENT_S_DN=emailAddress=ada@example.com,OU=R\\+D,CN=Ada\\, \\\"é\\\"
SSL_CLIENT_S_DN_CN=Ada, \"é\"
SSL_CLIENT_S_DN_Email=ada@example.com
SSL_CLIENT_S_DN_OU=R+D
SSL_CLIENT_VERIFY=SUCCESS
SSL_CLIENT_V_END=Dec 31 00:00:00 2999 GMT
SSL_CLIENT_V_START=Feb  3 00:00:00 2020 GMT
SSL_PROTOCOL=TLSv1.3
SSL_TLS_SNI=localhost
"
    );
    let none = ask(&server, None);
    assert_eq!(
        none.success(),
        "\
HTTP_SSL_CLIENT_VERIFY=SUCCESS
SSL_CIPHER=TLS_AES_256_GCM_SHA384
SSL_CLIENT_VERIFY=NONE
SSL_PROTOCOL=TLSv1.3
SSL_TLS_SNI=localhost
"
    );
    server.stop();
}

#[test]
fn the_name_of_a_cipher_is_the_one_of_openssl_in_each_version() {
    let server = serving("WSGI", WSGI, "client_auth = 'optional'\n");
    for (version, cipher) in [
        ("1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("1.2", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ("1.3", "TLS_AES_128_GCM_SHA256"),
        ("1.3", "TLS_CHACHA20_POLY1305_SHA256"),
    ] {
        let ciphers = match version {
            "1.2" => "--ciphers",
            _ => "--tls13-ciphers",
        };
        let said = server.folder().curl([
            "--cacert",
            "cert.pem",
            "--tls-max",
            version,
            ciphers,
            cipher,
            server.url(),
        ]);
        let wanted = format!("SSL_CIPHER={cipher}\n");
        assert!(said.success().starts_with(&wanted), "{said:#?}");
        let wanted = format!("SSL_PROTOCOL=TLSv{version}\n");
        assert!(said.stdout.contains(&wanted), "{said:#?}");
    }
    server.stop();
}

#[test]
fn only_valid_certificates_of_the_authority_are_accepted() {
    for (auth, none) in [("optional", true), ("required", false)] {
        let settings = format!("client_auth = '{auth}'\nclient_crl = 'crl.pem'\n");
        let server = serving("WSGI", WSGI, &settings);
        for (certificate, accepted, reason) in [
            (Some("ada.pem"), true, ""),
            (None, none, "the client shows no certificate (runner.tls"),
            (
                Some("old.pem"),
                false,
                "the client's certificate has expired (",
            ),
            (
                Some("other.pem"),
                false,
                "the client's certificate is by no authority of runner.tls.client_ca (",
            ),
            (
                Some("bob.pem"),
                false,
                "the client's certificate is revoked (runner.tls.client_crl) (",
            ),
        ] {
            let said = ask(&server, certificate);
            assert_eq!(said.status == 0, accepted, "{certificate:?}: {said:#?}");
            if !accepted {
                server.wait_for_log(|log| {
                    log.lines()
                        .any(|line| line.contains("no TLS with") && line.contains(reason))
                });
            }
        }
        server.stop();
    }
}

/// An authority alone demands certificates: a mistake lets no stranger in.
#[test]
fn certificates_are_required_unless_the_settings_say_otherwise() {
    let server = serving("WSGI", WSGI, "export_cert = True\n");
    assert_ne!(ask(&server, None).status, 0);
    let said = ask(&server, Some("bob.pem"));
    let pem = server.folder().read("bob.pem");
    let (certificate, _) = pem.split_once("-----BEGIN PRIVATE").expect("a key");
    let certificate = certificate.replace("\r\n", "\n");
    let wanted = format!("SSL_CLIENT_CERT={certificate}");
    assert!(said.success().contains(wanted.trim_end()), "{said:#?}");
    server.stop();
}

#[test]
fn an_asgi_application_has_the_extension_tls() {
    let server = serving("ASGI", ASGI, "client_auth = 'optional'\n");
    let pem = server.folder().read("bob.pem");
    let (certificate, _) = pem.split_once("-----BEGIN PRIVATE").expect("a key");
    let certificate = certificate.replace("\r\n", "\n").replace('\n', "\\n");
    // The second request of a connection has its own copy.
    let twice = [
        "--cacert",
        "cert.pem",
        "--cert",
        "bob.pem",
        server.url(),
        server.url(),
        server.url(),
    ];
    let one = format!(
        "[('cipher_suite', 4866), ('client_cert_chain', ['{certificate}']), ('client_cert_error', None), \
         ('client_cert_name', 'emailAddress=ada@example.com,OU=R\\\\+D,CN=Bob'), ('server_cert', None), ('tls_version', 772)]"
    );
    assert_eq!(server.folder().curl(twice).success(), one.repeat(3));
    let none = ask(&server, None);
    assert_eq!(
        none.success(),
        "[('cipher_suite', 4866), ('client_cert_chain', []), ('client_cert_error', None), \
         ('client_cert_name', None), ('server_cert', None), ('tls_version', 772)]"
    );
    server.stop();
}

#[test]
fn python_clients_show_their_certificates() {
    let server = serving("WSGI", WSGI, "");
    let script = "\
import sys, requests
answer = requests.get(sys.argv[1], cert='ada.pem', verify='cert.pem')
print([line for line in answer.text.split('\\n') if 'S_DN_OU' in line])
try:
    requests.get(sys.argv[1], cert='other.pem', verify='cert.pem')
except requests.exceptions.ConnectionError as error:
    print('refused')
";
    let folder = server.folder();
    fs::write(folder.path("client.py"), script).expect("a file");
    let said = folder.program(python(), ["client.py", server.url()]).run();
    assert_eq!(
        said.success(),
        "['SSL_CLIENT_S_DN_OU=R+D']\nrefused\n",
        "{said:#?}"
    );
    server.stop();
}

#[test]
fn a_reload_reads_authorities_again_and_resumes_no_session_of_before() {
    let server = serving("WSGI", WSGI, "");
    let address = server
        .url()
        .trim_start_matches("https://")
        .trim_end_matches('/')
        .to_owned();
    let say = |session: &str| {
        let script = format!(
            "printf 'GET / HTTP/1.1\\r\\nHost: here\\r\\nConnection: close\\r\\n\\r\\n' | \
             openssl s_client -connect {address} -servername localhost -CAfile cert.pem \
             -cert ada.pem -key ada.pem -ign_eof {session} 2>&1"
        );
        server.folder().program("sh", ["-c", &script]).run().stdout
    };
    assert!(say("-sess_out session").contains("SSL_CLIENT_M_SERIAL=800A"));
    // A resumed session knows the client's certificate as the first one.
    let resumed = say("-sess_in session");
    assert!(resumed.contains("Reused, "), "{resumed}");
    assert!(resumed.contains("SSL_CLIENT_M_SERIAL=800A"), "{resumed}");
    let other = Authority::new("New CA");
    fs::write(server.folder().path("ca.pem"), other.0.pem()).expect("a file");
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("runner: reloaded\n"));
    let refused = say("-sess_in session");
    assert!(!refused.contains("SSL_CLIENT_M_SERIAL"), "{refused}");
    server.stop();
}

#[test]
fn a_reload_ends_connections_whose_clients_it_would_not_accept() {
    let server = serving("WSGI", WSGI, "");
    let mut bob = client_with(&server, "cert.pem", "bob.pem");
    let mut request = || {
        bob.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .expect("a connection");
        let mut got = String::new();
        while !got.contains("SSL_TLS_SNI") {
            let mut part = [0; 4096];
            let length = bob.read(&mut part).expect("a response");
            assert!(length > 0, "{got}");
            got.push_str(&String::from_utf8_lossy(&part[..length]));
        }
    };
    let reload = |times| {
        server.signal(Signal::HUP);
        server.wait_for_log(|log| log.matches("runner: reloaded\n").count() == times);
    };
    request();
    // What has not changed is no reason.
    reload(1);
    request();
    let file = server.folder().read("app.ini") + "client_crl = 'crl.pem'\n";
    fs::write(server.folder().path("app.ini"), file).expect("a file");
    reload(2);
    let end = bob.read_to_end(&mut Vec::new());
    assert!(end.is_ok(), "{end:?}");
    server.stop();
}

/// A request that has begun before a reload and ends behind it is that of a client who is accepted now, or refused.
#[test]
fn no_request_is_answered_to_a_client_that_a_reload_would_not_accept() {
    let server = serving("WSGI", WSGI, "");
    let half = |certificate: &str| {
        let mut client = client_with(&server, "cert.pem", certificate);
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .expect("a connection");
        let mut got = [0; 4096];
        assert!(client.read(&mut got).expect("a response") > 0);
        client
            .write_all(b"GET / HTTP/1.1\r\n")
            .expect("a connection");
        client
    };
    let rest = |mut client: TlsClient| {
        client
            .write_all(b"Host: localhost\r\n\r\n")
            .expect("a connection");
        let mut got = String::new();
        client.read_to_string(&mut got).expect("a response");
        got
    };
    let reload = |change: fn(String) -> String, times| {
        let file = change(server.folder().read("app.ini"));
        fs::write(server.folder().path("app.ini"), file).expect("a file");
        server.signal(Signal::HUP);
        server.wait_for_log(|log| log.matches("runner: reloaded\n").count() == times);
    };
    let misdirected = "HTTP/1.1 421 Misdirected Request\r\n";
    let (ada, bob) = (half("ada.pem"), half("bob.pem"));
    reload(|file| file + "client_crl = 'crl.pem'\n", 1);
    let answer = rest(bob);
    assert!(answer.contains(misdirected), "{answer}");
    let answer = rest(ada);
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(answer.matches("SSL_CLIENT_M_SERIAL=800A").count(), 1);
    assert!(!answer.contains(misdirected), "{answer}");
    // Where none is asked for, none is believed.
    let ada = half("ada.pem");
    let without = |file: String| {
        let lines = file.lines().filter(|line| !line.starts_with("client_"));
        lines.map(|line| format!("{line}\n")).collect()
    };
    reload(without, 2);
    let answer = rest(ada);
    assert!(answer.contains(misdirected), "{answer}");
    let said = "since a reload, its client is not accepted any more (421)";
    server.wait_for_log(|log| log.matches(said).count() == 2);
    server.stop();
}

#[test]
fn a_reload_closes_web_sockets_whose_clients_it_would_not_accept() {
    let app = "\
async def application(scope, receive, send):
    await receive()
    await send({'type': 'websocket.accept'})
    await receive()
";
    // Others may go on.
    let server = serving("ASGI", app, "[runner]\nasgi.drain = '1h'\n");
    let open = |certificate: &str| {
        let mut client = client_with(&server, "cert.pem", certificate);
        client
            .write_all(
                b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            )
            .expect("a connection");
        let mut got = Vec::new();
        while !got.ends_with(b"\r\n\r\n") {
            let mut part = [0];
            client.read_exact(&mut part).expect("a response");
            got.extend(part);
        }
        assert!(got.starts_with(b"HTTP/1.1 101 "));
        client
    };
    let (mut ada, mut bob) = (open("ada.pem"), open("bob.pem"));
    let file = server.folder().read("app.ini") + "tls.client_crl = 'crl.pem'\n";
    fs::write(server.folder().path("app.ini"), file).expect("a file");
    server.signal(Signal::HUP);
    // A close frame and its code.
    let mut frame = [0; 4];
    bob.read_exact(&mut frame).expect("a frame");
    assert_eq!((frame[0], &frame[2..]), (0x88, &1008_u16.to_be_bytes()[..]));
    let said = " at /: since a reload, the client is not accepted any more (code 1008)\n";
    server.wait_for_log(|log| log.contains(said));
    // A ping and a pong.
    ada.write_all(b"\x89\x80\0\0\0\0").expect("a connection");
    ada.read_exact(&mut frame[..2]).expect("a frame");
    assert_eq!(frame[..2], [0x8a, 0]);
    drop(ada);
    server.stop();
}
