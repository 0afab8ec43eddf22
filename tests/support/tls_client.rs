//! A client that speaks TLS to a server on this machine, with or without a certificate.

#![allow(dead_code, reason = "each test file uses a part of this")]

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::{Address, DEADLINE, Server};

/// A connection of a client.
pub type TlsClient = StreamOwned<ClientConnection, TcpStream>;

/// A client that trusts the certificate in a file of the server's folder.
pub fn client(server: &Server, trusted: &str) -> TlsClient {
    connect(server, trusted, None, b"")
}

/// The same, after a proxy has begun its connection with some bytes.
pub fn client_behind(server: &Server, trusted: &str, begin: &[u8]) -> TlsClient {
    connect(server, trusted, None, begin)
}

/// A client that shows the certificate in a file, which has its key as well.
pub fn client_with(server: &Server, trusted: &str, certificate: &str) -> TlsClient {
    connect(server, trusted, Some(certificate), b"")
}

fn connect(server: &Server, trusted: &str, certificate: Option<&str>, begin: &[u8]) -> TlsClient {
    let pem = |name: &str| server.folder().read(name);
    let read =
        |name: &str| CertificateDer::from_pem_slice(pem(name).as_bytes()).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(read(trusted)).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match certificate {
        Some(name) => {
            let key = PrivateKeyDer::from_pem_slice(pem(name).as_bytes()).expect("a key");
            let config = config.with_client_auth_cert(vec![read(name)], key);
            config.expect("a certificate")
        }
        None => config.with_no_client_auth(),
    };
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a session");
    let Address::Tcp(_, port) = server.address() else {
        panic!("a port was asked for");
    };
    let mut stream = TcpStream::connect(("localhost", *port)).expect("a connection");
    stream.write_all(begin).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
    StreamOwned::new(session, stream)
}
