//! What `export` makes of programs and files that the machine or image of a server has, or has not.

#[path = "export/exporting.rs"]
mod exporting;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use exporting::{HELLO, export, exported, folder};
use support::Folder;

/// Programs of Debian are installed; others are said to be missing.
#[test]
fn an_image_has_the_programs_that_the_server_starts() {
    let folder = |program: &str, file: &str| {
        let text = format!(
            "app = commands.Alias(command=['serve', 'upstream', 'http', 'exec:', '{program}', '{{socket}}'])\n\
             url = 'tcp://*:8000'\n"
        );
        let folder = Folder::new().file("hello.ini", text);
        folder.executable(file, "#!/bin/sh\n")
    };
    for (program, package) in [("node", "nodejs"), ("php-cgi", "php-cgi"), ("ruby", "ruby")] {
        let text = exported(&folder(program, "a"), "dockerfile");
        let line = format!("apt-get install -y --no-install-recommends {package} ");
        assert!(text.contains(&line), "{text}");
    }
    for (program, file, status) in [
        ("./program", "program", 0),
        ("python3", "a", 0),
        ("my-server", "requirements.txt", 0),
        ("my-server", "a", 2),
        ("/bin/cat", "a", 2),
    ] {
        for target in ["dockerfile", "compose", "kubernetes"] {
            let outcome = export(&folder(program, file), &[target, "hello.ini"]);
            assert_eq!(outcome.status, status, "{program}: {outcome:#?}");
            let is_said = outcome.stderr.contains(&format!("`{program}` is"));
            let is_expected = program == "my-server" || status == 2;
            assert_eq!(is_said, is_expected, "{program}: {outcome:#?}");
        }
    }
}

#[test]
fn an_image_without_a_list_of_packages_is_told() {
    let message = "no list of its Python packages was found";
    let folder = folder("serve", "url = 'tcp://*:8000'\n");
    let outcome = export(&folder, &["dockerfile", "hello.ini"]);
    assert!(outcome.stderr.contains(message), "{outcome:#?}");
    let folder = folder.file("requirements.txt", "");
    let outcome = export(&folder, &["dockerfile", "hello.ini"]);
    assert!(!outcome.stderr.contains(message), "{outcome:#?}");
}

/// The folder has the program, too, and is copied without it.
#[test]
fn an_image_has_the_program_once() {
    for list in ["requirements.txt", "pyproject.toml", "none"] {
        let folder = folder("serve", "url = 'tcp://*:8000'\n").file(list, "[project]\n");
        let text = export(&folder, &["dockerfile", "hello.ini"]).stdout;
        let (before, image) = text.rsplit_once("\nFROM ").expect("an image");
        assert!(before.contains("\nCOPY . .\nRUN rm runner\n"), "{text}");
        let copies = image.lines().filter(|line| line.starts_with("COPY "));
        let mut copies: Vec<&str> = copies.collect();
        copies.retain(|line| *line != "COPY requirements.txt ./");
        let program = "COPY --chmod=755 runner /usr/local/bin/runner";
        assert_eq!(copies, [program, "COPY --from=folder /app ./"], "{text}");
    }
}

/// It stands beside the Dockerfile where there is none.
#[test]
fn a_folder_gets_a_list_of_what_the_image_does_not_need() {
    let folder = folder("serve", "url = 'tcp://*:8000'\n").file("image/.keep", HELLO);
    for expected in [".git\n", "mine\n"] {
        let outcome = export(&folder, &["dockerfile", "hello.ini", "-o", "image"]);
        assert_eq!(outcome.status, 0, "{outcome:#?}");
        let ignored = folder.read("image/.dockerignore");
        assert!(ignored.contains(expected), "{ignored}");
        assert!(folder.read("image/Dockerfile").contains("\nFROM "));
        fs::remove_file(folder.path("image/Dockerfile")).expect("a file");
        fs::write(folder.path("image/.dockerignore"), "mine\n").expect("a file");
    }
    let outcome = export(&folder, &["dockerfile", "hello.ini"]);
    assert!(!outcome.stdout.contains("\n.git\n"), "{outcome:#?}");
}

/// Root reads a key before it becomes another user; systemd starts the server as that user.
#[test]
fn a_key_that_the_user_cannot_read_is_told() {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["example.org".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    for user in ["runner.user = 'nobody'\n", ""] {
        let settings = format!(
            "url = 'https://*:8443'\nrunner.tls.cert = 'cert.pem'\nrunner.tls.key = 'key.pem'\n{user}"
        );
        let folder = folder("serve", &settings)
            .file("cert.pem", certificate.pem())
            .file("key.pem", key.serialize_pem());
        let set = |name: &str, mode| {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(folder.path(name), mode).expect("an own file");
        };
        let said = || export(&folder, &["systemd", "hello.ini"]).stderr;
        set("", 0o755);
        set("key.pem", 0o600);
        let told = "key.pem`: see the rights of `[folder]/key.pem`";
        assert!(said().contains(told), "{}", said());
        set("key.pem", 0o644);
        assert!(!said().contains("key.pem"), "{}", said());
        set("", 0o700);
        let told = "key.pem`: see the rights of `[folder]`";
        assert!(said().contains(told), "{}", said());
    }
}

/// systemd ignores a path with `..`.
#[test]
fn no_path_has_dots() {
    let settings = "url = 'unix:../run/hello.socket'
[runner]
supervise.pid_file = '../run/hello.pid'
supervise.programs = ['../bin/worker']
";
    let folder = folder("supervise', 'serve", settings);
    for target in ["systemd", "nginx"] {
        let outcome = export(&folder, &[target, "hello.ini"]);
        assert!(!outcome.stdout.is_empty(), "{outcome:#?}");
        assert!(!outcome.stdout.contains("/../"), "{outcome:#?}");
    }
}
