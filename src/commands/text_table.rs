//! Tables for terminals: cells in columns, aligned by their displayed width.

use unicode_width::UnicodeWidthStr;

/// Lines of cells in columns, two spaces apart. The columns that are `right` are aligned to the right.
pub fn aligned<T: AsRef<str>, const N: usize>(rows: &[[T; N]], right: [bool; N]) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = cell.as_ref().width().max(*widest);
        }
    }
    let line = |row: &[T; N]| {
        let mut line = String::new();
        for ((cell, width), right) in row.iter().zip(widths).zip(right) {
            let cell = cell.as_ref();
            let gap = " ".repeat(width - cell.width());
            line += &match right {
                true => format!("{gap}{cell}  "),
                false => format!("{cell}{gap}  "),
            };
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Indented lines of names and their summaries, each with a line end.
pub fn names(rows: &[[&str; 2]]) -> String {
    let lines = aligned(rows, [false; 2]);
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::aligned;

    #[test]
    fn columns_are_counted_as_terminals_count_them() {
        let rows = [["日本.ini", "here", "1"], ["serve", "", "23"]];
        let expected = ["日本.ini  here   1", "serve           23"];
        assert_eq!(aligned(&rows, [false, false, true]), expected);
    }
}
