//! Expressions generated from a seed: mostly of a wanted type, so that they have a value, and now and then of another
//! type, so that mistakes are compared too.

/// Generates expressions; the same seed gives the same ones.
pub struct Generator {
    state: u64,
    /// Names that enclosing lambdas and comprehensions bind to numbers.
    names: Vec<&'static str>,
    /// The number of enclosing texts.
    texts: usize,
}

/// The type of an expression's value.
#[derive(Clone, Copy)]
enum Type {
    Int,
    Float,
    Bool,
    Str,
    Bytes,
    List,
    Tuple,
    Dict,
    Set,
}

/// Sets have no defined order: none where a text is made of what may contain one.
const TYPES: [Type; 9] = [
    Type::Int,
    Type::Float,
    Type::Bool,
    Type::Str,
    Type::List,
    Type::Tuple,
    Type::Dict,
    Type::Bytes,
    Type::Set,
];

const NAMES: [&str; 4] = ["x", "y", "z", "w"];

/// Fills the `@`s of a pattern in order.
fn fill(pattern: &str, parts: &[String]) -> String {
    let mut parts = parts.iter();
    let mut text = String::new();
    for (place, piece) in pattern.split('@').enumerate() {
        if place > 0 {
            text.push_str(parts.next().expect("as many parts as places"));
        }
        text.push_str(piece);
    }
    text
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed,
            names: Vec::new(),
            texts: 0,
        }
    }

    /// splitmix64: small, and the same on all machines.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("less than a usize")
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// The next expression.
    pub fn expression(&mut self) -> String {
        let depth = 1 + self.below(3);
        let wanted = self.pick(&TYPES);
        self.of(wanted, depth)
    }

    fn any(&mut self, depth: usize) -> String {
        let wanted = if self.texts > 0 {
            self.pick(&TYPES[..7])
        } else {
            self.pick(&TYPES)
        };
        self.of(wanted, depth)
    }

    fn hashable(&mut self, depth: usize) -> String {
        let wanted = self.pick(&[Type::Int, Type::Str, Type::Bool, Type::Float, Type::Bytes]);
        self.of(wanted, depth)
    }

    fn of(&mut self, wanted: Type, depth: usize) -> String {
        // One in a hundred has another type; not bytes, which have few methods here, and not a set, whose order
        // differs.
        let wanted = if self.below(100) == 0 {
            self.pick(&TYPES[..7])
        } else {
            wanted
        };
        let wanted = match wanted {
            Type::Set if self.texts > 0 => Type::Tuple,
            wanted => wanted,
        };
        if depth == 0 {
            return self.leaf(wanted);
        }
        match self.below(12) {
            0 => {
                let parts = [
                    self.of(wanted, depth - 1),
                    self.any(depth - 1),
                    self.of(wanted, depth - 1),
                ];
                fill("(@ if @ else @)", &parts)
            }
            1 => {
                let parts = [self.of(wanted, depth - 1), self.of(wanted, depth - 1)];
                let pattern = self.pick(&["(@ or @)", "(@ and @)", "[@, @][0]", "(@, @)[-1]"]);
                fill(pattern, &parts)
            }
            2 => self.bound(wanted, depth),
            _ => self.made(wanted, depth - 1),
        }
    }

    /// `(lambda x: …)(1)`
    fn bound(&mut self, wanted: Type, depth: usize) -> String {
        let Some(&name) = NAMES.get(self.names.len()) else {
            return self.leaf(wanted);
        };
        let argument = self.of(Type::Int, depth - 1);
        self.names.push(name);
        let body = self.of(wanted, depth - 1);
        self.names.pop();
        match self.below(3) {
            0 => format!("(lambda {name}: {body})({argument})"),
            1 => format!("(lambda {name}={argument}, *more, **rest: {body})()"),
            _ => format!("(lambda *a, {name}: {body})(1, 2, {name}={argument})"),
        }
    }

    fn leaf(&mut self, wanted: Type) -> String {
        match wanted {
            Type::Int if !self.names.is_empty() && self.below(2) == 0 => {
                let names = self.names.clone();
                self.pick(&names).to_owned()
            }
            Type::Int => match self.below(6) {
                0 => format!("0x{:x}", self.below(5000)),
                1 => format!("{}", self.next()),
                2 => format!("-{}", self.below(20)),
                3 => format!("{}_{:03}", 1 + self.below(99), self.below(1000)),
                _ => format!("{}", self.below(12)),
            },
            Type::Float => match self.below(5) {
                0 => format!("{}.{}", self.below(1000), self.below(1000)),
                1 => format!("{}e{}", self.below(100), self.below(30)),
                2 => format!(".{}", self.below(1000)),
                3 => format!("{}.5", self.below(20)),
                _ => self
                    .pick(&[
                        "1e-07",
                        "-0.0",
                        "1e16",
                        "123456789.125",
                        "0.1",
                        "2.675",
                        "-1.5",
                    ])
                    .to_owned(),
            },
            Type::Bool => self.pick(&["True", "False", "None"]).to_owned(),
            Type::Str => self
                .pick(&[
                    "''",
                    "'a'",
                    "\"it's\"",
                    "'abc'",
                    "'Hello, World'",
                    "' x '",
                    "'ä☃'",
                    "r'\\d'",
                    "'a,b,,c'",
                    "'12'",
                    "'-7'",
                    "'1.5'",
                    "'ÀÉ'",
                    "'ß'",
                    "'\\t\\n\\x00'",
                    "'two  words'",
                    "'''q'q'''",
                    "'aAbB'",
                    "'%'",
                    "'a' 'b'",
                    "'x=1'",
                ])
                .to_owned(),
            Type::Bytes => self
                .pick(&["b''", "b'abc'", "b'\\x00\\xff'", "b\"it's\"", "rb'\\d'"])
                .to_owned(),
            Type::List => self
                .pick(&[
                    "[]",
                    "[1]",
                    "[3, 1, 2]",
                    "['b', 'a']",
                    "[1.5, 2]",
                    "[[1], []]",
                    "[True, None]",
                ])
                .to_owned(),
            Type::Tuple => self
                .pick(&["()", "(1,)", "(3, 1, 2)", "('b', 'a')", "((1, 2), (3, 4))"])
                .to_owned(),
            Type::Dict => self
                .pick(&[
                    "{}",
                    "{'a': 1}",
                    "{1: 'x', 2: 'y'}",
                    "{'b': [1], 'a': None}",
                    "{(1, 2): 3}",
                ])
                .to_owned(),
            Type::Set => self
                .pick(&["set()", "{1}", "{3, 1, 2}", "{'a', 'b'}", "{1, 1.0, True}"])
                .to_owned(),
        }
    }

    /// An operator, function or method that returns the type.
    fn made(&mut self, wanted: Type, depth: usize) -> String {
        let name = match wanted {
            Type::Int => "int",
            Type::Float => "float",
            Type::Bool => "bool",
            Type::Str => "str",
            Type::Bytes => "bytes",
            Type::List => "list",
            Type::Tuple => "tuple",
            Type::Dict => "dict",
            Type::Set => "set",
        };
        let pattern = self.pick(&patterns(name));
        let text = usize::from(matches!(wanted, Type::Str));
        self.texts += text;
        let made = self.pattern(pattern, depth);
        self.texts -= text;
        made
    }

    /// Fills in what each letter after a `$` stands for.
    fn pattern(&mut self, pattern: &str, depth: usize) -> String {
        let mut text = String::new();
        let mut pieces = pattern.split('$');
        text.push_str(pieces.next().unwrap_or_default());
        let mut binding = false;
        for piece in pieces {
            let (asked, rest) = piece.split_at(1);
            let made = match asked {
                "i" => self.of(Type::Int, depth),
                "f" => self.of(Type::Float, depth),
                "o" => self.of(Type::Bool, depth),
                "s" => self.of(Type::Str, depth),
                "b" => self.of(Type::Bytes, depth),
                "l" => self.of(Type::List, depth),
                "t" => self.of(Type::Tuple, depth),
                "d" => self.of(Type::Dict, depth),
                "e" => self.of(Type::Set, depth),
                "h" => self.hashable(depth),
                "a" => self.any(depth),
                // A small number, so that powers and repetitions stay small.
                "n" => self.below(7).to_string(),
                // A bound of a slice or an index, or none.
                "c" => match self.below(4) {
                    0 => String::new(),
                    _ => format!("{}{}", self.pick(&["", "-"]), self.below(5)),
                },
                // The format of a number or text.
                "m" => self.specification(true),
                "p" => self.specification(false),
                // Of a comprehension: the name, bound in the rest of the pattern.
                _ => match NAMES.get(self.names.len()) {
                    Some(name) => {
                        self.names.push(name);
                        binding = true;
                        (*name).to_owned()
                    }
                    None => "_".to_owned(),
                },
            };
            text.push_str(&made);
            text.push_str(rest);
        }
        if binding {
            self.names.pop();
        }
        text
    }

    /// The part after the `:` of a replacement field.
    fn specification(&mut self, number: bool) -> String {
        let mut text = String::new();
        if self.below(2) == 0 {
            text.push_str(self.pick(&["", "*", "0", " "]));
            text.push_str(self.pick(&["<", ">", "^"]));
            if number && self.below(3) == 0 {
                text.pop();
                text.push('=');
            }
        }
        if number {
            text.push_str(self.pick(&["", "+", "-", " "]));
            text.push_str(self.pick(&["", "", "#"]));
            text.push_str(self.pick(&["", "", "0"]));
        }
        text.push_str(self.pick(&["", "8", "12", "3"]));
        if number {
            text.push_str(self.pick(&["", "", ",", "_"]));
            text.push_str(self.pick(&[
                "", "d", "x", "b", "o", "X", "n", ".2f", ".3e", ".4g", "g", "%", ".1%", "e", "c",
            ]));
        } else {
            text.push_str(self.pick(&["", "s", ".2", ".3s", "d"]));
        }
        text
    }
}

/// The patterns of a type.
fn patterns(name: &str) -> Vec<&'static str> {
    let section = format!("[{name}]");
    let lines = include_str!("patterns.list").lines();
    lines
        .skip_while(|line| *line != section)
        .skip(1)
        .take_while(|line| !line.is_empty())
        .collect()
}
