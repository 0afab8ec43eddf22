//! How a function of the language looks to its users. The table of functions pairs it with its code, which needs the
//! evaluator; values must not know the evaluator.

/// A function's name, parameters and documentation.
#[derive(Debug)]
pub struct Signature {
    /// Its name as it is written, with its module.
    pub name: &'static str,
    /// Its parameters: `name`, with a default `name=`, `*` for any further ones, `**` for any names,
    /// [`POSITIONAL_ONLY`], [`KEYWORD_ONLY`].
    pub parameters: &'static [&'static str],
    /// What it does, in at most 70 characters, without a full stop.
    pub summary: &'static str,
    /// The summary, and for some functions what else there is to know.
    pub help: &'static str,
    /// An expression that uses it, and the `repr` of its value.
    pub example: (&'static str, &'static str),
}

/// Stands behind the parameters that are given by position only.
pub(crate) const POSITIONAL_ONLY: &str = "/";

/// Stands before the parameters that are given by name only.
pub(crate) const KEYWORD_ONLY: &str = "|";

impl Signature {
    /// Its name without the module.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }

    /// Its parameters as they are shown: `value, [default], *others`.
    #[must_use]
    pub fn parameters_shown(&self) -> String {
        let marks = [POSITIONAL_ONLY, KEYWORD_ONLY];
        let parameters = self.parameters.iter().filter(|one| !marks.contains(one));
        let shown = parameters.map(|parameter| match parameter.strip_suffix('=') {
            Some(optional) => format!("[{optional}]"),
            None if parameter.ends_with('*') => format!("{parameter}others"),
            None => (*parameter).to_owned(),
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    /// Its name with its parameters.
    #[must_use]
    pub fn signature(&self) -> String {
        format!("{}({})", self.name, self.parameters_shown())
    }
}
