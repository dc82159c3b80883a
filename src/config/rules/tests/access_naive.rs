//! Decisions about access against a reading that knows no look-up and no order.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::rules;
use crate::policy::access::{Ask, Caller, Granted, Right, Scope, Thing};

const CHANNELS: &[&str] = &["a", "ab", "b", "b/a", "Ab", "b/a/c"];
const GLOBS: &[&str] = &["a", "ab", "b", "AB", "a*", "b/*", "?", "**", "*", "b/**", "{a,b}"];
const PREFIXES: &[&str] = &["miniconda/", "archive/"];
const PREFIX_GLOBS: &[&str] = &["miniconda", "a*", "*"];
const PACKAGES: &[&str] = &["x", "xy", "Z"];
const PACKAGE_GLOBS: &[&str] = &["x", "x*", "z", "*"];
const USERS: &[&str] = &["u", "v", "w"];
const GROUPS: &[&str] = &["g", "h"];
const READERS: &[&str] = &["user:u", "user:V", "group:g", "group:H", "authenticated", "anonymous"];
const WRITERS: &[&str] = &["user:u", "user:V", "group:g", "group:H", "authenticated"];

type Texts = Vec<&'static str>;

#[derive(Clone, Debug)]
struct Entry {
    files: bool,
    globs: Texts,
    packages: Texts,
    lists: [Texts; 3],
}

#[derive(Clone, Debug)]
struct Who {
    user: Option<&'static str>,
    groups: Texts,
    superuser: bool,
    scopes: Option<Vec<(usize, Texts, Texts)>>,
    grants: Vec<(&'static str, usize)>,
}

#[derive(Clone, Debug)]
struct Question {
    file: bool,
    name: &'static str,
    private: bool,
    package: Option<&'static str>,
    right: usize,
}

impl Entry {
    fn text(&self) -> String {
        let list = |key: &str, texts: &[&str]| {
            let texts: Vec<_> = texts.iter().map(|text| format!("\"{text}\"")).collect();
            if texts.is_empty() { String::new() } else { format!("{key}: [{}], ", texts.join(", ")) }
        };
        let what = list(if self.files { "files" } else { "channels" }, &self.globs);
        let lists = ["read", "write", "manage"].iter().zip(&self.lists);
        let lists: String = lists.map(|(key, texts)| list(key, texts)).collect();
        let text = format!("{what}{}{lists}", list("packages", &self.packages));
        format!("- {{{}}}\n", text.trim_end_matches(", "))
    }
}

/// Whether one of the globs takes a text. `parts`: `*` and `?` stay within one component.
fn fits(globs: &[&str], text: &str, parts: bool) -> bool {
    globs.iter().any(|glob| match *glob {
        "*" | "**" => true,
        "{a,b}" => ["a", "b"].contains(&text),
        glob => takes(glob, text.trim_end_matches('/'), parts),
    })
}

/// Letter by letter.
fn takes(glob: &str, text: &str, parts: bool) -> bool {
    let next = text.chars().next();
    if let Some(rest) = glob.strip_prefix('*') {
        let crosses = rest.starts_with('*') || !parts;
        let rest = rest.trim_start_matches('*');
        let goes_on = next.is_some_and(|c| crosses || c != '/');
        return takes(rest, text, parts) || (goes_on && takes(glob, &text[1..], parts));
    }
    match (glob.chars().next(), next) {
        (None, None) => true,
        (Some('?'), Some(c)) => (c != '/' || !parts) && takes(&glob[1..], &text[1..], parts),
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(&b) && takes(&glob[1..], &text[1..], parts),
        _ => false,
    }
}

/// What a caller has of what is asked, by the letter of the documentation: the word of the reason, `+` before it where it is given.
fn has(entries: &[Entry], strangers: bool, who: &Who, q: &Question) -> &'static str {
    let about: Vec<_> =
        entries.iter().filter(|e| e.files == q.file && fits(&e.globs, q.name, true)).collect();
    let packages_fit = |globs: &Texts| match q.package {
        _ if globs.is_empty() => true,
        Some(package) => fits(globs, package, false),
        None => q.right == 0 && !q.file,
    };
    let in_list = |text: &&str| match *text {
        "anonymous" => who.user.is_none() || q.right == 0,
        "authenticated" => who.user.is_some(),
        named => {
            let (kind, name) = named.split_once(':').unwrap();
            let name = name.to_lowercase();
            who.user.is_some_and(|user| match kind {
                "user" => user == name,
                _ => who.groups.iter().any(|group| *group == name),
            })
        }
    };
    let gives = |e: &&&Entry| e.lists[q.right..].iter().flatten().any(in_list);
    let giving: Vec<_> = about.iter().filter(gives).collect();
    let granted = |(glob, right): &(&str, usize)| !q.file && *right >= q.right && fits(&[glob], q.name, true);
    if who.superuser {
        "+superuser"
    } else if giving.iter().any(|e| packages_fit(&e.packages)) {
        "+rule"
    } else if who.grants.iter().any(granted) {
        "+grant"
    } else if about.is_empty() && !q.private && q.right == 0 && (who.user.is_some() || strangers) {
        "+public"
    } else if who.user.is_none() {
        "needs_credential"
    } else if giving.is_empty() {
        "not_given"
    } else {
        "other_packages"
    }
}

fn naive(entries: &[Entry], strangers: bool, who: &Who, q: &Question) -> &'static str {
    let stranger = Who { user: None, groups: vec![], superuser: false, scopes: None, grants: vec![] };
    let everybody = has(entries, strangers, &stranger, q);
    if everybody.starts_with('+') {
        return everybody;
    }
    let given = has(entries, strangers, who, q);
    let within = who.scopes.as_ref().is_none_or(|scopes| {
        scopes.iter().any(|(right, channels, packages)| {
            let there = if q.file {
                channels.contains(&"*") || channels.contains(&"**")
            } else {
                fits(channels, q.name, true)
            };
            let package = match q.package {
                _ if packages.is_empty() => true,
                Some(package) => fits(packages, package, false),
                None => q.right == 0 && !q.file,
            };
            *right >= q.right && there && package
        })
    });
    if given.starts_with('+') && !within { "scopes" } else { given }
}

fn entry() -> impl Strategy<Value = Entry> {
    let lists = (
        subsequence(READERS, 0..=3),
        subsequence(WRITERS, 0..=2),
        subsequence(WRITERS, 0..=1),
        select(READERS),
    );
    let packages = prop_oneof![2 => Just(vec![]), 1 => subsequence(PACKAGE_GLOBS, 1..=2)];
    let globs = (subsequence(GLOBS, 1..=2), subsequence(PREFIX_GLOBS, 1..=1));
    (prop::bool::weighted(0.2), globs, packages, lists).prop_map(
        |(files, (channels, prefixes), packages, (mut read, write, manage, reader))| {
            if files {
                read = vec![reader];
                return Entry { files, globs: prefixes, packages: vec![], lists: [read, vec![], vec![]] };
            }
            if read.is_empty() && write.is_empty() && manage.is_empty() {
                read = vec![reader];
            }
            let packages = if manage.is_empty() { packages } else { vec![] };
            Entry { files, globs: channels, packages, lists: [read, write, manage] }
        },
    )
}

fn who() -> impl Strategy<Value = Who> {
    let scope = (
        0..3usize,
        subsequence(GLOBS, 1..=2),
        prop_oneof![2 => Just(vec![]), 1 => subsequence(PACKAGE_GLOBS, 1..=1)],
    );
    let scopes = prop::option::weighted(0.6, prop::collection::vec(scope, 0..3));
    let grants = prop::collection::vec((select(GLOBS), 0..3usize), 0..2);
    (
        prop::option::weighted(0.8, select(USERS)),
        subsequence(GROUPS, 0..=2),
        prop::bool::weighted(0.1),
        scopes,
        grants,
    )
        .prop_map(|(user, groups, superuser, scopes, grants)| match user {
            None => Who { user, groups: vec![], superuser: false, scopes: None, grants: vec![] },
            user => Who { user, groups, superuser, scopes, grants },
        })
}

fn question() -> impl Strategy<Value = Question> {
    let package = prop::option::of(select(PACKAGES));
    (
        prop::bool::weighted(0.2),
        select(CHANNELS),
        select(PREFIXES),
        prop::bool::weighted(0.3),
        package,
        0..3usize,
    )
        .prop_map(|(file, channel, prefix, private, package, right)| Question {
            file,
            name: if file { prefix } else { channel },
            private,
            package: package.filter(|_| !file),
            right,
        })
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn decided(rules: &crate::policy::Rules, who: &Who, q: &Question) -> String {
    use crate::policy::access::Globs;
    let groups: Vec<Box<str>> = who.groups.iter().map(|&g| g.into()).collect();
    let scope = |(right, channels, packages): &(usize, Texts, Texts)| Scope {
        right: Right::ALL[*right],
        channels: Globs::channels(owned(channels)),
        packages: Globs::packages(owned(packages)),
    };
    let scopes: Option<Vec<Scope>> = who.scopes.as_ref().map(|scopes| scopes.iter().map(scope).collect());
    let grants = who.grants.iter().map(|(glob, right)| Granted::new("g", glob, Right::ALL[*right]).unwrap());
    let grants: Vec<_> = grants.collect();
    let caller = Caller {
        user: who.user,
        groups: &groups,
        superuser: who.superuser,
        scopes: scopes.as_deref(),
        grants: &grants,
    };
    let what = if q.file {
        Thing::File { prefix: q.name, private: q.private }
    } else {
        Thing::Channel { name: q.name, private: q.private, package: q.package }
    };
    let verdict = rules.access().decide(&caller, &Ask { what, right: Right::ALL[q.right] });
    let sign = if verdict.is_allowed() { "+" } else { "" };
    format!("{sign}{}", verdict.why().word())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn decisions_agree_with_a_naive_reading(
        entries in prop::collection::vec(entry(), 0..6),
        strangers in any::<bool>(),
        callers in prop::collection::vec(who(), 1..4),
        questions in prop::collection::vec(question(), 1..8),
    ) {
        let text: String = entries.iter().map(Entry::text).collect();
        let anonymous = if strangers { "read" } else { "none" };
        let section = if text.is_empty() { String::new() } else { format!("access:\n{text}") };
        let compiled = rules(&[&format!("anonymous: {anonymous}\n{section}")]).unwrap();
        for q in &questions {
            let closed = entries.iter().any(|e| !e.files && fits(&e.globs, q.name, true));
            prop_assert!(q.file || compiled.access().is_closed(q.name) == closed, "{} {:?}", text, q);
            for who in &callers {
                let expected = naive(&entries, strangers, who, q);
                prop_assert_eq!(decided(&compiled, who, q), expected, "{} {:?} {:?}", text, who, q);
            }
        }
    }
}
