//! The man page and the completions in `packaging` are made from the definition of the flags.

use std::{fs, path::Path};

use clap::builder::StyledStr;
use clap_complete::{Shell, generate};
use clap_mangen::{
    Man,
    roff::{Roff, bold, italic, roman},
};
use unitwatch::cli;

/// What the definition does not know.
const EXIT_STATUS: [(&str, &str); 4] = [
    ("0", "Success, also after a SIGTERM or SIGINT."),
    ("1", "Failure; the last line on standard error is the reason."),
    ("2", "Bad usage, such as a wrong value of a flag."),
    ("130, 143", "Ended by a second SIGINT or SIGTERM, before every client had its answer."),
];

/// The paragraphs of a help text.
fn paragraphs(text: Option<&StyledStr>) -> Vec<String> {
    let text = text.unwrap().to_string();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn man_page() -> String {
    let mut command = cli::command().disable_help_subcommand(true);
    command.build();
    let man = Man::new(command.clone()).section("8").manual("System Administration");
    let mut page = Vec::new();
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();

    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    let (options, subcommand) = (italic("OPTION"), italic("COMMAND"));
    roff.text([bold("unitwatch"), roman(" ["), options, roman("]... ["), subcommand, roman("]")]);
    roff.control("SH", ["DESCRIPTION"]);
    // The first paragraph is in NAME.
    for text in [&paragraphs(command.get_long_about())[1..], &paragraphs(command.get_after_help())]
    {
        for paragraph in text {
            roff.control("PP", []).text([roman(paragraph)]);
        }
    }
    roff.control("SH", ["COMMANDS"]);
    for subcommand in command.get_subcommands() {
        let text = paragraphs(subcommand.get_long_about());
        roff.control("TP", []).text([bold(subcommand.get_name())]).text([roman(&text[0])]);
        for paragraph in &text[1..] {
            roff.control("IP", []).text([roman(paragraph)]);
        }
    }
    roff.to_writer(&mut page).unwrap();
    man.render_options_section(&mut page).unwrap();

    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in EXIT_STATUS {
        roff.control("TP", []).text([bold(status)]).text([roman(meaning)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("systemd"), roman("(1), "), bold("systemctl"), roman("(1)")]);
    roff.to_writer(&mut page).unwrap();
    // Each part begins with the same macro for apostrophes.
    let preamble = Roff::new().render();
    preamble.clone() + &String::from_utf8(page).unwrap().replace(&preamble, "")
}

fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    generate(shell, &mut cli::command(), "unitwatch", &mut script);
    String::from_utf8(script).unwrap()
}

#[test]
fn the_man_page_and_the_completions_are_current() {
    let (here, renewed) = (Path::new(env!("CARGO_MANIFEST_DIR")), env!("CARGO_TARGET_TMPDIR"));
    let mut stale = Vec::new();
    for (path, current) in [
        ("packaging/man/unitwatch.8", man_page()),
        ("packaging/completions/unitwatch.bash", completions(Shell::Bash)),
        ("packaging/completions/_unitwatch", completions(Shell::Zsh)),
        ("packaging/completions/unitwatch.fish", completions(Shell::Fish)),
    ] {
        let copy = Path::new(renewed).join(path);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::write(&copy, &current).unwrap();
        if fs::read_to_string(here.join(path)).ok() != Some(current) {
            stale.push(path);
        }
    }
    assert!(stale.is_empty(), "stale: {stale:?}; to renew: cp -r {renewed}/packaging .");
}
