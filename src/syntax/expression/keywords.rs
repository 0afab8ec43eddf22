//! The words of expressions that are not names, with what `explain` says about each, and the words of other languages
//! that are taken for them.

/// A word of expressions that is not a name.
#[derive(Debug)]
pub struct Keyword {
    /// The word.
    pub name: &'static str,
    /// What it means, in at most 70 characters, without a full stop.
    pub summary: &'static str,
    /// The summary, and for some words what else there is to know.
    pub help: &'static str,
    /// An expression that uses it, and the `repr` of its value.
    pub example: (&'static str, &'static str),
}

/// Makes the table from words, summaries, details and examples.
macro_rules! words {
    ($($name:literal $summary:literal $($details:literal)?, $example:literal => $result:literal;)*) => {
        &[$(Keyword {
            name: $name,
            summary: $summary,
            help: concat!($summary, '.' $(, ' ', $details)?),
            example: ($example, $result),
        }),*]
    };
}

/// Every word, sorted.
pub const KEYWORDS: &[Keyword] = words! {
    "False" "The truth value false", "1 > 2" => "False";
    "None" "The value that stands for no value", "{}.get('a') is None" => "True";
    "True" "The truth value true", "1 < 2" => "True";
    "and" "The first value that does not count as true, or else the last one", "'a' and 'b'" => "'b'";
    "else" "Begins the value that is used where the condition is not true", "'a' if 1 > 2 else 'b'" => "'b'";
    "f''" "A string with expressions in braces" "A colon and a format may follow each expression.", "f'{1.5:.2f}'" => "'1.50'";
    "for" "Computes a value for each element of another one" "The brackets around it collect the values.", "[n * n for n in range(3)]" => "[0, 1, 4]";
    "if" "Begins the condition of a value, or of an element of a comprehension", "[n for n in range(5) if n % 2]" => "[1, 3]";
    "in" "Whether a value contains an element, a key or a substring", "'b' in 'abc'" => "True";
    "is" "Whether two values are the same object, as `None` is", "None is None" => "True";
    "lambda" "A function: its parameters, a colon, and the expression it returns", "(lambda a, b=1: a + b)(2)" => "3";
    "not" "The opposite of a truth value", "not ''" => "True";
    "or" "The first value that counts as true, or else the last one", "'' or 'b'" => "'b'";
};

/// Words of other languages, and the Python word.
pub(super) const FOREIGN: &[(&str, &str)] = &[
    ("true", "True"),
    ("false", "False"),
    ("null", "None"),
    ("nil", "None"),
    ("none", "None"),
    ("yes", "True"),
    ("no", "False"),
];

/// The Python word for one of another language, in any case.
pub fn meant_word(word: &str) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    FOREIGN
        .iter()
        .find(|(foreign, meant)| *foreign == lower && *meant != word)
        .map(|(_, meant)| *meant)
}
