//! What a file for another program cannot express.

use crate::export::exported_server::ExportedServer;

/// One thing that is not expressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportRemark {
    /// Where the setting is set that it is about: `hello.ini:5`; may be empty.
    pub place: String,
    /// What it is, in one line.
    pub text: String,
    /// Whether the server does not run, or is not reached, because of it.
    pub is_essential: bool,
}

/// All of them, in the order in which they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportRemarks(pub Vec<ExportRemark>);

impl ExportRemarks {
    /// Without it, the server does not run or is not reached.
    pub fn essential(&mut self, server: &ExportedServer, setting: &str, text: impl Into<String>) {
        self.add(server, setting, text.into(), true);
    }

    /// What is good to know, or different from what the file says.
    pub fn note(&mut self, server: &ExportedServer, setting: &str, text: impl Into<String>) {
        self.add(server, setting, text.into(), false);
    }

    fn add(&mut self, server: &ExportedServer, setting: &str, text: String, is_essential: bool) {
        let place = server.places.get(setting);
        let remark = ExportRemark {
            place: place.cloned().unwrap_or_default(),
            text,
            is_essential,
        };
        if !self.0.contains(&remark) {
            self.0.push(remark);
        }
    }

    /// Whether what is written runs.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.0.iter().all(|remark| !remark.is_essential)
    }

    /// The comment that a file begins with.
    #[must_use]
    pub fn opening(&self, title: &str) -> String {
        let mut text = format!("# {title}\n");
        if !self.0.is_empty() {
            text.push_str("#\n# What is not expressed here:\n");
        }
        for ExportRemark {
            place, text: what, ..
        } in &self.0
        {
            match place.is_empty() {
                true => text.push_str(&format!("# - {what}\n")),
                false => text.push_str(&format!("# - {place}: {what}\n")),
            }
        }
        text.push('\n');
        text
    }
}
