//! What each Rust file below `src` declares and which paths it names, read with `syn` and resolved as the compiler does:
//! through `use`, `self`, `super`, child modules and `use super::*`. Macros' arguments and attributes count, too.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};
use syn::{Item, Meta, UseTree};

use crate::project::{File, is_source};

/// The names of a path, from the crate (or from another one) down.
pub type Names = Vec<String>;

/// All files of the crate.
pub struct CrateMap {
    pub sources: BTreeMap<String, Source>,
}

/// One file.
#[derive(Default)]
pub struct Source {
    /// Other files of the crate that it names, each with one of the paths that do.
    pub imports: BTreeMap<String, String>,
    /// Paths that begin outside the crate, such as `std::fs::read`.
    pub foreign: BTreeSet<String>,
    /// The types that it declares, traits and aliases among them.
    pub types: Vec<String>,
    /// The types that have an `impl` of their own here.
    pub impls: BTreeSet<String>,
}

/// What can be named in one module.
#[derive(Default)]
struct Scope {
    children: BTreeSet<String>,
    /// What `use` brings: the name here, and the path as it is written.
    brought: HashMap<String, Names>,
    /// The paths before `::*`.
    globs: Vec<Names>,
}

/// A resolved path.
enum Target {
    Own(Names),
    Foreign(Names),
}

impl CrateMap {
    pub fn new(files: &[File]) -> Self {
        let mut reader = Reader::default();
        let mut modules = HashMap::new();
        let mut sources = BTreeMap::new();
        for file in files.iter().filter(|file| is_source(&file.name)) {
            let module = module_of(&file.name);
            let syntax = syn::parse_file(&file.text);
            let syntax = syntax.unwrap_or_else(|error| panic!("{}: {error}", file.name));
            reader.file = file.name.clone();
            reader.module.clone_from(&module);
            reader.scopes.entry(module.clone()).or_default();
            sources.insert(file.name.clone(), Source::default());
            reader.visit_file(&syntax);
            modules.insert(module, file.name.clone());
        }
        for (name, types) in reader.types {
            sources.get_mut(&name).expect("it was read").types = types;
        }
        for (name, impls) in reader.impls {
            sources.get_mut(&name).expect("it was read").impls = impls;
        }
        for (file, module, names) in reader.paths {
            let source = sources.get_mut(&file).expect("it was read");
            match resolve(&reader.scopes, &module, &names, 0) {
                Target::Foreign(names) => {
                    source.foreign.insert(names.join("::"));
                }
                Target::Own(names) => {
                    let mut prefixes = (0..=names.len()).rev().map(|length| &names[..length]);
                    let imported = prefixes.find_map(|prefix| modules.get(prefix));
                    if let Some(imported) = imported.filter(|imported| **imported != file) {
                        let path = names.join("::");
                        source.imports.entry(imported.clone()).or_insert(path);
                    }
                }
            }
        }
        Self { sources }
    }
}

/// What files or folders import: of each other one, with a path that does.
pub type Imports = BTreeMap<String, BTreeMap<String, String>>;

/// Groups that import each other in a circle, each with the imports between them: from what, by which path.
pub fn circles(imports: &Imports) -> Vec<Vec<(String, String)>> {
    let reached = |from: &str| {
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(one) = open.pop() {
            for imported in imports.get(one).iter().flat_map(|imports| imports.keys()) {
                if reached.insert(imported.as_str()) {
                    open.push(imported);
                }
            }
        }
        reached
    };
    let names = imports.keys().map(String::as_str);
    let reach: BTreeMap<&str, BTreeSet<&str>> = names.map(|one| (one, reached(one))).collect();
    let mut circles = Vec::new();
    let mut seen = BTreeSet::new();
    for (one, reached) in &reach {
        if !reached.contains(one) || seen.contains(one) {
            continue;
        }
        let leads_back = |other: &&&str| reach.get(*other).is_some_and(|all| all.contains(one));
        let circle: BTreeSet<&str> = reached.iter().filter(leads_back).copied().collect();
        let edges = circle.iter().flat_map(|from| {
            let inside = imports[*from].iter();
            let inside = inside.filter(|(to, _)| circle.contains(to.as_str()));
            inside.map(move |(_, path)| ((*from).to_owned(), path.clone()))
        });
        circles.push(edges.collect());
        seen.extend(circle);
    }
    circles
}

/// The module that a file is: `src/eval/mod.rs` and `src/eval.rs` are `eval`; a program is a crate of its own.
fn module_of(file: &str) -> Names {
    if file == "src/lib.rs" {
        return Vec::new();
    }
    if file == "src/main.rs" || file.starts_with("src/bin/") {
        return vec![file.to_owned()];
    }
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.split('/').map(str::to_owned).collect()
}

/// How many imports a path is followed through: more than there are.
const DEEPEST: usize = 8;

fn resolve(
    scopes: &HashMap<Names, Scope>,
    module: &[String],
    names: &[String],
    depth: usize,
) -> Target {
    let (first, rest) = names.split_first().expect("a path has names");
    let below = |module: &[String], rest: &[String]| Target::Own([module, rest].concat());
    match first.as_str() {
        "crate" | "runner" => return below(&[], rest),
        "self" if rest.is_empty() => return below(module, &[]),
        "self" => return resolve(scopes, module, rest, depth),
        "super" => {
            let parent = &module[..module.len().saturating_sub(1)];
            return match rest {
                [] => below(parent, &[]),
                [next, ..] if next == "super" => resolve(scopes, parent, rest, depth),
                _ => below(parent, rest),
            };
        }
        _ => {}
    }
    let Some(scope) = scopes.get(module).filter(|_| depth < DEEPEST) else {
        return Target::Foreign(names.to_vec());
    };
    if scope.children.contains(first) {
        return below(module, names);
    }
    if let Some(brought) = scope.brought.get(first) {
        let whole = [brought, rest].concat();
        // `use http::Method`: the name that is brought may be that of the crate itself.
        if brought[0] == *first {
            return Target::Foreign(whole);
        }
        return resolve(scopes, module, &whole, depth + 1);
    }
    for glob in &scope.globs {
        if let Target::Own(there) = resolve(scopes, module, glob, depth + 1)
            && there != module
            && let Some(scope) = scopes.get(&there)
            && (scope.children.contains(first) || scope.brought.contains_key(first))
        {
            return resolve(scopes, &there, names, depth + 1);
        }
    }
    Target::Foreign(names.to_vec())
}

/// Collects what files declare and name.
#[derive(Default)]
struct Reader {
    file: String,
    module: Names,
    scopes: HashMap<Names, Scope>,
    /// Each path with the file and the module that names it.
    paths: Vec<(String, Names, Names)>,
    types: BTreeMap<String, Vec<String>>,
    impls: BTreeMap<String, BTreeSet<String>>,
}

impl Reader {
    fn names(&mut self, names: Names) {
        if names.len() > 1 {
            let (file, module) = (self.file.clone(), self.module.clone());
            self.paths.push((file, module, names));
        }
    }

    fn scope(&mut self) -> &mut Scope {
        self.scopes.entry(self.module.clone()).or_default()
    }

    fn declares(&mut self, name: &syn::Ident) {
        let types = self.types.entry(self.file.clone()).or_default();
        types.push(name.to_string());
    }

    /// A `use` tree below the names that are given.
    fn uses(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.uses(&with(&path.ident), &path.tree),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.uses(before, tree)),
            UseTree::Glob(_) => {
                self.scope().globs.push(before.to_vec());
                // The module itself is what is named: `super` alone is a path of one name.
                self.names([&["self".to_owned()], before].concat());
            }
            UseTree::Name(name) if name.ident == "self" => {
                self.brings(before.last().cloned(), before.to_vec());
            }
            UseTree::Name(name) => self.brings(Some(name.ident.to_string()), with(&name.ident)),
            UseTree::Rename(name) if name.ident == "self" => {
                self.brings(Some(name.rename.to_string()), before.to_vec());
            }
            UseTree::Rename(name) => {
                self.brings(Some(name.rename.to_string()), with(&name.ident));
            }
        }
    }

    fn brings(&mut self, name: Option<String>, names: Names) {
        if let Some(name) = name {
            self.scope().brought.insert(name, names.clone());
        }
        self.names(names);
    }

    /// Paths among tokens that nothing but a macro gives a meaning.
    fn tokens(&mut self, mut cursor: Cursor) {
        let mut names = Names::new();
        // How many colons stand behind the last name.
        let mut colons = 0;
        while !cursor.eof() {
            if let Some((name, next)) = cursor.ident() {
                if colons != 2 {
                    self.names(std::mem::take(&mut names));
                }
                names.push(name.to_string());
                (colons, cursor) = (0, next);
            } else if let Some((mark, next)) = cursor.punct() {
                colons += usize::from(mark.as_char() == ':');
                if mark.as_char() != ':' {
                    self.names(std::mem::take(&mut names));
                    colons = 0;
                }
                cursor = next;
            } else {
                self.names(std::mem::take(&mut names));
                colons = 0;
                if let Some((inside, _, _, next)) = cursor.any_group() {
                    self.tokens(inside);
                    cursor = next;
                } else if let Some((_, next)) = cursor.token_tree() {
                    cursor = next;
                }
            }
        }
        self.names(names);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Struct(item) => self.declares(&item.ident),
            Item::Enum(item) => self.declares(&item.ident),
            Item::Union(item) => self.declares(&item.ident),
            Item::Trait(item) => self.declares(&item.ident),
            Item::Type(item) => self.declares(&item.ident),
            Item::Impl(item) if item.trait_.is_none() => {
                if let syn::Type::Path(path) = &*item.self_ty
                    && let Some(last) = path.path.segments.last()
                {
                    let impls = self.impls.entry(self.file.clone()).or_default();
                    impls.insert(last.ident.to_string());
                }
            }
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.scope().children.insert(item.ident.to_string());
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.uses(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter().map(|part| part.ident.to_string());
        self.names(names.collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, one: &'ast syn::Macro) {
        self.tokens(TokenBuffer::new2(one.tokens.clone()).begin());
        visit::visit_macro(self, one);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.tokens(TokenBuffer::new2(list.tokens.clone()).begin());
        }
    }

    /// `pub(in crate::workers)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}
