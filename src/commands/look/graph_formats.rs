//! The formats of `graph`: indented text, DOT, JSON and SVG.

use std::fmt::Write;

use serde_json::{Value as Json, json};
use textwrap::{WordSeparator, WordSplitter};
use unicode_width::UnicodeWidthStr;

use crate::commands::json;
use crate::commands::text_table::aligned;
use crate::graph::node::Branch;

/// The index of each node's parent; none for the root. The nodes are in depth-first order.
fn parents(branches: &[Branch]) -> Vec<Option<usize>> {
    let mut above: Vec<usize> = Vec::new();
    let mut parents = Vec::with_capacity(branches.len());
    for (number, branch) in branches.iter().enumerate() {
        above.truncate(branch.depth);
        parents.push(above.last().copied());
        above.push(number);
    }
    parents
}

/// Indented lines with their origins in a second column.
#[must_use]
pub fn text(branches: &[Branch]) -> String {
    let indented = |branch: &Branch| format!("{}{}", "  ".repeat(branch.depth), branch.text);
    let rows: Vec<_> = branches
        .iter()
        .map(|branch| [indented(branch), branch.origin.clone()])
        .collect();
    let mut lines = aligned(&rows, [false; 2]);
    lines.push(String::new());
    lines.join("\n")
}

/// From left to right, so that many siblings are below each other, and no line crosses them.
const HEAD: &str = "\
digraph {
  rankdir=LR node [shape=box] edge [tailport=e headport=w]
";

/// The language of Graphviz (<https://graphviz.org/doc/info/lang.html>).
#[must_use]
pub fn dot(branches: &[Branch]) -> String {
    let mut text = HEAD.to_owned();
    for (number, branch) in branches.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  n{number} [label=\"{}\"]", escaped(&label(branch)));
    }
    for (number, parent) in parents(branches).into_iter().enumerate() {
        if let Some(parent) = parent {
            let _ = writeln!(text, "  n{parent} -> n{number}");
        }
    }
    text.push_str("}\n");
    text
}

/// Escaped for a quoted string of DOT.
fn escaped(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// The nodes and edges as JSON.
#[must_use]
pub fn json(branches: &[Branch]) -> String {
    let nodes: Vec<Json> = branches
        .iter()
        .enumerate()
        .map(|(number, branch)| {
            let origin = Some(&branch.origin).filter(|origin| !origin.is_empty());
            json!({ "id": number, "text": branch.text, "origin": origin })
        })
        .collect();
    let edges: Vec<Json> = parents(branches)
        .into_iter()
        .enumerate()
        .filter_map(|(number, parent)| Some(json!({ "from": parent?, "to": number })))
        .collect();
    json::document(&json!({ "nodes": nodes, "edges": edges }))
}

/// A text without characters that are invisible or not allowed in XML (XML 1.0 §2.2).
fn visible(text: &str) -> String {
    let allowed = |c: &char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().filter(allowed).collect()
}

/// A node's text and origin, each on a line.
fn label(branch: &Branch) -> String {
    match branch.origin.is_empty() {
        true => visible(&branch.text),
        false => format!("{}\n{}", visible(&branch.text), visible(&branch.origin)),
    }
}

/// Pixels around the picture, from the box of a parent to that of its child, and between the edge of a box and its text.
const MARGIN: usize = 12;
const INDENT: usize = 28;
const PADDING: usize = 8;

/// Pixels of a column, of a line of text, and above its baseline. Letters of monospaced fonts are 0.6 of their height wide.
const COLUMN: usize = 9;
const LINE: usize = 18;
const BASELINE: usize = 14;

/// Columns between a text and its origin in the same line.
const GAP: usize = 3;

/// Colours for light and dark backgrounds.
const STYLE: &str = "
text { font: 14px monospace; fill: #111; white-space: pre }
.origin { fill: #666 }
rect { fill: #fff; stroke: #555 }
path { fill: none; stroke: #888 }
@media (prefers-color-scheme: dark) {
text { fill: #eee }
.origin { fill: #aaa }
rect { fill: #222; stroke: #aaa }
}
";

/// Columns after which a text goes on in the next line, and by how many the further lines are indented.
const LONGEST: usize = 100;
const FURTHER: &str = "    ";

/// A box of the picture: branches that are rows of one table.
struct DrawnBox {
    /// The number of the first branch.
    first: usize,
    /// The columns of the texts; their origins stand behind them.
    columns: usize,
    /// The text of each row, as lines, and its origin.
    rows: Vec<(Vec<String>, String)>,
}

/// The boxes of the picture. Siblings without children that follow one another share one, so that hundreds can be seen.
fn boxes(branches: &[Branch]) -> Vec<DrawnBox> {
    let has_children = |number: usize| {
        let next = branches.get(number + 1);
        next.is_some_and(|next| next.depth > branches[number].depth)
    };
    let mut boxes: Vec<DrawnBox> = Vec::new();
    let mut last_depth = None;
    for (number, branch) in branches.iter().enumerate() {
        let row = (wrapped(&visible(&branch.text)), visible(&branch.origin));
        let depth = (!has_children(number)).then_some(branch.depth);
        match boxes.last_mut() {
            Some(drawn) if depth.is_some() && depth == last_depth => drawn.rows.push(row),
            _ => boxes.push(DrawnBox {
                first: number,
                columns: 0,
                rows: vec![row],
            }),
        }
        last_depth = depth;
    }
    for drawn in &mut boxes {
        let lines = drawn.rows.iter().flat_map(|(lines, _)| lines);
        drawn.columns = lines.map(|line| line.width()).max().unwrap_or_default();
    }
    boxes
}

/// A text as lines of a limited width.
fn wrapped(text: &str) -> Vec<String> {
    let options = textwrap::Options::new(LONGEST)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .subsequent_indent(FURTHER);
    let lines = textwrap::wrap(text, options).into_iter();
    lines.map(std::borrow::Cow::into_owned).collect()
}

/// A picture for browsers: a tree, each box below the one before it.
#[must_use]
pub fn svg(branches: &[Branch]) -> String {
    let parents = parents(branches);
    let mut shapes = String::new();
    // Where the lines to the children of each branch begin.
    let mut feet = vec![(0, 0); branches.len()];
    let (mut right, mut top) = (0, MARGIN);
    for drawn in boxes(branches) {
        let left = MARGIN + branches[drawn.first].depth * INDENT;
        // The origin of a row that is alone stands below it.
        let is_alone = drawn.rows.len() == 1;
        let origins = drawn.rows.iter().map(|(_, origin)| origin.width());
        let origins = origins.max().unwrap_or_default();
        let columns = match (is_alone, origins) {
            (true, _) | (false, 0) => drawn.columns.max(origins),
            (false, _) => drawn.columns + GAP + origins,
        };
        let mut texts = String::new();
        let mut line = 0;
        for (lines, origin) in &drawn.rows {
            texts.push_str("<text>");
            let place = |column: usize, line: usize| {
                let x = left + PADDING + column * COLUMN;
                (x, top + PADDING + BASELINE + line * LINE)
            };
            let first = line;
            for text in lines {
                write_text(&mut texts, "", place(0, line), text);
                line += 1;
            }
            if !origin.is_empty() {
                let at = match is_alone {
                    true => place(0, line),
                    false => place(drawn.columns + GAP, first),
                };
                line += usize::from(is_alone);
                write_text(&mut texts, " class=\"origin\"", at, origin);
            }
            texts.push_str("</text>\n");
        }
        let (width, height) = (
            columns * COLUMN + 2 * PADDING,
            line.max(1) * LINE + 2 * PADDING,
        );
        let middle = top + height / 2;
        // Writing to a string does not fail.
        if let Some((x, y)) = parents[drawn.first].map(|parent| feet[parent]) {
            let _ = writeln!(shapes, "<path d=\"M{x} {y}V{middle}H{left}\"/>");
        }
        let _ = writeln!(
            shapes,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"4\"/>"
        );
        shapes.push_str(&texts);
        feet[drawn.first] = (left + INDENT / 2, top + height);
        right = right.max(left + width);
        top += height + MARGIN;
    }
    let (width, height) = (right + MARGIN, top);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n<style>{STYLE}</style>\n{shapes}</svg>\n"
    )
}

/// Adds a piece of a text at a place.
fn write_text(shapes: &mut String, class: &str, (x, y): (usize, usize), text: &str) {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    // Writing to a string does not fail.
    let _ = write!(shapes, "<tspan{class} x=\"{x}\" y=\"{y}\">{text}</tspan>");
}

#[cfg(test)]
mod tests {
    use super::{Branch, dot, label, parents, svg};

    fn branch(depth: usize, text: &str, origin: &str) -> Branch {
        Branch {
            depth,
            text: text.to_owned(),
            origin: origin.to_owned(),
        }
    }

    #[test]
    fn each_node_knows_its_parent() {
        let depths = [0, 1, 2, 2, 1, 2];
        let branches: Vec<Branch> = depths.iter().map(|depth| branch(*depth, "", "")).collect();
        let expected = [None, Some(0), Some(1), Some(1), Some(0), Some(4)];
        assert_eq!(parents(&branches), expected);
        assert_eq!(parents(&[]), []);
    }

    #[test]
    fn any_text_can_be_drawn() {
        let odd = branch(0, "a\"\\<&\u{1b}[1m\n", "b\u{0}");
        assert_eq!(label(&odd), "a\"\\<&[1m\nb");
        assert!(dot(std::slice::from_ref(&odd)).contains("[label=\"a\\\"\\\\<&[1m\\nb\"]"));
        let drawn = svg(&[odd]);
        assert!(drawn.contains("a\"\\&lt;&amp;[1m"), "{drawn}");
    }

    /// The width or height of a picture.
    fn size(drawn: &str, name: &str) -> usize {
        let (_, size) = drawn.split_once(&format!(" {name}=\"")).expect("a size");
        let (size, _) = size.split_once('"').expect("its end");
        size.parse().expect("a number")
    }

    #[test]
    fn many_programs_and_long_ones_fit_a_page() {
        let mut branches = vec![branch(0, "app.conf", ""), branch(1, "supervise", "")];
        let long = format!("program ./worker{}", " --option=value".repeat(30));
        for number in 0..100 {
            let text = if number == 50 {
                &long
            } else {
                "program ./worker"
            };
            branches.push(branch(2, text, &format!("app.conf:{}", number + 3)));
        }
        branches.push(branch(2, "serve", ""));
        branches.push(branch(3, "demo", "app.conf:1"));
        let drawn = svg(&branches);
        assert_eq!(drawn.matches("<rect").count(), 5);
        assert_eq!(drawn.matches("<path").count(), 4);
        assert_eq!(drawn.matches(">program ./worker").count(), 100);
        assert!(drawn.contains(">app.conf:102</tspan>"));
        assert!(size(&drawn, "width") < 1300, "{drawn}");
        assert!(size(&drawn, "height") < 2400, "{drawn}");
        // Its children are below it, not beside it.
        let dot = dot(&branches);
        assert!(dot.starts_with("digraph {\n  rankdir=LR "), "{dot}");
    }
}
