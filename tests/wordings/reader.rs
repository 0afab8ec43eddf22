//! Finds the strings of a source file that can become part of a diagnostic.

use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Expr, Lit, Token};

use crate::{BECOME, DOCUMENTS, MADE, MAKERS, WORLD, Wording};

/// Collects the wordings of a file.
pub struct Reader<'a> {
    pub file: String,
    /// Whether all strings are wordings here.
    pub all: bool,
    pub wordings: &'a mut Vec<Wording>,
}

impl Reader<'_> {
    fn take(&mut self, text: &str, format: bool, whole: bool) {
        if is_wording(text) {
            self.wordings
                .extend(Wording::new(&self.file, text, format, whole));
        }
    }

    /// Whether the strings of a function are wordings.
    fn reads(&self, signature: &syn::Signature) -> bool {
        let documents = DOCUMENTS.iter().any(|name| signature.ident == name);
        !documents && (self.all || gives(&signature.output))
    }

    /// A whole message: `"…"` and `format!("…")`; other expressions consist of strings that are read as usual.
    fn message(&mut self, expression: &Expr) {
        match expression {
            Expr::Lit(literal) => {
                if let Lit::Str(text) = &literal.lit {
                    self.take(&text.value(), false, true);
                }
            }
            Expr::Macro(one) if one.mac.path.is_ident("format") => {
                let arguments = arguments(&one.mac);
                if let Some(Expr::Lit(literal)) = arguments.first()
                    && let Lit::Str(text) = &literal.lit
                {
                    self.take(&text.value(), true, true);
                }
            }
            Expr::MethodCall(call) if call.args.is_empty() => self.message(&call.receiver),
            _ => {}
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    /// Tables are documentation, except the code in them that resolves a command; a single string is not.
    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        if self.all
            && matches!(&*item.ty, syn::Type::Reference(text) if matches!(&*text.elem, syn::Type::Path(_)))
        {
            visit::visit_item_const(self, item);
        } else {
            Resolvers(self).visit_item_const(item);
        }
    }

    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !is_test(&function.attrs) && self.reads(&function.sig) {
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if self.reads(&function.sig) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    /// The definition of a macro cannot be read; what a macro makes of items is a table, which is documentation.
    fn visit_item_macro(&mut self, _: &'ast syn::ItemMacro) {}

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if is_maker(&call.func) {
            call.args
                .iter()
                .take(2)
                .for_each(|argument| self.message(argument));
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let (syn::Pat::Ident(name), Some(value)) = (&local.pat, &local.init)
            && name.ident == "message"
        {
            self.message(&value.expr);
        }
        visit::visit_local(self, local);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if WORLD.iter().any(|name| call.method == name) {
            self.visit_expr(&call.receiver);
        } else {
            visit::visit_expr_method_call(self, call);
        }
    }

    fn visit_macro(&mut self, one: &'ast syn::Macro) {
        let name = &one.path.segments.last().expect("a name").ident;
        if WORLD.iter().any(|other| name == other) {
            return;
        }
        let arguments = arguments(one);
        let mut is_format = ["format", "format_args", "write", "writeln"]
            .iter()
            .any(|format| name == format);
        for argument in &arguments {
            match argument {
                Expr::Lit(literal) if is_format => {
                    if let Lit::Str(text) = &literal.lit {
                        self.take(&text.value(), true, false);
                        is_format = false;
                    }
                }
                _ => self.visit_expr(argument),
            }
        }
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.take(&text.value(), false, false);
    }
}

/// Reads only how a row of a table resolves its command.
struct Resolvers<'r, 'a>(&'r mut Reader<'a>);

impl<'ast> Visit<'ast> for Resolvers<'_, '_> {
    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        match &field.member {
            syn::Member::Named(name) if name == "resolve" => self.0.visit_expr(&field.expr),
            _ => visit::visit_field_value(self, field),
        }
    }
}

/// Whether a function returns, or may return, a type that becomes a diagnostic.
fn gives(output: &syn::ReturnType) -> bool {
    struct Finder(bool);
    impl<'ast> Visit<'ast> for Finder {
        fn visit_ident(&mut self, name: &'ast syn::Ident) {
            self.0 |= BECOME.iter().any(|one| name == one);
        }
    }
    let mut finder = Finder(false);
    finder.visit_return_type(output);
    finder.0
}

fn is_maker(function: &Expr) -> bool {
    let Expr::Path(path) = function else {
        return false;
    };
    let mut names = path
        .path
        .segments
        .iter()
        .rev()
        .map(|segment| segment.ident.to_string());
    match (names.next(), names.next()) {
        (Some(name), Some(of)) if name == "new" => MADE.contains(&&*of),
        (Some(name), _) => MAKERS.contains(&&*name),
        (None, _) => false,
    }
}

/// A text in words. A string without a blank is a name, a code or a mark.
fn is_wording(text: &str) -> bool {
    text.trim().contains(' ')
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}

/// The arguments of a macro like `format!`; a macro with other arguments has no strings.
fn arguments(one: &syn::Macro) -> Vec<Expr> {
    match one.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated) {
        Ok(arguments) => arguments.into_iter().collect(),
        Err(_) => {
            let tokens = one.tokens.to_string();
            assert!(
                !tokens.contains('"'),
                "a macro with strings that cannot be read: {tokens}"
            );
            Vec::new()
        }
    }
}
