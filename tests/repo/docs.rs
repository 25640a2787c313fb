//! The documentation leads somewhere, stays short, and keeps to plain words.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
    process::Command,
};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use regex::Regex;

/// The README is for the first five minutes; the rest belongs in `docs`.
const README_LINES: usize = 170;

/// A `_` splits each phrase, so that this list does not match itself.
const REFUSED: [&str; 11] = [
    "told_ of",
    "no_body",
    "some_body",
    "who_ever",
    "a_new",
    "but_ for",
    "in_ step",
    "held_ against",
    "made_ good",
    "stir_red",
    "ow_ed",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of the repository, also new ones that are not committed yet.
fn files() -> BTreeSet<PathBuf> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(list).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).unwrap();
    let files = names.split_terminator('\0').map(PathBuf::from);
    files.filter(|file| root().join(file).is_file()).collect()
}

/// The line, from 1, of a byte of a text.
fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

// === Links ===

/// What other pages can point to in a page, and what it points to.
#[derive(Default)]
struct Page {
    anchors: BTreeSet<String>,
    /// Line and target of each link and image.
    links: Vec<(usize, String)>,
}

impl Page {
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut heading: Option<String> = None;
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((line_of(text, range.start), dest_url.into_string()));
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => page.add_anchor(&heading.take().unwrap()),
                Event::Text(part) | Event::Code(part) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&part);
                    }
                }
                _ => {}
            }
        }
        page
    }

    /// Adds the anchor that GitHub and others make of a heading; a second one of a name gets a number.
    fn add_anchor(&mut self, heading: &str) {
        let kept = |c: &char| c.is_alphanumeric() || ['-', '_', ' '].contains(c);
        let anchor: String = heading.to_lowercase().chars().filter(kept).collect();
        let anchor = anchor.replace(' ', "-");
        let numbered = (1..).map(|number| format!("{anchor}-{number}"));
        let mut names = std::iter::once(anchor.clone()).chain(numbered);
        let free = names.find(|name| !self.anchors.contains(name)).unwrap();
        self.anchors.insert(free);
    }
}

/// The path of a link in the repository, without `..`; none if it leaves the repository.
fn resolved(page: &Path, link: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in page.parent().unwrap().join(link).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            _ => return None,
        }
    }
    Some(path)
}

/// Why a link of a page leads nowhere.
fn fault(pages: &BTreeMap<PathBuf, Page>, page: &Path, link: &str) -> Option<&'static str> {
    if link.contains("://") {
        return None;
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, it)| (path, Some(it)));
    let target = if path.is_empty() { Some(page.to_owned()) } else { resolved(page, path) };
    let Some(target) = target.filter(|target| root().join(target).exists()) else {
        return Some("no such file");
    };
    let anchor = anchor?;
    let found = pages.get(&target).is_some_and(|target| target.anchors.contains(anchor));
    (!found).then_some("no such heading")
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_exist() {
    let is_page = |file: &PathBuf| file.extension().is_some_and(|it| it == "md");
    let read = |file: PathBuf| {
        let page = Page::read(&fs::read_to_string(root().join(&file)).unwrap());
        (file, page)
    };
    let pages: BTreeMap<_, _> = files().into_iter().filter(is_page).map(read).collect();
    let mut checked = 0;
    let mut faults = Vec::new();
    for (file, page) in &pages {
        for (line, link) in &page.links {
            checked += 1;
            if let Some(fault) = fault(&pages, file, link) {
                faults.push(format!("{}:{line}: {link}: {fault}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{} links lead nowhere:\n{}", faults.len(), faults.join("\n"));
    assert!(checked > 40, "only {checked} links were found");
}

#[test]
fn anchors_are_those_that_a_repository_host_makes() {
    let page = Page::read("# What it `costs`, in *ms*\n\n## A\n\n## A\n\n## systemd_up?\n");
    let expected = ["what-it-costs-in-ms", "a", "a-1", "systemd_up"].map(String::from);
    assert_eq!(page.anchors, BTreeSet::from(expected));
}

// === Length and words ===

#[test]
fn the_readme_is_short() {
    let lines = fs::read_to_string(root().join("README.md")).unwrap().lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines: move some of them to docs/");
}

/// Whole words, in any case, also where a line of a comment ends between them.
fn refused() -> Regex {
    let words = REFUSED.map(|words| words.replace('_', "").replace(' ', r"[\s/#!*]+"));
    Regex::new(&format!(r"(?i)\b(?:{})\b", words.join("|"))).unwrap()
}

#[test]
fn no_file_uses_words_that_need_decoding() {
    let refused = refused();
    // Neither is ours to word.
    let is_ours = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy();
        name != "Cargo.lock" && !name.starts_with("LICENSE")
    };
    let mut found = Vec::new();
    for file in files().into_iter().filter(is_ours) {
        // Without UTF-8 it is no text.
        let Ok(text) = fs::read_to_string(root().join(&file)) else { continue };
        for words in refused.find_iter(&text) {
            let line = line_of(&text, words.start());
            found.push(format!("{}:{line}: {:?}", file.display(), words.as_str()));
        }
    }
    assert!(found.is_empty(), "use a plain word in {} places:\n{}", found.len(), found.join("\n"));
}

#[test]
fn refused_words_are_found_whole_and_across_lines() {
    let plain = |words: &str| words.replace('_', "");
    for words in REFUSED.map(plain) {
        assert!(refused().is_match(&format!("it is {}, so", words.to_uppercase())), "{words}");
        let comment = format!("/// it is {}\n", words.replace(' ', "\n    /// "));
        assert!(refused().is_match(&comment), "{comment}");
    }
    for fine in ["he told often", "renewed", "followed", "no body", "in steps"] {
        assert!(!refused().is_match(fine), "{fine}");
    }
}
