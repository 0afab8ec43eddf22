//! Autobahn's WebSocket cases, run by `kosoku` against an application that returns each message: a part that takes less
//! than a minute. The largest messages and most cases of compression are left out; each kind of case is there.

mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use support::{Folder, project};

/// Framing, pings, reserved bits, opcodes, fragments, UTF-8, closing; some large messages; each way to compress.
///
/// Of compressed messages those that compressing makes smaller: `kosoku` cannot take one that is sent as it is, as a server
/// may (RFC 7692 §6), and counts a ping of the server as a failure where it waits for a message.
const CASES: &[&str] = &[
    "1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*", "9.1.1", "9.1.3", "9.1.4", "9.2.1",
    "9.2.3", "9.2.4", "9.3.4", "9.3.6", "9.4.4", "9.4.6", "9.5.4", "9.6.4", "9.7.1", "9.8.1",
    "12.1.4", "12.1.5", "12.1.6", "12.1.11", "12.1.12", "12.3.4", "12.3.5", "12.3.11", "12.4.4",
    "12.4.5", "12.4.6", "12.4.11", "13.1.4", "13.1.5", "13.2.4", "13.2.5", "13.3.4", "13.3.11",
    "13.4.4", "13.4.11", "13.5.4", "13.5.11", "13.6.4", "13.6.5", "13.7.4", "13.7.11",
];

const SETTINGS: &str = "[runner.workers]\nmax = 1\n[runner.websocket]\nping_interval = 0\n";

#[test]
fn no_case_fails() {
    let folder = Folder::new()
        .copy("tests/apps/echo.py")
        .file("settings.ini", SETTINGS);
    let server = folder
        .runner([
            "-c",
            "settings.ini",
            "serve",
            "ASGI",
            "import:echo.application",
        ])
        .start();
    let address = server
        .url()
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let kosoku = project("target/venv/bin/kosoku");
    let mut words = vec![address, "--outdir", "reports", "--parallelism", "4"];
    for case in CASES {
        words.extend(["--include", case]);
    }
    let outcome = folder.program(kosoku, words).run();
    let reports: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_str(&folder.read("reports/index.json")).expect("JSON");
    let cases = reports.values().next().expect("one agent");
    assert!(cases.len() > 260, "{}", cases.len());
    let good = [
        Value::from("OK"),
        Value::from("INFORMATIONAL"),
        Value::from("NON-STRICT"),
    ];
    let failed: Vec<_> = cases
        .iter()
        .filter(|(_, case)| {
            !good.contains(&case["behavior"]) || !good.contains(&case["behaviorClose"])
        })
        .collect();
    assert!(
        failed.is_empty(),
        "{failed:#?}\n{outcome:#?}\n{}",
        server.log()
    );
    assert_eq!(server.stop().status, 0);
}
