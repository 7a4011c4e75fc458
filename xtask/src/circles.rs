//! Refuses circles of modules: within a crate, as between crates, no import runs back up.
//!
//! A module's arrows are the paths with `crate`, `super` or `self` in its code, in `use` or elsewhere, without its tests. A name
//! that a module hands on (`pub use`) is an arrow to that module and to where the name comes from.
//!
//! An arrow between two files is one between the siblings in which they lie: `files/vk.rs` to `protocol/key.rs` is `files` to
//! `protocol`. So a folder is one module to those beside it, and its files are in order among themselves. A module and what lies
//! below it are one: children split what is too long for one file, they use what it declares for all of them, and it uses them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// A module by the names on the way to it from the crate's root, which is the empty path.
type Module = Vec<String>;

/// Where each arrow stands: file and line of the first.
type Arrows = BTreeMap<(Module, Module), (PathBuf, usize)>;

/// Whether no crate of the workspace has a circle; says those that there are.
pub fn check(root: &Path) -> bool {
    let mut held = true;
    for member in members(root) {
        let folder = root.join(&member);
        let mut arrows = Crate::read(&folder).arrows();
        while let Some(circle) = circle(&arrows) {
            held = false;
            eprintln!("xtask: a circle of modules in {member}:");
            for pair in circle.windows(2) {
                let key = (pair[0].clone(), pair[1].clone());
                if let Some((file, line)) = arrows.get(&key) {
                    let file = file.strip_prefix(root).unwrap_or(file).display();
                    eprintln!("  {} uses {}: {file}:{line}", key.0.join("::"), key.1.join("::"));
                }
            }
            // One circle is said, the next may be another.
            if let [.., from, to] = circle.as_slice() {
                arrows.remove(&(from.clone(), to.clone()));
            }
        }
    }
    held
}

/// The folders of the workspace's crates.
fn members(root: &Path) -> Vec<String> {
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap_or_default();
    let list = manifest.split("members = [").nth(1).and_then(|rest| rest.split(']').next()).unwrap_or_default();
    list.split('"').skip(1).step_by(2).map(String::from).collect()
}

/// Some circle, its first module again as its last; a shortest one through that module.
fn circle(arrows: &Arrows) -> Option<Vec<Module>> {
    let mut next: BTreeMap<&Module, Vec<&Module>> = BTreeMap::new();
    for (from, to) in arrows.keys() {
        next.entry(from).or_default().push(to);
    }
    let mut shortest: Option<Vec<Module>> = None;
    for start in next.keys() {
        let mut before: BTreeMap<&Module, &Module> = BTreeMap::new();
        let mut queue = vec![*start];
        let mut position = 0;
        while let Some(&at) = queue.get(position) {
            position += 1;
            for &to in next.get(at).into_iter().flatten() {
                if !before.contains_key(to) {
                    before.insert(to, at);
                    queue.push(to);
                }
            }
        }
        if !before.contains_key(start) {
            continue;
        }
        let mut way = vec![(*start).clone()];
        let mut at = *start;
        loop {
            at = before[at];
            way.push(at.clone());
            if at == *start {
                break;
            }
        }
        way.reverse();
        if shortest.as_ref().is_none_or(|shortest| way.len() < shortest.len()) {
            shortest = Some(way);
        }
    }
    shortest
}

/// The modules of a crate that are not tests.
#[derive(Default)]
struct Crate {
    modules: BTreeMap<Module, Source>,
}

/// What is read of one file.
#[derive(Default)]
struct Source {
    file: PathBuf,
    /// Its modules in files of their own.
    children: BTreeSet<String>,
    /// What it declares.
    items: BTreeSet<String>,
    /// Names that it has by `use`, and the paths that they stand for.
    names: HashMap<String, Vec<String>>,
    /// The modules all of whose names it has.
    globs: Vec<Vec<String>>,
    /// Each path that is an arrow, and its line.
    paths: Vec<(Vec<String>, usize)>,
}

impl Crate {
    fn read(folder: &Path) -> Self {
        let mut all = Self::default();
        let source = folder.join("src");
        let root = [source.join("lib.rs"), source.join("main.rs")].into_iter().find(|file| file.is_file());
        if let Some(root) = root {
            all.read_module(Vec::new(), &root, &source);
        }
        all
    }

    /// Reads a file and those of its modules; `below` is the folder in which they lie.
    fn read_module(&mut self, path: Module, file: &Path, below: &Path) {
        let text = fs::read_to_string(file).unwrap_or_default();
        let source = Source::read(file, &without_tests(tokens(&text)));
        for child in &source.children {
            let folder = below.join(child);
            let files = [below.join(format!("{child}.rs")), folder.join("mod.rs")];
            if let Some(file) = files.iter().find(|file| file.is_file()) {
                let mut path = path.clone();
                path.push(child.clone());
                self.read_module(path, file, &folder);
            }
        }
        self.modules.insert(path, source);
    }

    fn arrows(&self) -> Arrows {
        let mut arrows = Arrows::new();
        for (from, source) in &self.modules {
            for (path, line) in &source.paths {
                let mut met = Vec::new();
                self.resolve(from, path, &mut met, 0);
                for to in met {
                    let common = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
                    // One of them lies below the other, or they are the same.
                    if common == from.len() || common == to.len() {
                        continue;
                    }
                    let arrow = (from[..=common].to_vec(), to[..=common].to_vec());
                    arrows.entry(arrow).or_insert_with(|| (source.file.clone(), *line));
                }
            }
        }
        arrows
    }

    /// The module in which a path ends; `met` gets that one and those that hand on a name of the path.
    fn resolve(&self, from: &Module, path: &[String], met: &mut Vec<Module>, depth: usize) -> Module {
        let mut at = from.clone();
        for (index, name) in path.iter().enumerate() {
            let Some(source) = self.modules.get(&at) else { break };
            match name.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => {
                    at.pop();
                }
                _ if source.children.contains(name) => at.push(name.clone()),
                // Aliases of aliases end somewhere; names that stand for each other do not.
                _ if depth > 8 => break,
                _ => {
                    // Not what stands in this very file: that path is an arrow by itself.
                    let handed = if index == 0 && depth == 0 { None } else { source.names.get(name) };
                    let handed = handed.cloned().or_else(|| self.by_glob(&at, name, depth));
                    let Some(handed) = handed else { break };
                    met.push(at.clone());
                    at = self.resolve(&at.clone(), &handed, met, depth + 1);
                }
            }
        }
        met.push(at.clone());
        at
    }

    /// The path of a name that a module has by `use ..::*`.
    fn by_glob(&self, at: &Module, name: &str, depth: usize) -> Option<Vec<String>> {
        let source = self.modules.get(at)?;
        if source.items.contains(name) {
            return None;
        }
        source.globs.iter().find_map(|glob| {
            let target = self.resolve(at, glob, &mut Vec::new(), depth + 1);
            let target = self.modules.get(&target)?;
            let has = target.items.contains(name) || target.names.contains_key(name) || target.children.contains(name);
            has.then(|| glob.iter().cloned().chain([name.to_string()]).collect())
        })
    }
}

impl Source {
    fn read(file: &Path, tokens: &[Token]) -> Self {
        let mut source = Self { file: file.to_path_buf(), ..Self::default() };
        // Depth of braces, and those at which a module within the file begins.
        let (mut depth, mut within) = (0usize, Vec::new());
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let text = |ahead: usize| tokens.get(at + ahead).map_or("", |token| token.text.as_str());
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    within.pop_if(|began| *began == depth);
                }
                "mod" if text(2) == ";" => {
                    source.children.insert(text(1).to_string());
                }
                "mod" if text(2) == "{" => {
                    source.items.insert(text(1).to_string());
                    within.push(depth);
                }
                "use" => {
                    at += 1;
                    let mut leaves = Vec::new();
                    use_tree(tokens, &mut at, &[], &mut leaves);
                    for (path, name) in leaves {
                        let path = out_of(path, within.len());
                        if path.is_empty() {
                            continue;
                        }
                        if is_start(&path[0]) {
                            source.paths.push((path.clone(), token.line));
                        }
                        match name.as_str() {
                            "*" => source.globs.push(path),
                            // What the whole file has; a `use` in a function or module of its own is seen there only.
                            _ if depth == 0 => {
                                source.names.insert(name, path);
                            }
                            _ => {}
                        }
                    }
                    continue;
                }
                "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union" => {
                    source.items.insert(text(1).to_string());
                }
                name if is_start(name) && text(1) == "::" && (at == 0 || tokens[at - 1].text != "::") => {
                    let mut path = vec![name.to_string()];
                    while text(2 * path.len() - 1) == "::" && is_name(text(2 * path.len())) {
                        path.push(text(2 * path.len()).to_string());
                    }
                    at += 2 * path.len() - 1;
                    let path = out_of(path, within.len());
                    if !path.is_empty() {
                        source.paths.push((path, token.line));
                    }
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        source
    }
}

/// A path as it is seen from the file, of one that stands in modules within it; empty if it stays in them.
fn out_of(mut path: Vec<String>, within: usize) -> Vec<String> {
    if within > 0 && path.first().is_some_and(|first| first != "crate") {
        let ups = path.iter().take_while(|name| *name == "super").count();
        if ups < within {
            return Vec::new();
        }
        path.drain(..within);
        if ups == within {
            path.insert(0, "self".to_string());
        }
    }
    path
}

fn is_start(name: &str) -> bool {
    matches!(name, "crate" | "super" | "self")
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphanumeric() || first == '_')
}

/// Reads what stands behind `use`, up to where it ends: each path in it, and the name that it gets.
fn use_tree(tokens: &[Token], at: &mut usize, before: &[String], leaves: &mut Vec<(Vec<String>, String)>) {
    let mut path = before.to_vec();
    while let Some(token) = tokens.get(*at) {
        match token.text.as_str() {
            "{" => {
                *at += 1;
                while tokens.get(*at).is_some_and(|token| token.text != "}") {
                    use_tree(tokens, at, &path, leaves);
                    if tokens.get(*at).is_some_and(|token| token.text == ",") {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            "*" => {
                *at += 1;
                leaves.push((path, "*".to_string()));
                return;
            }
            "as" => {
                let name = tokens.get(*at + 1).map_or_else(String::new, |token| token.text.clone());
                *at += 2;
                leaves.push((path, name));
                return;
            }
            "," | "}" | ";" => break,
            "::" => *at += 1,
            name => {
                // `a::{self}` is `a`.
                if name != "self" || path.is_empty() {
                    path.push(name.to_string());
                }
                *at += 1;
            }
        }
    }
    if let Some(name) = path.last().cloned() {
        leaves.push((path, name));
    }
}

/// A name, `::` or a character.
struct Token {
    text: String,
    line: usize,
}

/// The code without comments, the texts in it empty.
fn tokens(text: &str) -> Vec<Token> {
    let text: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    let char_at = |at: usize| text.get(at).copied().unwrap_or('\0');
    while at < text.len() {
        let begin = at;
        let mut token = String::new();
        match char_at(at) {
            '/' if char_at(at + 1) == '/' => {
                while at < text.len() && char_at(at) != '\n' {
                    at += 1;
                }
            }
            '/' if char_at(at + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (char_at(at), char_at(at + 1)) {
                        ('/', '*') => (depth, at) = (depth + 1, at + 2),
                        ('*', '/') => (depth, at) = (depth - 1, at + 2),
                        _ => at += 1,
                    }
                    if depth == 0 || at >= text.len() {
                        break;
                    }
                }
            }
            '"' => {
                at = text_end(&text, at);
                token.push('"');
            }
            // A character; a lifetime has no second quote.
            '\'' if char_at(at + 1) == '\\' => {
                at += 3;
                while at < text.len() && char_at(at) != '\'' {
                    at += 1;
                }
                at += 1;
            }
            '\'' if char_at(at + 2) == '\'' => at += 3,
            first if first.is_alphabetic() || first == '_' => {
                let mut hashes = 0;
                while char_at(at + 1 + hashes) == '#' {
                    hashes += 1;
                }
                let raw = first == 'r' || (first == 'b' && char_at(at + 1) == 'r');
                let begins = at + 1 + usize::from(first == 'b');
                let mut quote = begins;
                while char_at(quote) == '#' {
                    quote += 1;
                }
                if raw && char_at(quote) == '"' {
                    let hashes = quote - begins;
                    at = quote + 1;
                    while at < text.len() && !(char_at(at) == '"' && (1..=hashes).all(|hash| char_at(at + hash) == '#'))
                    {
                        at += 1;
                    }
                    at += 1 + hashes;
                    token.push('"');
                } else {
                    while char_at(at).is_alphanumeric() || char_at(at) == '_' {
                        token.push(char_at(at));
                        at += 1;
                    }
                }
            }
            ':' if char_at(at + 1) == ':' => {
                token.push_str("::");
                at += 2;
            }
            white if white.is_whitespace() => at += 1,
            other => {
                token.push(other);
                at += 1;
            }
        }
        if !token.is_empty() {
            tokens.push(Token { text: token, line });
        }
        line += text[begin..at.min(text.len())].iter().filter(|character| **character == '\n').count();
    }
    tokens
}

/// Where a text ends that begins at a place.
fn text_end(text: &[char], begin: usize) -> usize {
    let mut at = begin + 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The code without the items that only tests have.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.text == text);
        if is(at, "#") && is(at + 1, "[") && is(at + 2, "cfg") {
            let end = closed(&tokens, at + 1);
            let attribute = &tokens[at + 3..end];
            let has = |name: &str| attribute.iter().any(|token| token.text == name);
            if has("test") && !has("not") && !has("any") {
                at = item_end(&tokens, end);
                continue;
            }
        }
        kept.push(at);
        at += 1;
    }
    let mut kept = kept.into_iter().peekable();
    let keep = |(index, token)| (kept.next_if_eq(&index).is_some()).then_some(token);
    tokens.into_iter().enumerate().filter_map(keep).collect()
}

/// The place behind the bracket that closes the one at a place.
fn closed(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

/// The place behind the item that begins at a place, perhaps with attributes.
fn item_end(tokens: &[Token], begin: usize) -> usize {
    let mut at = begin;
    let mut is_use = false;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            ";" => return at + 1,
            "use" => is_use = true,
            "{" if !is_use => return closed(tokens, at),
            "(" | "[" | "{" => {
                at = closed(tokens, at);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of a crate, written to a folder and looked at.
    fn found(files: &[(&str, &str)]) -> Option<String> {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("lorica-circles-{}-{number}", std::process::id()));
        for (name, text) in files {
            let file = folder.join("src").join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let circle = circle(&Crate::read(&folder).arrows());
        fs::remove_dir_all(folder).unwrap();
        circle.map(|circle| circle.iter().map(|module| module.join("::")).collect::<Vec<_>>().join(" "))
    }

    const ROOT: (&str, &str) = ("lib.rs", "pub mod a;\nmod b;\npub use b::Handed;");

    #[test]
    fn a_circle_is_named() {
        assert_eq!(
            found(&[ROOT, ("a.rs", "use crate::b::B;"), ("b.rs", "pub fn f() { crate::a::g() }")]),
            Some("a b a".into())
        );
        assert_eq!(
            found(&[ROOT, ("a.rs", "use super::{b::{B, C as D}, x};"), ("b.rs", "use crate::a;")]),
            Some("a b a".into())
        );
        assert_eq!(found(&[ROOT, ("a.rs", "use crate::b::B;"), ("b.rs", "pub struct B;")]), None);
    }

    #[test]
    fn a_name_that_is_handed_on_is_found() {
        assert_eq!(found(&[ROOT, ("a.rs", "use crate::Handed;"), ("b.rs", "use crate::a::A;")]), Some("a b a".into()));
        let glob = ("lib.rs", "mod a; mod b; pub use b::*;");
        let b = ("b.rs", "use crate::a::A; pub struct Handed;");
        assert_eq!(found(&[glob, ("a.rs", "use crate::Handed;"), b]), Some("a b a".into()));
        assert_eq!(found(&[glob, ("a.rs", "use crate::Other;"), b]), None);
    }

    #[test]
    fn a_folder_is_one_module_to_those_beside_it() {
        let a = [("a/mod.rs", "mod up; mod down;"), ("a/up.rs", "use crate::b::B;"), ("a/down.rs", "")];
        let b = ("b.rs", "use crate::a::down::D;");
        assert_eq!(found(&[ROOT, a[0], a[1], a[2], b]), Some("a b a".into()));
        // Parent and child are one, siblings are not.
        let a = [("a/mod.rs", "mod up; mod down; use up::U; pub struct A;"), ("a/up.rs", "use super::{A, down::D};")];
        assert_eq!(found(&[ROOT, a[0], a[1], ("a/down.rs", "use super::A;"), ("b.rs", "")]), None);
        let down = ("a/down.rs", "use super::up::U;");
        assert_eq!(found(&[ROOT, a[0], a[1], down, ("b.rs", "")]), Some("a::down a::up a::down".into()));
    }

    #[test]
    fn neither_tests_nor_texts_nor_comments_count() {
        let a = "#[cfg(test)] mod tests { use crate::b::B; }\n// crate::b\nconst T: (&str, char) = (r#\"\"crate::b::B\"#, '\"'); /* crate::b */";
        let b = ("b.rs", "use crate::a::A;");
        assert_eq!(found(&[ROOT, ("a.rs", a), b]), None);
        let a = &format!("{a} fn f<'a>() {{ crate::b::g::<'a>() }}");
        assert_eq!(found(&[ROOT, ("a.rs", a), b]), Some("a b a".into()));
        assert_eq!(found(&[ROOT, ("a.rs", "#[cfg(not(test))] use crate::b::B;"), b]), Some("a b a".into()));
        assert_eq!(found(&[ROOT, ("a.rs", "mod inner { use super::super::b::B; }"), b]), Some("a b a".into()));
        assert_eq!(found(&[ROOT, ("a.rs", "mod b {} mod inner { use super::b::B; }"), b]), None);
    }
}
