//! Units of systemd: a service, and the sockets that systemd listens on for it.

use crate::export::export_remarks::ExportRemarks;
use crate::export::exported_server::{
    ExportedAddress, ExportedServer, ExportedUrl, is_within, whole_seconds,
};

/// Folders that systemd makes for the user of a service, each with the setting of a unit that does.
const MADE: [(&str, &str); 5] = [
    ("/run", "RuntimeDirectory"),
    ("/var/run", "RuntimeDirectory"),
    ("/var/lib", "StateDirectory"),
    ("/var/cache", "CacheDirectory"),
    ("/var/log", "LogsDirectory"),
];

/// What services find programs by (systemd.exec(5)).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin";

/// Folders that `ProtectHome=` hides, and those that `PrivateTmp=` does.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// The service, and its sockets if the server takes sockets.
pub(super) fn texts(
    server: &ExportedServer,
    remarks: &mut ExportRemarks,
) -> (String, Option<String>) {
    let streams = socket_lines(server, remarks);
    let service = service(server, streams.is_some(), remarks);
    let socket = streams.map(|streams| {
        format!(
            "[Unit]\nDescription=Sockets of {}\n\n[Socket]\n{streams}\n[Install]\nWantedBy=sockets.target\n",
            server.identifier
        )
    });
    (service, socket)
}

/// The lines of the sockets; `None` if the server listens itself.
fn socket_lines(server: &ExportedServer, remarks: &mut ExportRemarks) -> Option<String> {
    let is_passed = |url: &ExportedUrl| matches!(url.address, ExportedAddress::Passed(_));
    if !server.takes_passed && server.urls.iter().any(is_passed) {
        let text = "it listens on a descriptor of the program that starts it, which systemd is not: leave out the address";
        remarks.essential(server, "", text);
    }
    if server.urls.is_empty() || !server.takes_passed {
        return None;
    }
    let mut lines = String::new();
    let mut names = Vec::new();
    let mut is_file = false;
    for ExportedUrl { address, .. } in &server.urls {
        match address {
            ExportedAddress::Tcp(_, 0) => {
                let text = "it listens on any free port, which others cannot know: set `url`";
                remarks.note(server, "peak.tools.server.url", text);
                return None;
            }
            ExportedAddress::Tcp(host, port) => {
                for stream in streams(host, *port)? {
                    lines.push_str(&format!("ListenStream={stream}\n"));
                }
            }
            ExportedAddress::Unix(path) => {
                lines.push_str(&format!("ListenStream={}\n", specifiers(path)));
                is_file = true;
            }
            ExportedAddress::Passed(name) => {
                let path = server.passed_socket();
                lines.push_str(&format!(
                    "# The file leaves it to you where the socket is.\nListenStream={path}\n"
                ));
                names.extend(name.clone());
                is_file = true;
            }
        }
    }
    match &names[..] {
        [] => {}
        [name] if server.urls.len() == 1 => {
            lines.push_str(&format!("FileDescriptorName={}\n", specifiers(name)));
        }
        _ => remarks.essential(
            server,
            "peak.tools.server.url",
            "all sockets of a unit have one name: write a `.socket` unit for each `fd.socket:NAME`",
        ),
    }
    if is_file {
        let mode = server.socket_mode.unwrap_or(0o600);
        lines.push_str(&format!("SocketMode={mode:04o}\n"));
        if let Some(user) = &server.user {
            lines.push_str(&format!("SocketUser={}\n", specifiers(user)));
        }
        if let Some(group) = server.socket_group.as_ref().or(server.group.as_ref()) {
            lines.push_str(&format!("SocketGroup={}\n", specifiers(group)));
        }
    }
    Some(lines)
}

/// What systemd calls the address of a host; `None` for a name that it would have to look up.
fn streams(host: &str, port: u16) -> Option<Vec<String>> {
    // A host of digits and dots is an address: others of them are refused where URLs are read.
    let is_numeric = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    let is_ipv6 = host.starts_with('[') && !host.contains('%');
    match host {
        "*" => Some(vec![port.to_string()]),
        "localhost" => Some(vec![format!("127.0.0.1:{port}"), format!("[::1]:{port}")]),
        _ if is_numeric || is_ipv6 => Some(vec![format!("{host}:{port}")]),
        _ => None,
    }
}

fn service(server: &ExportedServer, has_socket: bool, remarks: &mut ExportRemarks) -> String {
    let id = &server.identifier;
    // systemd replaces variables in the words behind the program only.
    let program = quoted(&server.program);
    let line: Vec<String> = server.words.iter().map(|it| word(it)).collect();
    let line = line.join(" ");
    let mut text = format!(
        "[Unit]\nDescription={id}\nAfter=network.target\n\n[Service]\nType=notify\nExecStart={program} {line}\n"
    );
    let mut add = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    let file = word(&server.file);
    match server.has_control {
        true => add(&format!("ExecReload={program} reload {file}")),
        false => {
            add(
                "# Without a control socket (runner.status.url), only the journal says whether a reload succeeds.",
            );
            add("ExecReload=/bin/kill -HUP $MAINPID");
        }
    }
    if server.is_supervised {
        add(
            "# Stops the current master. After a warm restart systemd did not start that process, and would kill it at once.",
        );
        add(&format!("ExecStop=-{program} stop {file}"));
    }
    add("Restart=on-failure");
    add("WatchdogSec=30");
    match server.start_limit {
        Some(limit) => add(&format!("TimeoutStartSec={}", whole_seconds(limit) + 30)),
        None => add("TimeoutStartSec=infinity"),
    }
    add(
        "# Longer than runner.stop_timeout, so that requests which take too long are ended by the server itself.",
    );
    let stop = whole_seconds(server.stop_timeout) + 10;
    add(&format!("TimeoutStopSec={stop}"));
    add("KillMode=mixed\n");
    let folders = Folders::of(server);
    account(server, &folders, remarks)
        .iter()
        .for_each(|line| add(line));
    add(&format!("WorkingDirectory={}", specifiers(&server.folder)));
    if let Some(folder) = &server.shell_environment {
        add("# The virtual environment of the shell in which this was exported.");
        add(&format!(
            "Environment={}",
            assignment("VIRTUAL_ENV", folder)
        ));
    }
    if let Some(folder) = &server.shell_python {
        add("# With the folder of the Python that the shell has, in which this was exported.");
        let path = format!("{folder}:{PATH}");
        add(&format!("Environment={}", assignment("PATH", &path)));
    }
    for (setting, names) in &folders.made {
        add(&format!("{setting}={}", names.join(" ")));
    }
    if has_socket
        && folders
            .made
            .iter()
            .any(|(setting, _)| *setting == MADE[0].1)
    {
        add("# A socket in it belongs to the other unit.");
        add("RuntimeDirectoryPreserve=yes");
    }
    for folder in folders.others.iter().filter(|it| is_within(it, "/run")) {
        let what = format!(
            "`{folder}` is gone at each boot, and systemd makes no folder of that name: choose one such as `/run/{id}`"
        );
        remarks.essential(server, "runner.supervise.pid_file", what);
    }
    if !folders.others.is_empty() {
        let words: Vec<String> = folders.others.iter().map(|it| path_word(it)).collect();
        add(&format!("ReadWritePaths={}", words.join(" ")));
    }
    hardening(server, has_socket, &folders)
        .iter()
        .for_each(|line| add(line));
    add("\n[Install]\nWantedBy=multi-user.target");
    if has_socket {
        add(&format!("Also={id}.socket"));
    }
    text
}

/// Where the server writes.
struct Folders {
    /// Folders that systemd makes: the setting, and their names below its folder.
    made: Vec<(&'static str, Vec<String>)>,
    /// All others.
    others: Vec<String>,
    needs_homes: bool,
    needs_temporary: bool,
}

impl Folders {
    fn of(server: &ExportedServer) -> Self {
        let within = |path: &str, folders: &[&str]| folders.iter().any(|it| is_within(path, it));
        let mut folders = Self {
            made: Vec::new(),
            others: Vec::new(),
            needs_homes: server.paths().any(|path| within(path, &HOMES)),
            needs_temporary: server.paths().any(|path| within(path, &TEMPORARY)),
        };
        for folder in &server.written_folders {
            let made = MADE.into_iter().find_map(|(parent, setting)| {
                let name = folder.strip_prefix(parent)?.strip_prefix('/')?;
                let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
                (name.chars().all(is_plain) && !name.is_empty() && !within(folder, &HOMES))
                    .then(|| (setting, name.trim_end_matches('/').to_owned()))
            });
            let Some((setting, name)) = made else {
                folders.others.push(folder.clone());
                continue;
            };
            match folders.made.iter_mut().find(|(known, _)| *known == setting) {
                Some((_, names)) if names.contains(&name) => {}
                Some((_, names)) => names.push(name),
                None => folders.made.push((setting, vec![name])),
            }
        }
        if folders.needs_temporary {
            folders.others.extend(TEMPORARY.map(str::to_owned));
        }
        folders
    }
}

/// The user of the service.
fn account(server: &ExportedServer, folders: &Folders, remarks: &mut ExportRemarks) -> Vec<String> {
    let mut lines = Vec::new();
    for unread in &server.unread {
        let user = match &server.user {
            Some(user) => format!("`{user}`"),
            None => "a user that systemd makes".to_owned(),
        };
        let text = format!(
            "the service runs as {user} from its start, who cannot read `{}`: see the rights of `{}`",
            unread.path, unread.refused
        );
        remarks.note(server, unread.setting, text);
    }
    if let Some(user) = &server.user {
        lines.push(format!("User={}", specifiers(user)));
    }
    if let Some(group) = &server.group {
        lines.push(format!("Group={}", specifiers(group)));
    }
    if server.user.is_none() {
        lines.push(
            "# No user is set (runner.user): systemd makes one for the time that the service runs."
                .to_owned(),
        );
        lines.push("DynamicUser=yes".to_owned());
        let written = folders.others.iter();
        for folder in written.filter(|it| !TEMPORARY.contains(&it.as_str())) {
            let text = format!(
                "a user that systemd makes cannot write to `{folder}`: set `runner.user`, or use a folder below \
                 /run/{0} or /var/lib/{0}",
                server.identifier
            );
            remarks.essential(server, "runner.supervise.pid_file", text);
        }
        if folders.needs_temporary {
            let text = "a user that systemd makes has a /tmp of its own: move the files, or set `runner.user`";
            remarks.essential(server, "", text);
        }
    }
    if let Some(group) = &server.socket_group {
        lines.push(format!("SupplementaryGroups={}", specifiers(group)));
    }
    lines
}

/// What the service may not do; nothing of it is in the way of what the plan needs.
fn hardening(server: &ExportedServer, has_socket: bool, folders: &Folders) -> Vec<String> {
    let is_low = |url: &ExportedUrl| matches!(url.address, ExportedAddress::Tcp(_, 1..1024));
    let pages = server.pages.iter().any(is_low);
    let binds_low = pages || !has_socket && server.urls.iter().any(is_low);
    let capability = match binds_low {
        true => "CAP_NET_BIND_SERVICE",
        false => "",
    };
    let mut lines = vec![
        "ProtectSystem=strict".to_owned(),
        match folders.needs_homes {
            true => "# What it needs is in a home folder.\nProtectHome=read-only",
            false => "ProtectHome=yes",
        }
        .to_owned(),
        match folders.needs_temporary {
            true => "# What it needs is in a folder for temporary files.\nPrivateTmp=no",
            false => "PrivateTmp=yes",
        }
        .to_owned(),
    ];
    lines.extend(
        [
            "PrivateDevices=yes",
            "ProtectKernelTunables=yes",
            "ProtectKernelModules=yes",
            "ProtectControlGroups=yes",
            "# Remove this line if the application calls setuid programs (sendmail, sudo).",
            "NoNewPrivileges=yes",
        ]
        .map(str::to_owned),
    );
    if binds_low {
        lines.push(format!("AmbientCapabilities={capability}"));
    }
    lines.push(format!("CapabilityBoundingSet={capability}"));
    lines.extend(
        [
            "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
            "RestrictNamespaces=yes",
            "RestrictSUIDSGID=yes",
            "LockPersonality=yes",
            "SystemCallArchitectures=native",
            "SystemCallFilter=@system-service",
        ]
        .map(str::to_owned),
    );
    lines
}

/// A value in which systemd expands nothing (systemd.unit(5), SPECIFIERS).
fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}

/// A word of a command line (systemd.service(5), COMMAND LINES), which has variables, too.
fn word(text: &str) -> String {
    quoted(&text.replace('$', "$$"))
}

/// A path in a list of paths, without an escape for variables, which it does not have.
fn path_word(path: &str) -> String {
    quoted(path)
}

/// A variable of `Environment=`, where `$` has no meaning (systemd.exec(5)).
fn assignment(name: &str, value: &str) -> String {
    quoted(&format!("{name}={value}"))
}

/// In quotes if it needs them (systemd.syntax(7), QUOTING).
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=@,+$*".contains(c);
    let text = specifiers(text);
    match !text.is_empty() && text.chars().all(|c| is_plain(c) || c == '%') {
        true => text,
        false => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}
