//! System errors without their numbers.

/// A text without the numbers that the standard library adds to system errors: `(os error 2)` tells users nothing that
/// the words before it do not.
#[must_use]
pub fn without_numbers(text: &str) -> String {
    const MARK: &str = " (os error ";
    let mut parts = text.split(MARK);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, behind)) if number.parse::<i32>().is_ok() => out.push_str(behind),
            Some(_) | None => {
                out.push_str(MARK);
                out.push_str(part);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::without_numbers;

    #[test]
    fn reasons_without_numbers() {
        for (text, plain) in [
            ("a: No such file (os error 2)", "a: No such file"),
            ("a (os error 2): b (os error 13), c", "a: b, c"),
            ("a (os error x) (os error ", "a (os error x) (os error "),
            ("", ""),
        ] {
            assert_eq!(without_numbers(text), plain);
        }
    }
}
