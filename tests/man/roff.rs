//! Man pages as Markdown, for the book: what `tests/man.rs` writes of roff, and no more of it.

use std::fmt::Write;

/// The parts of a man page, each below a heading (`.SH`).
pub struct Section {
    /// The words of the heading, as they are written: `EXIT STATUS`.
    pub name: String,
    lines: Vec<String>,
}

/// The sections of a man page.
pub fn sections(page: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in page.lines() {
        if let Some(name) = line.strip_prefix(".SH ") {
            let lines = Vec::new();
            let name = name.trim_matches('"').to_owned();
            sections.push(Section { name, lines });
        } else if let Some(section) = sections.last_mut() {
            section.lines.push(line.to_owned());
        }
    }
    sections
}

/// How a section is written.
#[derive(Clone, Copy)]
pub struct Form {
    /// The level of its headings (`.SS`).
    pub level: usize,
    /// Whether tagged paragraphs (`.TP`) are headings, which others can link to, rather than items of a list.
    pub headings: bool,
    /// Whether its headings are commands.
    pub commands: bool,
}

/// The Markdown of a section, without its heading.
pub fn markdown(section: &Section, form: Form) -> String {
    let mut writer = Writer::new(form);
    let mut lines = section.lines.iter().map(String::as_str);
    while let Some(line) = lines.next() {
        match line.split_once(' ').unwrap_or((line, "")) {
            (".nf" | ".EX", _) => {
                let code: Vec<&str> = lines
                    .by_ref()
                    .take_while(|line| !matches!(*line, ".fi" | ".EE"))
                    .filter(|line| !line.starts_with(".RS") && !line.starts_with(".RE"))
                    .collect();
                writer.code(&code);
            }
            (".SS", name) => writer.heading(name),
            (".TP", _) => {
                let tag = lines.next().expect("a tag follows");
                writer.tag(&line_of(tag));
            }
            (".IP", _) => writer.item(),
            (".PP", _) => writer.paragraph(),
            (".RS", _) => writer.depth += 1,
            (".RE", _) => {
                writer.depth = writer.depth.saturating_sub(1);
                writer.begun = false;
            }
            (".in" | ".br" | ".nh" | ".ad", _) | ("", "") => (),
            _ => writer.text(&line_of(line)),
        }
    }
    writer.text
}

/// Writes paragraphs, lists and headings.
struct Writer {
    text: String,
    form: Form,
    /// Whether the paragraph has words already.
    begun: bool,
    /// Whether paragraphs belong to an item of a list.
    in_item: bool,
    /// How deep lists stand in others.
    depth: usize,
}

impl Writer {
    fn new(form: Form) -> Self {
        Self {
            text: String::new(),
            form,
            begun: false,
            in_item: false,
            depth: 0,
        }
    }

    fn blank_line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
        self.begun = false;
    }

    fn indent(&self) -> String {
        "  ".repeat(self.depth + usize::from(self.in_item))
    }

    /// Words of a paragraph, which is one line.
    fn text(&mut self, words: &str) {
        if words.is_empty() {
            return;
        }
        let goes_on = self.begun && !self.text.ends_with("\\\n");
        if goes_on {
            self.text.truncate(self.text.trim_end().len());
            let _ = writeln!(self.text, " {words}");
            return;
        }
        if !self.begun && !self.text.ends_with("- ") {
            self.blank_line();
        }
        let indent = match self.text.ends_with("- ") {
            true => String::new(),
            false => self.indent(),
        };
        self.begun = true;
        // A line must not look like the item of a list or a heading.
        let escape = match words.starts_with(['#', '+', '-', '>']) {
            true => "\\",
            false => "",
        };
        let _ = writeln!(self.text, "{indent}{escape}{words}");
    }

    fn paragraph(&mut self) {
        self.in_item = self.depth > 0 && self.in_item;
        self.blank_line();
    }

    fn item(&mut self) {
        self.in_item = false;
        let indent = self.indent();
        self.blank_line();
        let _ = write!(self.text, "{indent}- ");
        self.in_item = true;
    }

    fn heading(&mut self, name: &str) {
        self.in_item = false;
        self.blank_line();
        let name = unescaped(name.trim_matches('"'));
        let marks = "#".repeat(self.form.level);
        // A command, with its words behind it.
        let command = name.split(' ').next().filter(|_| self.form.commands);
        let heading = command.map_or_else(|| roman(&name), str::to_owned);
        let _ = writeln!(self.text, "{marks} {heading}");
        if command.is_some_and(|command| command != name) {
            let _ = writeln!(self.text, "\n```text\n{name}\n```");
        }
    }

    /// The tag of a paragraph.
    fn tag(&mut self, tag: &str) {
        self.blank_line();
        if self.form.headings {
            self.in_item = false;
            // The name, and what it takes.
            let (name, rest) = tag.trim_start_matches('`').split_once('`').expect("a name");
            let marks = "#".repeat(self.form.level);
            let _ = writeln!(self.text, "{marks} `{name}` {{#{name}}}");
            self.text(rest.trim_start_matches([' ', '=']));
            self.blank_line();
        } else {
            self.item();
            // A backslash at the end breaks the line.
            let _ = writeln!(self.text, "{tag}\\");
            self.begun = true;
        }
    }

    fn code(&mut self, lines: &[&str]) {
        self.blank_line();
        let lines: Vec<String> = lines.iter().map(|line| unescaped(line)).collect();
        let least = |line: &String| line.len() - line.trim_start().len();
        let filled = lines.iter().filter(|line| !line.trim().is_empty());
        let margin = filled.map(least).min().unwrap_or_default();
        let has = |start: &str| {
            lines
                .iter()
                .any(|line| line.trim_start().starts_with(start))
        };
        let language = match () {
            () if has("Command ") => "conf",
            () if has("app = ") || has("runner.") || has("[") => "ini",
            () if has("runner ") => "sh",
            () => "text",
        };
        let indent = self.indent();
        let _ = writeln!(self.text, "{indent}```{language}");
        for line in &lines {
            let line = line.get(margin..).unwrap_or_default();
            let _ = writeln!(self.text, "{}", format!("{indent}{line}").trim_end());
        }
        let _ = writeln!(self.text, "{indent}```");
    }
}

/// A line of text, or of a macro that sets fonts, as Markdown.
fn line_of(line: &str) -> String {
    let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
    let fonts = match name {
        ".B" => "B",
        ".I" => "I",
        ".BR" => "BR",
        ".RB" => "RB",
        ".BI" => "BI",
        ".IB" => "IB",
        ".RI" => "RI",
        ".IR" => "IR",
        _ => {
            assert!(!line.starts_with('.'), "an unknown macro: {line}");
            return fonts_in('R', line);
        }
    };
    let words = arguments(rest);
    // `.B` and `.I` set all of their words in one font.
    let words = match fonts.len() {
        1 => vec![words.join(" ")],
        _ => words,
    };
    let fonts = fonts.chars().cycle();
    let parts = words.iter().zip(fonts);
    joined(
        parts
            .flat_map(|(word, font)| parts_of(font, word))
            .collect(),
    )
}

/// The arguments of a macro: words, or texts in quotes.
fn arguments(text: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let word = match rest.strip_prefix('"') {
            Some(quoted) => {
                // A doubled quote stands for one.
                let mut word = String::new();
                let mut end = quoted.len();
                let mut characters = quoted.char_indices().peekable();
                while let Some((index, character)) = characters.next() {
                    match character {
                        '"' if characters.next_if(|(_, next)| *next == '"').is_some() => {
                            word.push('"');
                        }
                        '"' => {
                            end = index + 1;
                            break;
                        }
                        _ => word.push(character),
                    }
                }
                rest = &quoted[end..];
                word
            }
            None => {
                // `\ ` is a blank within a word.
                let mut end = rest.len();
                let mut before = ' ';
                for (index, character) in rest.char_indices() {
                    if character == ' ' && before != '\\' {
                        end = index;
                        break;
                    }
                    before = character;
                }
                let (word, after) = rest.split_at(end);
                // Roff knows no such quotes, and would split the text at its blanks.
                let is_part = word.starts_with('\'') && !word.trim_end_matches(',').ends_with('\'');
                assert!(!is_part, "a text with blanks needs double quotes: {text}");
                rest = after;
                word.to_owned()
            }
        };
        arguments.push(word);
        rest = rest.trim_start();
    }
    arguments
}

/// Text that begins in a font and may change it (`\fB`).
fn fonts_in(font: char, text: &str) -> String {
    joined(parts_of(font, text))
}

/// The parts of a text, each with its font.
fn parts_of(font: char, text: &str) -> Vec<(char, String)> {
    let mut parts = Vec::new();
    for (index, part) in text.split("\\f").enumerate() {
        let (font, part) = match index {
            0 => (font, part),
            _ => (
                part.chars().next().unwrap_or('R'),
                part.get(1..).unwrap_or_default(),
            ),
        };
        if !part.is_empty() {
            parts.push((font, unescaped(part)));
        }
    }
    parts
}

/// Parts in their fonts: what is bold is typed as it stands, and so is code.
fn joined(parts: Vec<(char, String)>) -> String {
    let mut merged: Vec<(char, String)> = Vec::new();
    for (font, text) in parts {
        match merged.last_mut() {
            Some((last, before)) if *last == font => before.push_str(&text),
            _ => merged.push((font, text)),
        }
    }
    merged
        .iter()
        .map(|(font, text)| in_font(*font, text))
        .collect()
}

fn in_font(font: char, text: &str) -> String {
    let inner = text.trim();
    if inner.is_empty() {
        return text.to_owned();
    }
    let start = &text[..text.len() - text.trim_start().len()];
    let end = &text[text.trim_end().len()..];
    let marked = match font {
        'B' if inner.contains('`') => format!("`` {inner} ``"),
        'B' => format!("`{inner}`"),
        'I' => {
            let at_word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
            match at_word(inner.chars().next()) && at_word(inner.chars().last()) {
                true => format!("*{}*", roman(inner)),
                false => format!("<em>{}</em>", roman(inner)),
            }
        }
        _ => roman(inner),
    };
    format!("{start}{marked}{end}")
}

/// Text without a meaning for Markdown, but for code between backticks.
fn roman(text: &str) -> String {
    let mut escaped = String::new();
    let mut in_code = false;
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        // Within a word it is only a character.
        let is_in_word = before.is_alphanumeric() && next.is_alphanumeric();
        match character {
            '<' if !in_code => escaped.push_str("&lt;"),
            '*' | '\\' | '~' if !in_code => escaped.extend(['\\', character]),
            '_' if !in_code && !is_in_word => escaped.extend(['\\', character]),
            ']' if !in_code && next == '(' => escaped.push_str("\\]"),
            _ => escaped.push(character),
        }
        in_code ^= character == '`';
        before = character;
    }
    escaped
}

/// Text without the escapes of roff.
fn unescaped(text: &str) -> String {
    let mut text = text.to_owned();
    for (escape, character) in [
        ("\\-", "-"),
        ("\\(bu", "•"),
        ("\\(em", "—"),
        ("\\(aq", "'"),
        ("\\*(Aq", "'"),
        ("\\&", ""),
        ("\\ ", " "),
        ("\\fB", ""),
        ("\\fI", ""),
        ("\\fR", ""),
        ("\\.", "."),
        ("\\e", "\\"),
    ] {
        text = text.replace(escape, character);
    }
    text
}
