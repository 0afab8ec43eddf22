//! `files FOLDER`: the files of a folder, without any process of an application.
//!
//! Nothing here waits for a disk on the thread of all connections: a file is opened there only if the system knows its name
//! and its folders already ([`DiskWait::Forbidden`]), and a small one is read there only if it is in memory. What is not
//! goes to threads that may wait. A large one is the gateway's to send.
//!
//! What is outside the folder is not there, whatever links lead to it; neither is what has a dot in front of its name, such
//! as `.git` and `.env`, but for `.well-known`. Sources of PHP have passwords in them and are left to what runs them.

pub(super) mod beneath;
mod byte_range;
pub(in crate::application) mod file_response;
mod file_type;
mod folder_page;
pub(super) mod open_file;
mod validators;
pub(in crate::application) mod wanted_path;

use std::future::ready;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use rustix::io::Errno;

use crate::application::files::beneath::{DiskWait, Root, is_absent, log_kind};
use crate::application::files::open_file::{OpenFile, PathContent};
use crate::application::files::wanted_path::WantedPath;
use crate::application::own_page::prefers_html;
use crate::application::routes::slash_redirect::with_slash;
use crate::interface::body_file::on_disk;
use crate::interface::{Application, Pending, Request, RequestName, Response};
use crate::protocol::content_coding::{self, ContentCoding};

/// How the files of a folder are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesOptions {
    /// The folder.
    pub folder: PathBuf,
    /// The file that is sent for a folder.
    pub index: String,
    /// The page of a single-page application: sent instead of what is not there, to browsers that ask for a page.
    pub page: Option<String>,
    /// Whether a page lists what is in a folder without an index.
    pub listing: bool,
    /// Whether links may lead out of the folder.
    pub follow: bool,
    /// Whether files are served whose names begin with a dot.
    pub hidden: bool,
    /// Whether sources of PHP are served, as text.
    pub sources: bool,
    /// Scripts of other kinds, whose sources are not served either: each the name of a file, or the ending of names with its
    /// dot.
    pub scripts: Vec<String>,
    /// Whether compressed files are looked for beside others: `app.js.br` is sent for `app.js` to those who take it.
    pub precompressed: bool,
    /// Values of `Cache-Control`; the first whose pattern matches counts.
    pub cache: Vec<CacheRule>,
}

/// A value of `Cache-Control` for some files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheRule {
    /// `*` stands for any characters. Without a slash in it, it is compared with the name of a file, else with its path.
    pub pattern: String,
    /// The value.
    pub value: HeaderValue,
}

/// The files of a folder.
pub struct Files {
    root: Root,
    options: FilesOptions,
    /// Answers what no file is there for.
    fallback: Option<Arc<dyn Application>>,
}

/// The codings of compressed files, the one that is taken first, and what stands behind a file's name.
const COMPRESSED: [(ContentCoding, &str); 3] = [
    (ContentCoding::Brotli, ".br"),
    (ContentCoding::Zstandard, ".zst"),
    (ContentCoding::Gzip, ".gz"),
];

/// What is found for a request.
#[derive(Debug)]
enum FileFinding {
    /// A file: by its own name, and perhaps compressed.
    File {
        path: PathBuf,
        open: OpenFile,
        coding: Option<ContentCoding>,
    },
    /// A folder whose name was asked for without the slash behind it.
    Folder,
    /// A page that lists a folder.
    Listing(String),
    /// Nothing.
    Missing,
}

/// What is looked for. It goes to another thread if a disk has to be waited for.
struct Search {
    wanted: WantedPath,
    /// The codings that the client takes, the best first.
    codings: Vec<(ContentCoding, &'static str)>,
}

impl Files {
    /// Those of a folder. `fallback` answers what is not there.
    #[must_use]
    pub fn new(options: FilesOptions, fallback: Option<Arc<dyn Application>>) -> Self {
        let root = Root {
            folder: options.folder.clone(),
            follow: options.follow,
        };
        Self {
            root,
            options,
            fallback,
        }
    }

    /// Answers a request, for which this was found without waiting.
    async fn answer(
        self: Arc<Self>,
        request: Request,
        found: Result<FileFinding, Errno>,
        search: Search,
    ) -> Response {
        match self.or_on_disk(found, search).await {
            Ok(FileFinding::File { path, open, coding }) => {
                self.with_file(&request, &path, open, coding)
            }
            Ok(FileFinding::Folder) => with_slash(&request.target, StatusCode::MOVED_PERMANENTLY),
            Ok(FileFinding::Listing(page)) => folder_page::response(page),
            Ok(FileFinding::Missing) => self.missing(request).await,
            Err(error) => self.failed(&request, error),
        }
    }

    fn with_file(
        &self,
        request: &Request,
        path: &Path,
        open: OpenFile,
        coding: Option<ContentCoding>,
    ) -> Response {
        let mut rules = self.options.cache.iter();
        let rule = rules.find(|rule| wanted_path::matches(&rule.pattern, path));
        let mut headers = HeaderMap::new();
        if let Some(rule) = rule {
            headers.insert(header::CACHE_CONTROL, rule.value.clone());
        }
        if self.options.precompressed && file_type::is_compressible(path) {
            headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        file_response::of(request, path, open, coding, headers)
    }

    /// What a request asks for; `None` if it is nothing that may be sent.
    fn wanted(&self, request: &Request) -> Option<WantedPath> {
        let wanted = WantedPath::of(&request.path_info, self.options.hidden)?;
        let file = wanted.file(&self.options.index);
        let is_source = wanted_path::is_source(&file, &self.options.scripts);
        (self.options.sources || !is_source).then_some(wanted)
    }

    /// The search for a path.
    fn search_for(&self, wanted: WantedPath, headers: &HeaderMap) -> Search {
        let codings = match self.options.precompressed {
            true => {
                let takes = headers.get_all(header::ACCEPT_ENCODING).iter();
                let takes: Vec<&str> = takes.filter_map(|value| value.to_str().ok()).collect();
                accepted(&takes.join(","))
            }
            false => Vec::new(),
        };
        Search { wanted, codings }
    }

    /// What was found without waiting, or else by a thread that may wait.
    async fn or_on_disk(
        self: &Arc<Self>,
        found: Result<FileFinding, Errno>,
        search: Search,
    ) -> Result<FileFinding, Errno> {
        if !matches!(found, Err(Errno::AGAIN)) {
            return found;
        }
        let this = Arc::clone(self);
        let found = on_disk(move || Ok(search.run(&this, DiskWait::Allowed))).await;
        found.unwrap_or_else(|error| Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)))
    }

    /// Answers where there is no file.
    async fn missing(self: &Arc<Self>, request: Request) -> Response {
        if let Some(page) = &self.options.page
            && asks_for_page(&request)
        {
            let wanted = WantedPath {
                path: page.into(),
                is_folder: false,
            };
            let search = self.search_for(wanted, &request.headers);
            let found = search.run(self, DiskWait::Forbidden);
            match self.or_on_disk(found, search).await {
                Ok(FileFinding::File { path, open, coding }) => {
                    // It names files that the next version may not have.
                    let mut headers = HeaderMap::new();
                    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
                    // Others than browsers get another answer here.
                    let varies = match self.options.precompressed {
                        true => "Accept, Accept-Encoding",
                        false => "Accept",
                    };
                    headers.insert(header::VARY, HeaderValue::from_static(varies));
                    return file_response::of(&request, &path, open, coding, headers);
                }
                Ok(_) => {}
                Err(error) => return self.failed(&request, error),
            }
        }
        match &self.fallback {
            Some(fallback) => Arc::clone(fallback).respond(request).await,
            None => Response::plain(StatusCode::NOT_FOUND),
        }
    }

    /// Answers where a file cannot be opened, and says in the log why.
    fn failed(&self, request: &Request, error: Errno) -> Response {
        let (status, reason) = match error {
            Errno::XDEV | Errno::LOOP => {
                let reason = "a link leads out of the folder (--follow allows that)".to_owned();
                (StatusCode::NOT_FOUND, reason)
            }
            Errno::ACCESS | Errno::PERM => (StatusCode::FORBIDDEN, error.to_string()),
            Errno::MFILE | Errno::NFILE => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        };
        let name = RequestName::of(request);
        crate::log_of!(
            log_kind(status),
            about = name.subject(),
            "{} for {name}: `{}` below `{}`: {reason}",
            status.as_u16(),
            String::from_utf8_lossy(&request.path_info),
            self.options.folder.display()
        );
        Response::plain(status)
    }
}

impl Search {
    fn run(&self, files: &Files, wait: DiskWait) -> Result<FileFinding, Errno> {
        let path = self.wanted.file(&files.options.index);
        let open = match PathContent::open(&files.root, &path, wait) {
            Ok(PathContent::File(open)) => open,
            Ok(PathContent::Folder) if !self.wanted.is_folder => return Ok(FileFinding::Folder),
            Ok(PathContent::Folder | PathContent::Other) => return Ok(FileFinding::Missing),
            Err(Errno::NOENT) if self.wanted.is_folder && files.options.listing => {
                return self.list(files, wait);
            }
            Err(error) => return absent(error),
        };
        if self.codings.is_empty() || !file_type::is_compressible(&path) {
            return Ok(FileFinding::File {
                path,
                open,
                coding: None,
            });
        }
        for (coding, ending) in &self.codings {
            let mut name = path.clone().into_os_string();
            name.push(ending);
            match PathContent::open(&files.root, Path::new(&name), wait) {
                // One that is older than the file is of another version.
                Ok(PathContent::File(compressed)) if compressed.modified >= open.modified => {
                    return Ok(FileFinding::File {
                        path,
                        open: compressed,
                        coding: Some(*coding),
                    });
                }
                Err(Errno::AGAIN) => return Err(Errno::AGAIN),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(FileFinding::File {
            path,
            open,
            coding: None,
        })
    }

    fn list(&self, files: &Files, wait: DiskWait) -> Result<FileFinding, Errno> {
        if wait == DiskWait::Forbidden {
            // Reading a folder may always wait.
            return Err(Errno::AGAIN);
        }
        match files.root.open(&self.wanted.path, wait) {
            Ok(folder) => folder_page::page(&folder, &self.wanted.path, files.options.hidden)
                .map(FileFinding::Listing),
            Err(error) => absent(error),
        }
    }
}

/// An error that means that nothing is there; others stay errors.
fn absent(error: Errno) -> Result<FileFinding, Errno> {
    match is_absent(error) {
        true => Ok(FileFinding::Missing),
        false => Err(error),
    }
}

/// The codings that a client takes, the best first.
fn accepted(takes: &str) -> Vec<(ContentCoding, &'static str)> {
    let mut left = COMPRESSED.map(|(coding, _)| coding).to_vec();
    let mut accepted = Vec::new();
    while let Some(best) = content_coding::preferred(takes, &left) {
        left.retain(|coding| *coding != best);
        accepted.extend(COMPRESSED.iter().find(|(coding, _)| *coding == best));
    }
    accepted
}

/// Whether a browser asks for a page, and not for a part of one: a script that is not there is no page.
fn asks_for_page(request: &Request) -> bool {
    let name = request.path_info.rsplit(|byte| *byte == b'/').next();
    let has_ending = name.is_some_and(|name| name.contains(&b'.'));
    !has_ending && prefers_html(&request.headers)
}

fn not_allowed() -> Response {
    let mut response = Response::plain(StatusCode::METHOD_NOT_ALLOWED);
    let allowed = HeaderValue::from_static("GET, HEAD");
    response.headers.insert(header::ALLOW, allowed);
    response
}

impl Application for Files {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        if request.method != Method::GET && request.method != Method::HEAD {
            return match &self.fallback {
                Some(fallback) => Arc::clone(fallback).respond(request),
                None => Box::pin(ready(not_allowed())),
            };
        }
        let Some(wanted) = self.wanted(&request) else {
            return Box::pin(async move { self.missing(request).await });
        };
        let search = self.search_for(wanted, &request.headers);
        match search.run(&self, DiskWait::Forbidden) {
            // Most need no more than this, and no room for what might have to be waited for.
            Ok(FileFinding::File { path, open, coding }) => {
                Box::pin(ready(self.with_file(&request, &path, open, coding)))
            }
            found => Box::pin(self.answer(request, found, search)),
        }
    }

    fn inner(&self) -> Vec<&dyn Application> {
        self.fallback.as_deref().into_iter().collect()
    }
}

/// Whether a folder can be served: it is there, and may be read.
///
/// # Errors
/// It cannot be opened.
pub fn try_files_of(folder: &Path) -> io::Result<()> {
    std::fs::read_dir(folder).map(|_| ())
}
