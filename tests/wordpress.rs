//! WordPress of Debian, whole: PHP-FPM and MariaDB behind `upstream fastcgi+unix:…`, its uploads behind `files`, by HTTP/1.1
//! and by HTTP/2.

mod support;

use std::path::Path;

use support::php::fpm;
use support::{Address, Folder, Server, free_port, project, python};

/// Where Debian's package installs it.
const INSTALLED: &str = "/usr/share/wordpress";

/// Each request says by which name and scheme the site was asked for; nothing outside is asked.
const CONFIGURATION: &str = "\
<?php
define('DB_NAME', 'wordpress');
define('DB_USER', 'root');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:DATABASE');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $name) {
    define($name . '_KEY', $name . ' key of the test');
    define($name . '_SALT', $name . ' salt of the test');
}
$table_prefix = 'wp_';
$scheme = isset($_SERVER['HTTPS']) ? 'https' : 'http';
define('WP_HOME', $scheme . '://' . $_SERVER['HTTP_HOST']);
define('WP_SITEURL', WP_HOME);
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
";

const SITE: &str = "\
site = commands.Routes({
    '/': ['upstream', 'fastcgi+unix:run/fpm.sock', '--root', 'site', '--front', 'index.php', '--files', '--connections', '4'],
    '/wp-content/uploads/': ['files', 'site/wp-content/uploads', '--cache', '*=max-age=3600'],
    })
app = commands.Alias(command=['serve', 'site'])
url = ['http://127.0.0.1:PLAIN', 'https://127.0.0.1:SECURE']

[runner.tls]
cert = 'cert.pem'
key = 'key.pem'
";

/// MariaDB at `run/db.sock`, with an empty database.
fn database(folder: &Folder) -> Server {
    let folder = folder
        .clone()
        .file("init.sql", "CREATE DATABASE wordpress;\n")
        .file("run/keep", "");
    let socket = folder.path("run/db.sock");
    let path = |name: &str| folder.path(name).display().to_string();
    let own = [
        "--no-defaults".to_owned(),
        format!("--datadir={}", path("db")),
    ];
    folder
        .program("mariadb-install-db", &own)
        .arguments([
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ])
        .run()
        .success();
    let user = match rustix::process::geteuid().is_root() {
        true => &["--user=root"][..],
        false => &[],
    };
    folder
        .program("mariadbd", &own)
        .arguments(user)
        .arguments([
            format!("--socket={}", socket.display()),
            format!("--init-file={}", path("init.sql")),
            format!("--tmpdir={}", path("run")),
            "--skip-networking".to_owned(),
            "--innodb-flush-log-at-trx-commit=0".to_owned(),
        ])
        .start_at(Address::Unix(socket))
}

#[test]
fn wordpress_works() {
    let folder = Folder::new();
    assert!(
        Path::new(INSTALLED).exists(),
        "`tests/install.sh` installs wordpress"
    );
    // Debian has parts of it elsewhere, behind links.
    folder
        .program("cp", ["-rL", INSTALLED, "site"])
        .run()
        .success();
    let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a name");
    let (plain, secure) = (free_port(), free_port());
    let socket = folder.path("run/db.sock").display().to_string();
    let folder = folder
        .file(
            "site/wp-config.php",
            CONFIGURATION.replace("DATABASE", &socket),
        )
        .file("site/wp-content/uploads/run.php", "<?php echo 6 * 7;\n")
        .file("cert.pem", certificate.cert.pem())
        .file("key.pem", certificate.signing_key.serialize_pem())
        .file(
            "site.ini",
            SITE.replace("PLAIN", &plain.to_string())
                .replace("SECURE", &secure.to_string()),
        );
    let database = database(&folder);
    let settings = "pm.max_children = 4\n\
        php_admin_value[upload_max_filesize] = 64M\n\
        php_admin_value[post_max_size] = 64M\n\
        php_admin_value[memory_limit] = 256M\n\
        php_admin_value[sendmail_path] = /bin/true";
    let fpm = fpm(&folder, settings).start_at(Address::Unix(folder.path("run/fpm.sock")));
    let server = folder.runner(["runIni", "site.ini"]).start();
    let outcome = folder
        .program(python(), [project("tests/apps/drive_wordpress.py")])
        .arguments([
            format!("http://127.0.0.1:{plain}/"),
            format!("https://127.0.0.1:{secure}/"),
        ])
        .run();
    assert!(outcome.status == 0, "{outcome:#?}\n{}", server.log());
    assert_eq!(outcome.stdout, "WordPress works by HTTP/1.1 and HTTP/2\n");
    let ended = server.stop();
    assert_eq!(ended.status, 0);
    assert!(!ended.stderr.contains(" 50"), "{}", ended.stderr);
    assert_eq!(fpm.stop().status, 0);
    assert_eq!(database.stop().status, 0);
}
