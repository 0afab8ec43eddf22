//! The graph of what a file runs for other programs and for browsers: DOT, JSON and SVG, all of the same nodes.

use std::fmt::Write;

use layout::backends::svg::SVGWriter;
use layout::core::base::Orientation;
use layout::core::color::Color;
use layout::core::geometry::Point;
use layout::core::style::StyleAttr;
use layout::std_shapes::shapes::{Arrow, Element, ShapeKind};
use layout::topo::layout::VisualGraph;
use serde_json::{Value as Json, json};
use unicode_width::UnicodeWidthStr;

use crate::commands::json;
use crate::graph::node::Branch;

/// The numbers of the nodes that each node stands below; none for the first. Nodes stand in the order of a
/// tree that is read aloud.
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

/// Lines with their origins in a second column.
#[must_use]
pub fn text(branches: &[Branch]) -> String {
    let width = |branch: &Branch| 2 * branch.depth + branch.text.width();
    let column = branches.iter().map(width).max().unwrap_or_default();
    let mut text = String::new();
    for branch in branches {
        text.push_str(&" ".repeat(2 * branch.depth));
        text.push_str(&branch.text);
        if !branch.origin.is_empty() {
            text.push_str(&" ".repeat(column - width(branch) + 2));
            text.push_str(&branch.origin);
        }
        text.push('\n');
    }
    text
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

/// Between the quotes of DOT, where a backslash begins an escape.
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

/// A node's lines, without what would not be seen or is not allowed in XML (XML 1.0 §2.2).
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

/// Pixels around the drawing.
const MARGIN: f64 = 20.0;

/// Pixels of a letter's height.
const LETTER: f64 = 15.0;

/// Pixels of a column: letters of the fonts that browsers have for `monospace` are 0.6 of their height wide.
const COLUMN: f64 = 0.62 * LETTER;

/// The size of the box around a label.
fn room(label: &str) -> Point {
    let columns = label.lines().map(UnicodeWidthStr::width).max();
    // No label has 2³² columns.
    let columns = u32::try_from(columns.unwrap_or_default()).unwrap_or(u32::MAX);
    let height = label.lines().map(|_| 1.2).sum::<f64>().max(1.2);
    let width = COLUMN * f64::from(columns.max(1));
    Point::new(width + 2.0 * LETTER, LETTER * (height + 1.2))
}

/// A picture for browsers.
#[must_use]
pub fn svg(branches: &[Branch]) -> String {
    let orientation = Orientation::TopToBottom;
    let look = StyleAttr::new(
        Color::fast("black"),
        1,
        Some(Color::fast("white")),
        4,
        LETTER as usize,
    );
    let mut graph = VisualGraph::new(orientation);
    let nodes: Vec<_> = branches
        .iter()
        .map(|branch| {
            let label = label(branch);
            let size = room(&label);
            let shape = ShapeKind::new_box(&label);
            graph.add_node(Element::create(shape, look.clone(), orientation, size))
        })
        .collect();
    for (node, parent) in nodes.iter().zip(parents(branches)) {
        if let Some(parent) = parent.and_then(|parent| nodes.get(parent)) {
            graph.add_edge(Arrow::simple(""), *parent, *node);
        }
    }
    let mut writer = SVGWriter::new();
    graph.do_it(false, false, false, &mut writer);
    let corners = nodes.iter().map(|node| graph.pos(*node).bbox(true).1);
    let (width, height) = corners.fold((0.0_f64, 0.0_f64), |(width, height), corner| {
        (width.max(corner.x), height.max(corner.y))
    });
    // The library's `Times` has letters of all widths, which only who draws them knows.
    let drawing = writer.finalize().replacen("Times, serif", "monospace", 1);
    cropped(&drawing, width + MARGIN, height + MARGIN)
}

/// The library leaves room below for each letter of a text: the size is set anew.
fn cropped(svg: &str, width: f64, height: f64) -> String {
    let size = format!("width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\"");
    let parts = svg
        .split_once("<svg ")
        .and_then(|(before, rest)| Some((before, rest.split_once(" xmlns=")?.1)));
    match parts {
        Some((before, after)) => format!("{before}<svg {size} xmlns={after}\n"),
        None => format!("{svg}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Branch, dot, label, parents, room, svg, text};

    fn branch(depth: usize, text: &str, origin: &str) -> Branch {
        Branch {
            depth,
            text: text.to_owned(),
            origin: origin.to_owned(),
        }
    }

    #[test]
    fn each_node_knows_the_one_above_it() {
        let depths = [0, 1, 2, 2, 1, 2];
        let branches: Vec<Branch> = depths.iter().map(|depth| branch(*depth, "", "")).collect();
        let expected = [None, Some(0), Some(1), Some(1), Some(0), Some(4)];
        assert_eq!(parents(&branches), expected);
        assert_eq!(parents(&[]), []);
    }

    #[test]
    fn columns_are_counted() {
        let branches = [branch(0, "日本.ini", "here"), branch(1, "serve", "there")];
        assert_eq!(text(&branches), "日本.ini  here\n  serve   there\n");
        let width = |label| room(label).x;
        assert_eq!(width("WWWW"), width("iiii"));
        assert_eq!(width("日本\ni"), width("iiii"));
        assert!(svg(&branches).contains("font-family: monospace"));
    }

    #[test]
    fn any_text_can_be_drawn() {
        let odd = branch(0, "a\"\\<&\u{1b}[1m\n", "b\u{0}");
        assert_eq!(label(&odd), "a\"\\<&[1m\nb");
        assert!(dot(std::slice::from_ref(&odd)).contains("[label=\"a\\\"\\\\<&[1m\\nb\"]"));
        let drawn = svg(&[odd]);
        assert!(drawn.contains("a&quot;\\&lt;&amp;[1m"), "{drawn}");
    }
}
