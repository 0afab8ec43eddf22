//! The architecture, held by a test: which part may name which, and how files and folders look. The table in `src/lib.rs`
//! says who may name whom; `tidy/street.rs` and `tidy/names.rs` have the rules, each of which is shown an offence here.
//!
//! A rule that turns out to be wrong is changed here, on purpose, not worked around there.

use project::Project;

#[path = "tidy/crate_map.rs"]
mod crate_map;
#[path = "tidy/names.rs"]
mod names;
#[path = "tidy/project.rs"]
mod project;
#[path = "tidy/promises.rs"]
mod promises;
#[path = "tidy/street.rs"]
mod street;

/// A rule, and offences that it must see.
struct Rule {
    check: fn(&Project) -> Vec<String>,
    planted: &'static [Planted],
}

/// Files of a project, each with its text, and what the rule says of them.
type Planted = (&'static [(&'static str, &'static str)], &'static str);

/// Offences that stand, each known by a part of what the rule says, and why they do.
const EXCEPTIONS: &[(&str, &str)] = &[(
    "type `Grammar` is declared 3 times: src/syntax/grammar.rs",
    "the parser that pest derives from each grammar, in a module of its own",
)];

/// A library with two parts, of which the upper may name the lower.
const LIB: (&str, &str) = (
    "src/lib.rs",
    "//! | [`upper`] | does much | `lower` | `hyper` |\n//! | [`lower`] | is pure | | |\n",
);

const MANIFEST: (&str, &str) = (
    "Cargo.toml",
    "[dependencies]\nhyper = \"0\"\nrust-ini = \"0\"\n\n[lints]\n",
);

const RULES: &[Rule] = &[
    Rule {
        check: street::table_is_the_street,
        planted: &[
            (
                &[LIB, ("src/other/mod.rs", "")],
                "src/lib.rs: its table has no row for `other`",
            ),
            (
                &[LIB, ("src/upper.rs", "")],
                "src/lib.rs: `lower` has a row but is not there",
            ),
            (
                &[("src/lib.rs", "//! | [`one`] | | `two` | |")],
                "src/lib.rs: `one` may name `two`, which has no row",
            ),
            (
                &[(
                    "src/lib.rs",
                    "//! | [`one`] | | | |\n//! | [`two`] | | `one` | |",
                )],
                "src/lib.rs: `two` may name `one`, which is not below it",
            ),
        ],
    },
    Rule {
        check: street::picture_shows_the_table,
        planted: &[
            (
                &[(
                    "src/lib.rs",
                    "//! | [`one`] | | `two` | |\n//! | [`two`] | | | |\n//! one ◄─ two",
                )],
                "src/lib.rs: the picture has an arrow from `two` to `one`, but `two` may not name it",
            ),
            (
                &[(
                    "src/lib.rs",
                    "//! | [`one`] | | | |\n//! | [`two`] | | | |\n//! two ─► one",
                )],
                "src/lib.rs: the picture has an arrow from `two` to `one`, but `two` may not name it",
            ),
        ],
    },
    Rule {
        check: street::map_names_what_is_there,
        planted: &[(
            &[
                ("src/lib.rs", "//! `upper/lower.rs` and `upper/mod.rs`"),
                ("src/upper/mod.rs", ""),
            ],
            "src/lib.rs: names `upper/lower.rs`, which is not there",
        )],
    },
    Rule {
        check: street::folders_name_what_they_may,
        planted: &[
            (
                &[
                    LIB,
                    ("src/upper.rs", ""),
                    ("src/lower.rs", "use crate::upper::Much;"),
                ],
                "src/lower.rs: names `upper::Much`, but `lower` may not name `upper`",
            ),
            (
                &[
                    LIB,
                    ("src/upper.rs", ""),
                    (
                        "src/lower/deep.rs",
                        "mod inside { fn f(_: super::super::super::upper::X) {} }",
                    ),
                ],
                "src/lower/deep.rs: names `upper::X`, but `lower` may not name `upper`",
            ),
            (
                &[
                    LIB,
                    ("src/upper.rs", ""),
                    (
                        "src/lower.rs",
                        "fn f() { println!(\"{}\", [crate::upper::much()]); }",
                    ),
                ],
                "src/lower.rs: names `upper::much`, but `lower` may not name `upper`",
            ),
            (
                &[
                    LIB,
                    ("src/upper.rs", ""),
                    (
                        "src/lower/mod.rs",
                        "use crate::{upper as there};\nmod tests;",
                    ),
                    (
                        "src/lower/tests.rs",
                        "use super::*;\nconst X: u8 = there::X;",
                    ),
                ],
                "src/lower/tests.rs: names `upper::X`, but `lower` may not name `upper`",
            ),
            (
                &[LIB, ("src/upper.rs", ""), ("src/lower.rs", "")],
                "src/lib.rs: `upper` may name `lower` but does not",
            ),
        ],
    },
    Rule {
        check: street::files_form_no_circle,
        planted: &[(
            &[
                (
                    "src/one/mod.rs",
                    "pub use deep::Deep;\nmod deep;\nmod other;",
                ),
                ("src/one/deep.rs", "use super::other;\npub struct Deep;"),
                ("src/one/other.rs", "use crate::one::Deep;"),
            ],
            "3 files import each other in a circle:\
            \n    src/one/deep.rs: `one::other`\
            \n    src/one/mod.rs: `one::deep::Deep`\
            \n    src/one/other.rs: `one::Deep`",
        )],
    },
    Rule {
        check: street::folders_form_no_circle,
        planted: &[(
            &[
                ("src/one/left/a.rs", "use crate::one::right::b;"),
                ("src/one/left/c.rs", ""),
                ("src/one/right/b.rs", ""),
                ("src/one/right/d.rs", "use crate::one::left::c;"),
            ],
            "2 folders import each other in a circle:\
            \n    src/one/left: `one::right::b` in `src/one/left/a.rs`\
            \n    src/one/right: `one::left::c` in `src/one/right/d.rs`",
        )],
    },
    Rule {
        check: street::crates_stay_where_they_belong,
        planted: &[
            (
                &[
                    LIB,
                    MANIFEST,
                    ("src/lower.rs", "#[derive(hyper::Much)]\nstruct One;"),
                ],
                "src/lower.rs: names `hyper::Much`, which only `upper` may name",
            ),
            (
                &[
                    LIB,
                    MANIFEST,
                    ("src/upper.rs", "use {std::fs, hyper::body};"),
                ],
                "src/upper.rs: names `hyper::body` outside src/gateway/http/ and src/upstream/http/",
            ),
            (
                &[LIB, MANIFEST],
                "src/lib.rs: `upper` does not name `hyper`",
            ),
            (
                &[LIB, MANIFEST, ("src/lower.rs", "use ini::Ini;")],
                "src/lib.rs: `ini` is not in the row of `lower`, which alone names it",
            ),
        ],
    },
    Rule {
        check: street::pure_parts_do_not_touch_the_world,
        planted: &[(
            &[LIB, ("src/lower.rs", "use std::{fmt, fs::read};")],
            "src/lower.rs: names `std::fs::read`, but `lower` is pure",
        )],
    },
    Rule {
        check: names::one_name_is_one_type,
        planted: &[(
            &[
                ("src/one.rs", "struct Kind;"),
                ("src/two.rs", "mod inside { type Kind = u8; }"),
            ],
            "type `Kind` is declared 2 times: src/one.rs, src/two.rs",
        )],
    },
    Rule {
        check: names::one_name_is_one_file,
        planted: &[(
            &[("src/one/keys.rs", ""), ("src/two/keys.rs", "")],
            "2 files are named `keys`: src/one/keys.rs, src/two/keys.rs",
        )],
    },
    Rule {
        check: names::one_type_is_in_one_file,
        planted: &[(
            &[
                ("src/one/mod.rs", "struct Pool;\nimpl Pool {}"),
                ("src/one/more.rs", "impl super::Pool {}"),
            ],
            "`impl Pool` stands in 2 files: src/one/mod.rs, src/one/more.rs",
        )],
    },
    Rule {
        check: names::source_folders_have_sources,
        planted: &[(&[("src/one.rs.orig", "")], "src/one.rs.orig: no source")],
    },
    Rule {
        check: names::folders_are_small,
        planted: &[(
            &[
                ("src/a/a.rs", ""),
                ("src/a/b.rs", ""),
                ("src/a/c.rs", ""),
                ("src/a/d.rs", ""),
                ("src/a/e.rs", ""),
                ("src/a/f.rs", ""),
                ("src/a/g.rs", ""),
                ("src/a/h.rs", ""),
                ("src/a/i.rs", ""),
                ("src/a/j.rs", ""),
                ("src/a/k.rs", ""),
                ("src/a/l.rs", ""),
                ("src/a/mod.rs", ""),
            ],
            "src/a: 13 Rust files, 12 are enough",
        )],
    },
    Rule {
        check: names::files_open_well_and_are_short,
        planted: &[
            (
                &[("src/one.rs", "fn f() {}\n")],
                "src/one.rs: does not begin by saying what it is",
            ),
            (
                &[("tests/apps/one.py", "import os\n")],
                "tests/apps/one.py: does not begin by saying what it is",
            ),
            (
                &[("man/one.1", "one \n")],
                "man/one.1: white space at the end of a line",
            ),
            (&[("README.md", "one")], "README.md: no line end at its end"),
        ],
    },
    Rule {
        check: names::phrases_stand_where_they_may,
        planted: &[
            (
                &[("src/one.rs", "//! One.\nfn f() {\n    unsafe { g() }\n}")],
                "src/one.rs:3: `unsafe {`: src/unix.rs is the only unsafe file",
            ),
            (
                &[("examples/one.py", "# TODO: more")],
                "examples/one.py:1: `TODO`: what is not done is an issue, not a comment",
            ),
            (
                &[("tests/one.rs", "    sleep(1)")],
                "tests/one.rs:1: `sleep(`: tests wait for events",
            ),
        ],
    },
    Rule {
        check: names::workers_use_the_modules_that_were_kept,
        planted: &[
            (
                &[
                    ("src/workers/python/kept.py", "import _thread, os"),
                    (
                        "src/workers/python/answer.py",
                        "import sys\nfrom threading import Lock\n    from os import read",
                    ),
                ],
                "src/workers/python/answer.py: imports `os`, which kept.py keeps",
            ),
            (
                &[("src/workers/answer.py", "")],
                "src/workers: no kept.py keeps modules",
            ),
        ],
    },
    Rule {
        check: names::top_level_is_the_table_of_contents,
        planted: &[(
            &[("notes/one.md", "")],
            "`notes` is not among what stands at the top",
        )],
    },
    Rule {
        check: names::no_file_is_a_drawer_for_everything,
        planted: &[(
            &[("tests/support/helpers.py", "")],
            "tests/support/helpers.py: a name that fits everything",
        )],
    },
];

#[test]
fn the_project_is_tidy() {
    let project = Project::here();
    let faults = RULES.iter().flat_map(|rule| (rule.check)(&project));
    let mut faults: Vec<String> = faults.collect();
    for (part, _) in EXCEPTIONS {
        let count = faults.len();
        faults.retain(|fault| !fault.contains(part));
        assert_ne!(faults.len(), count, "no longer an exception: {part}");
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn each_rule_sees_a_planted_offence() {
    for rule in RULES {
        assert!(!rule.planted.is_empty());
        for (files, offence) in rule.planted {
            let found = (rule.check)(&Project::planted(files));
            assert!(
                found.iter().any(|fault| fault == offence),
                "{offence}\nis not among\n{}",
                found.join("\n")
            );
        }
    }
}

/// A file of 500 lines is short enough, one of 501 is not.
#[test]
fn a_long_file_is_seen() {
    for (lines, faults) in [(500, 0), (501, 1)] {
        let text = "//! One.\n".repeat(lines);
        let found =
            names::files_open_well_and_are_short(&Project::planted(&[("src/one.rs", &text)]));
        assert_eq!(found.len(), faults, "{found:?}");
    }
}
