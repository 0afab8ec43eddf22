//! The formats of `graph`: indented text, DOT, JSON and SVG.

use std::fmt::Write;

use serde_json::{Value as Json, json};
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

/// The language of Graphviz (<https://graphviz.org/doc/info/lang.html>).
#[must_use]
pub fn dot(branches: &[Branch]) -> String {
    let mut text = "digraph {\n  node [shape=box]\n".to_owned();
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

/// A node's text and origin, each on a line, without characters that are invisible or not allowed in XML (XML 1.0 §2.2).
fn label(branch: &Branch) -> String {
    let visible = |text: &str| -> String {
        let allowed = |c: &char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
        text.chars().filter(allowed).collect()
    };
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

/// Colours for light and dark backgrounds.
const STYLE: &str = "
text { font: 14px monospace; fill: #111; white-space: pre }
tspan + tspan { fill: #666 }
rect { fill: #fff; stroke: #555 }
path { fill: none; stroke: #888 }
@media (prefers-color-scheme: dark) {
text { fill: #eee }
tspan + tspan { fill: #aaa }
rect { fill: #222; stroke: #aaa }
}
";

/// A picture for browsers: a tree with a box on each line.
#[must_use]
pub fn svg(branches: &[Branch]) -> String {
    let mut shapes = String::new();
    // Where the lines to the children of each box begin.
    let mut feet = Vec::with_capacity(branches.len());
    let (mut right, mut top) = (0, MARGIN);
    for (branch, parent) in branches.iter().zip(parents(branches)) {
        let label = label(branch);
        let columns = label.lines().map(UnicodeWidthStr::width).max();
        let width = columns.unwrap_or_default() * COLUMN + 2 * PADDING;
        let height = label.lines().count().max(1) * LINE + 2 * PADDING;
        let (left, middle) = (MARGIN + branch.depth * INDENT, top + height / 2);
        // Writing to a string does not fail.
        if let Some((x, y)) = parent.and_then(|parent| feet.get(parent)) {
            let _ = writeln!(shapes, "<path d=\"M{x} {y}V{middle}H{left}\"/>");
        }
        let _ = writeln!(
            shapes,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"4\"/>"
        );
        shapes.push_str("<text>");
        for (number, line) in label.lines().enumerate() {
            let (x, y) = (left + PADDING, top + PADDING + BASELINE + number * LINE);
            let line = line
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;");
            let _ = write!(shapes, "<tspan x=\"{x}\" y=\"{y}\">{line}</tspan>");
        }
        shapes.push_str("</text>\n");
        feet.push((left + INDENT / 2, top + height));
        right = right.max(left + width);
        top += height + MARGIN;
    }
    let (width, height) = (right + MARGIN, top);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n<style>{STYLE}</style>\n{shapes}</svg>\n"
    )
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
}
