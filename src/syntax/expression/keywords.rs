//! The words and signs of the language, for those who ask what one means.

/// A word or sign that is no name.
#[derive(Debug)]
pub struct Keyword {
    /// As it is written.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// An expression that uses it, and what that gives, as `repr` shows it.
    pub example: (&'static str, &'static str),
}

/// Builds a row of the table.
macro_rules! words {
    ($($name:literal $help:literal, $example:literal => $result:literal;)*) => {
        &[$(Keyword { name: $name, help: $help, example: ($example, $result) }),*]
    };
}

/// All of them, sorted.
pub const KEYWORDS: &[Keyword] = words! {
    "False" "The truth value of what is not so.", "1 > 2" => "False";
    "None" "Nothing: the value of what has none.", "{}.get('a') is None" => "True";
    "True" "The truth value of what is so.", "1 < 2" => "True";
    "and" "The first of its values that does not count as true, or else the last one.", "'a' and 'b'" => "'b'";
    "else" "Stands before the value that a condition gives otherwise.", "'a' if 1 > 2 else 'b'" => "'b'";
    "f''" "A string in which expressions stand in braces, with a format behind a colon.", "f'{1.5:.2f}'" => "'1.50'";
    "for" "Makes a value for each element of another value, which brackets collect.", "[n * n for n in range(3)]" => "[0, 1, 4]";
    "if" "Stands before the condition of a value, or of an element of a comprehension.", "[n for n in range(5) if n % 2]" => "[1, 3]";
    "in" "Whether a value has an element, a key or a part.", "'b' in 'abc'" => "True";
    "is" "Whether two values are the same one, as `None` is.", "None is None" => "True";
    "lambda" "A function: its parameters, a colon, and what it gives.", "(lambda a, b=1: a + b)(2)" => "3";
    "not" "The opposite of a truth value.", "not ''" => "True";
    "or" "The first of its values that counts as true, or else the last one.", "'' or 'b'" => "'b'";
};

/// Words of other languages for what Python calls differently.
pub(super) const FOREIGN: &[(&str, &str)] = &[
    ("true", "True"),
    ("false", "False"),
    ("null", "None"),
    ("nil", "None"),
    ("none", "None"),
    ("yes", "True"),
    ("no", "False"),
];

/// The word that Python has for one of another language.
pub fn meant_word(word: &str) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    FOREIGN
        .iter()
        .find(|(foreign, meant)| *foreign == lower && *meant != word)
        .map(|(_, meant)| *meant)
}
