//! CGI programs: Go's `net/http/cgi/host_test.go`, lighttpd's `tests/mod-cgi.t`.

use crate::support::http::Connection;
use crate::support::scripts::{alone, shell};
use crate::support::{Folder, Server};
use crate::wire;

/// Says what it gets, or does what its query says.
const PROGRAM: &str = "\
case \"$QUERY_STRING\" in
    loc=*) printf 'Location: %s\\r\\n\\r\\n' \"${QUERY_STRING#loc=}\"; exit;;
    blank) printf 'Location: http://www.example.org/\\r\\n\\n\\n'; exit;;
    stderr) echo 'Hello, stderr!' >&2;;
esac
printf 'Content-Type: text/html\\r\\nX-Test-Header: X-Test-Value\\r\\n\\r\\n'
env
echo \"cwd=$(pwd)\"
echo \"body=$(cat)\"
";

const SITE: &str = "\
site = commands.Routes({
    '/': ['cgi-bin', 'cgi-bin', '--env', 'RUNNER_TEST', '--env', 'PATH=/bin:/usr/bin:/wibble', '--env', 'QUERY_STRING=set', '--env', 'SCRIPT_FILENAME=/set'],
    '/myscript/': ['cgi-bin', 'cgi-bin/test.cgi', '--env', 'RUNNER_TEST'],
    'root.example/': ['cgi-bin', 'cgi-bin/test.cgi', '--env', 'RUNNER_TEST'],
    })
app = commands.Alias(command=['serve', 'site'])
url = 'tcp://127.0.0.1:0'
runner.http.trusted_proxies = ['127.0.0.1']
";

struct Case {
    source: &'static str,
    request: &'static str,
    status: u16,
    /// Lines of the report, or fields of the head (`location: …`), where `{folder}` is that of the programs.
    says: &'static [&'static str],
    /// Variables that are not there.
    lacks: &'static [&'static str],
}

/// Those of Go begin with the name of the test, those of lighttpd with the path that they ask for.
const CASES: &[Case] = &[
    Case {
        source: "host_test.go TestCGIBasicGet, TestCGIBasicGetAbsPath",
        request: "GET /test.cgi?foo=bar&a=b HTTP/1.0\nHost: example.com:80\n\n",
        status: 200,
        says: &[
            "content-type: text/html",
            "x-test-header: X-Test-Value",
            "GATEWAY_INTERFACE=CGI/1.1",
            "HTTP_HOST=example.com:80",
            "QUERY_STRING=foo=bar&a=b",
            "REMOTE_ADDR=127.0.0.1",
            "REQUEST_METHOD=GET",
            "REQUEST_URI=/test.cgi?foo=bar&a=b",
            "SCRIPT_FILENAME={folder}/test.cgi",
            "SCRIPT_NAME=/test.cgi",
            "SERVER_PROTOCOL=HTTP/1.0",
            "PATH_INFO=",
        ],
        lacks: &["PATH_TRANSLATED", "CONTENT_LENGTH"],
    },
    Case {
        source: "host_test.go TestCGIEnvIPv6",
        request: "GET /test.cgi HTTP/1.0\nHost: example.com\nX-Forwarded-For: 2000::3000\n\n",
        status: 200,
        says: &["REMOTE_ADDR=2000::3000"],
        lacks: &[],
    },
    Case {
        source: "host_test.go TestPathInfo",
        request: "GET /test.cgi/extrapath?a=b HTTP/1.0\nHost: example.com\n\n",
        status: 200,
        says: &[
            "PATH_INFO=/extrapath",
            "QUERY_STRING=a=b",
            "REQUEST_URI=/test.cgi/extrapath?a=b",
            "SCRIPT_FILENAME={folder}/test.cgi",
            "SCRIPT_NAME=/test.cgi",
        ],
        lacks: &[],
    },
    Case {
        source: "host_test.go TestPathInfoDirRoot",
        request: "GET /myscript/bar?a=b HTTP/1.0\nHost: example.com\n\n",
        status: 200,
        says: &[
            "PATH_INFO=/bar",
            "REQUEST_URI=/myscript/bar?a=b",
            "SCRIPT_NAME=/myscript",
        ],
        lacks: &[],
    },
    Case {
        source: "host_test.go TestPathInfoNoRoot",
        request: "GET /bar?a=b HTTP/1.0\nHost: root.example\n\n",
        status: 200,
        says: &[
            "PATH_INFO=/bar",
            "QUERY_STRING=a=b",
            "REQUEST_URI=/bar?a=b",
            "SCRIPT_NAME=",
        ],
        lacks: &[],
    },
    Case {
        // Go writes `val1, val2`: the space is optional (RFC 9110 §5.6.1).
        source: "host_test.go TestDupHeaders",
        request: "GET /test.cgi HTTP/1.0\nCookie: nom=NOM\nCookie: yum=YUM\nX-Foo: val1\nX-Foo: val2\nHost: a\n\n",
        status: 200,
        says: &["HTTP_COOKIE=nom=NOM; yum=YUM", "HTTP_X_FOO=val1,val2"],
        lacks: &[],
    },
    Case {
        source: "host_test.go TestDropProxyHeader",
        request: "GET /test.cgi HTTP/1.0\nX-Foo: a\nProxy: should_be_stripped\nHost: example.com\n\n",
        status: 200,
        says: &["HTTP_X_FOO=a"],
        lacks: &["HTTP_PROXY"],
    },
    Case {
        source: "host_test.go TestCGIBasicPost",
        request: "POST /test.cgi?a=b HTTP/1.0\nHost: example.com\nContent-Type: application/x-www-form-urlencoded\n\
                  Content-Length: 15\n\npostfoo=postbar",
        status: 200,
        says: &[
            "REQUEST_METHOD=POST",
            "CONTENT_LENGTH=15",
            "CONTENT_TYPE=application/x-www-form-urlencoded",
            "body=postfoo=postbar",
        ],
        lacks: &[],
    },
    Case {
        // Go refuses it (400), since a program needs the length (RFC 3875 §4.1.2): here it is known once the body is there.
        source: "host_test.go TestCGIPostChunked",
        request: "POST /test.cgi?a=b HTTP/1.1\nHost: example.com\nConnection: close\nTransfer-Encoding: chunked\n\n\
                  7\npostfoo\n1\n=\n7\npostbar\n0\n\n",
        status: 200,
        says: &["CONTENT_LENGTH=15", "body=postfoo=postbar"],
        lacks: &["HTTP_TRANSFER_ENCODING"],
    },
    Case {
        source: "host_test.go TestRedirect",
        request: "GET /test.cgi?loc=http://foo.com/ HTTP/1.0\nHost: example.com\n\n",
        status: 302,
        says: &["location: http://foo.com/"],
        lacks: &[],
    },
    Case {
        source: "host_test.go TestInternalRedirect; mod-cgi.t /cgi.pl?internal-redir",
        request: "POST /test.cgi?loc=/sub/there.cgi/foo HTTP/1.0\nHost: example.com\nContent-Length: 1\n\nx",
        status: 200,
        says: &[
            "PATH_INFO=/foo",
            "QUERY_STRING=",
            "REMOTE_ADDR=127.0.0.1",
            "REQUEST_METHOD=GET",
            "SCRIPT_NAME=/sub/there.cgi",
            "body=",
        ],
        lacks: &["CONTENT_LENGTH"],
    },
    Case {
        source: "host_test.go TestDir",
        request: "GET /sub/there.cgi HTTP/1.0\nHost: example.com\n\n",
        status: 200,
        says: &["cwd={folder}/sub"],
        lacks: &[],
    },
    Case {
        // In Go, variables that are set come before those of the request: here a request is what the client has sent.
        source: "host_test.go TestEnvOverride",
        request: "GET /test.cgi?own HTTP/1.0\nHost: example.com\n\n",
        status: 200,
        says: &[
            "PATH=/bin:/usr/bin:/wibble",
            "QUERY_STRING=own",
            "SCRIPT_FILENAME={folder}/test.cgi",
        ],
        lacks: &[],
    },
    Case {
        source: "host_test.go TestHandlerStderr",
        request: "GET /test.cgi?stderr HTTP/1.0\nHost: example.com\n\n",
        status: 200,
        says: &["QUERY_STRING=stderr"],
        lacks: &[],
    },
    Case {
        source: "mod-cgi.t /get-header.pl?HTTP_XX_YY123",
        request: "GET /test.cgi HTTP/1.0\nxx-yy123: foo\n\n",
        status: 200,
        says: &["HTTP_XX_YY123=foo"],
        lacks: &["HTTP_HOST"],
    },
    Case {
        source: "mod-cgi.t /cgi-pathinfo.pl/foo",
        request: "GET /test.cgi/foo HTTP/1.0\n\n",
        status: 200,
        says: &["PATH_INFO=/foo", "SCRIPT_NAME=/test.cgi"],
        lacks: &[],
    },
    Case {
        source: "mod-cgi.t /crlfcrash.pl",
        request: "GET /test.cgi?blank HTTP/1.0\n\n",
        status: 302,
        says: &["location: http://www.example.org/"],
        lacks: &[],
    },
    Case {
        // lighttpd takes the head of such a program as it is; runner says that it does not.
        source: "mod-cgi.t /nph-status.pl?200",
        request: "GET /nph-status.pl?200 HTTP/1.0\n\n",
        status: 501,
        says: &[],
        lacks: &[],
    },
];

/// How a program ends with its client (`TestCopyError`) is in `tests/cgi_ends.rs`.
#[test]
fn programs_are_told_what_other_servers_tell() {
    let program = shell(PROGRAM);
    let folder = Folder::new()
        .executable("cgi-bin/test.cgi", &program)
        .executable("cgi-bin/sub/there.cgi", &program)
        .executable("cgi-bin/nph-status.pl", &program)
        .file("site.ini", SITE);
    let server = folder.runner(["runIni", "site.ini"]).start();
    let programs = folder.path("cgi-bin").display().to_string();
    for case in CASES {
        is_as_told(&server, case, &programs);
    }
    server.wait_for_log(|log| log.contains("test.cgi: Hello, stderr! [GET /test.cgi?stderr"));
    alone(&server);
    assert_eq!(server.stop().status, 0);
}

#[track_caller]
fn is_as_told(server: &Server, case: &Case, programs: &str) {
    let mut connection = Connection::open(server.address());
    connection.send(&wire(case.request));
    let reply = connection.reply(case.request.split(' ').next().unwrap_or_default());
    let context = format!("{}: {reply:#?}\n{}", case.source, server.log());
    assert_eq!(reply.status, case.status, "{context}");
    let head = reply.headers.iter();
    let head = head.map(|(name, value)| format!("{name}: {value}"));
    let mut lines: Vec<String> = head.collect();
    lines.extend(reply.text().lines().map(str::to_owned));
    for line in case.says {
        let line = line.replace("{folder}", programs);
        assert!(lines.contains(&line), "{line} is missing: {context}");
    }
    for name in case.lacks {
        let begin = format!("{name}=");
        let is_there = lines.iter().any(|line| line.starts_with(&begin));
        assert!(!is_there, "{name} is there: {context}");
    }
}
