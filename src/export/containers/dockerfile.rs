//! The image of a container: small, without rights, on a file system that may be read-only.

use crate::export::containers::container::{APP, Container};
use crate::export::containers::yaml_text::quoted_text;
use crate::export::export_remarks::ExportRemarks;
use crate::export::exported_server::{ExportedPackages, ExportedServer, whole_seconds};

/// What the image does not need, or must not have.
pub(in crate::export) const IGNORED: &str = "\
# By `runner export dockerfile`: what the image does not need, or must not have.
.git
.venv
.env
**/__pycache__
";

/// The lines of the file.
pub(in crate::export) fn text(server: &ExportedServer, remarks: &mut ExportRemarks) -> String {
    let container = Container::of(server, remarks);
    let id = &server.identifier;
    let (user, number) = &container.user;
    let mut text = format!(
        "\
# Build it in the folder of the file, with the program `runner` beside it:
#
#   cp \"$(command -v runner)\" . && docker build -t {id} .
#   docker run --read-only {mounts} -p {port}:{port} {id}
#
# `runner export dockerfile -o FOLDER` writes a .dockerignore, too: it keeps out .git, .venv and .env.
ARG PYTHON=3.13

# The folder without `runner`, which has its own place and layer.
FROM python:${{PYTHON}}-slim AS folder
WORKDIR {APP}
COPY . .
RUN rm runner

FROM python:${{PYTHON}}-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

COPY --chmod=755 runner /usr/local/bin/runner
",
        port = container.ports.first().copied().unwrap_or(8000),
        mounts = container
            .written
            .iter()
            .map(|folder| format!("--tmpfs {}", shell_word(folder)))
            .collect::<Vec<_>>()
            .join(" "),
    );
    if !container.debian.is_empty() {
        text.push_str(&format!(
            "RUN apt-get update && apt-get install -y --no-install-recommends {} && rm -rf /var/lib/apt/lists/*\n",
            container.debian.join(" ")
        ));
    }
    text.push_str(&format!(
        "RUN id {user} || useradd --system --user-group --uid {number} --no-create-home {user}\n\nWORKDIR {APP}\n"
    ));
    match server.packages {
        Some(ExportedPackages::Requirements) => text.push_str(
            "# A layer of its own, which is built again only if the packages change.\n\
             COPY requirements.txt ./\nRUN pip install --no-cache-dir -r requirements.txt\n",
        ),
        Some(ExportedPackages::Project) => {}
        None => {
            if server.is_python {
                let what = "no list of its Python packages was found (requirements.txt, pyproject.toml): the image has none \
                            of them";
                remarks.note(server, "", what);
            }
            text.push_str(
                "# No list of Python packages was found (requirements.txt, pyproject.toml).\n",
            );
        }
    }
    text.push_str(&format!("COPY --from=folder {APP} ./\n"));
    if server.packages == Some(ExportedPackages::Project) {
        text.push_str("RUN pip install --no-cache-dir .\n");
    }
    let folders = container.written.iter().filter(|folder| *folder != "/tmp");
    let folders: Vec<String> = folders.cloned().collect();
    if !folders.is_empty() {
        let list: Vec<String> = folders.iter().map(|folder| shell_word(folder)).collect();
        let list = list.join(" ");
        text.push_str(&format!(
            "# With a read-only file system, these are to be mounted (--tmpfs).\n\
             RUN mkdir -p {list} && chown {number}:{number} {list}\n"
        ));
    }
    text.push_str(&format!("\nUSER {number}:{number}\n"));
    let ports: Vec<String> = container
        .ports
        .iter()
        .chain(&container.pages)
        .map(ToString::to_string)
        .collect();
    if !ports.is_empty() {
        text.push_str(&format!("EXPOSE {}\n", ports.join(" ")));
    }
    let grace = whole_seconds(server.stop_timeout) + 10;
    text.push_str(&format!(
        "# It finishes its requests: `docker stop -t {grace}`, longer than runner.stop_timeout.\nSTOPSIGNAL SIGTERM\n"
    ));
    if !container.health.is_empty() {
        text.push_str(&format!(
            "HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD {}\n",
            words(&container.health)
        ));
    }
    text.push_str(&format!("CMD {}\n", words(&container.command)));
    text
}

/// The words of a command in the form of JSON, in which Docker expands nothing.
fn words(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted_text(word)).collect();
    format!("[{}]", words.join(", "))
}

/// A word of a line for the shell of the image.
fn shell_word(text: &str) -> String {
    shell_words::quote(text).into_owned()
}
