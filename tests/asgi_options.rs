//! The settings `runner.asgi.*` and `runner.websocket.*` reach what runs applications and speaks to clients.

use std::fs;
use std::time::Duration;

use runner::config::{Configuration, Layer};
use runner::plan::gateway::Audience;
use runner::plan::{gateway_options, worker_options};
use runner::workers::options::{AsgiOptions, LINGERING, Lifespan};

/// Reads a file with this text.
fn load(text: &str) -> Configuration {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.ini");
    fs::write(&path, text).expect("the file");
    Configuration::load(&[Layer::File(path)]).expect("no mistakes")
}

#[test]
fn settings_of_asgi_reach_the_workers() {
    let defaults = AsgiOptions {
        lifespan: Lifespan::Auto,
        event_loop: "auto".to_owned(),
        concurrency: 1000,
        disconnect_grace: Duration::from_secs(10),
        drain: Duration::ZERO,
        lingering: LINGERING,
    };
    assert_eq!(worker_options::asgi(&load("")), defaults);
    let all = load(
        "[runner.asgi]\nlifespan = 'on'\nloop = 'shop.loops:new'\nconcurrency = 7\n\
         disconnect_grace = '1m'\ndrain = '1.5s'\n",
    );
    let expected = AsgiOptions {
        lifespan: Lifespan::On,
        event_loop: "shop.loops:new".to_owned(),
        concurrency: 7,
        disconnect_grace: Duration::from_secs(60),
        drain: Duration::from_millis(1500),
        lingering: LINGERING,
    };
    assert_eq!(worker_options::asgi(&all), expected);
    let off = load("runner.asgi.lifespan = 'off'\nrunner.asgi.loop = 'asyncio'\n");
    let expected = AsgiOptions {
        lifespan: Lifespan::Off,
        event_loop: "asyncio".to_owned(),
        ..defaults
    };
    assert_eq!(worker_options::asgi(&off), expected);
}

#[test]
fn settings_of_web_sockets_reach_the_gateway() {
    let found = |text: &str| gateway_options::http(&load(text), Audience::Log).web_sockets;
    let seconds = Duration::from_secs;
    let defaults = found("");
    assert_eq!(defaults.max_message, 16 << 20);
    assert_eq!(defaults.ping_interval, seconds(20));
    assert_eq!(defaults.ping_timeout, seconds(20));
    assert!(defaults.compression && defaults.context_takeover);
    let all = found(
        "[runner.websocket]\nmax_message = '64k'\nping_interval = '1m'\nping_timeout = 5\ncompression = False\nkeep_context = False\n",
    );
    assert_eq!(all.max_message, 64 << 10);
    assert_eq!(all.ping_interval, seconds(60));
    assert_eq!(all.ping_timeout, seconds(5));
    assert!(!all.compression && !all.context_takeover);
    // 0 is no limit, and no ping.
    let none = found("[runner.websocket]\nmax_message = 0\nping_interval = 0\nping_timeout = 0\n");
    assert!(none.max_message > 1 << 50);
    assert_eq!(none.ping_interval, Duration::ZERO);
    assert!(none.ping_timeout > seconds(1 << 30));
}
