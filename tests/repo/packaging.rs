//! The man page and the completions in `packaging` are made from the definition of the flags.

use std::{fs, path::Path, process};

use clap::{Command, builder::StyledStr};
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

/// fish's `argparse`, on which the generated script is built, takes no flag with a dot in its name.
/// Every flag may stand anywhere, so nothing has to be parsed.
fn fish_completions() -> String {
    let mut command = cli::command();
    command.build();
    let quote = |text: &str| format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"));
    let about = |help: Option<&StyledStr>| quote(&help.unwrap().to_string());
    let subcommands: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
    let is_first = quote(&format!("not __fish_seen_subcommand_from {}", subcommands.join(" ")));
    let mut lines = vec!["complete -c unitwatch -f".to_owned()];
    for subcommand in command.get_subcommands() {
        let (name, about) = (subcommand.get_name(), about(subcommand.get_about()));
        lines.push(format!("complete -c unitwatch -n {is_first} -a {name} -d {about}"));
    }
    for arg in command.get_arguments() {
        let short = arg.get_short().map_or(String::new(), |short| format!(" -s {short}"));
        let takes_value = arg.get_num_args().is_some_and(|values| values.min_values() > 0);
        let (value, about) = (if takes_value { " -x" } else { "" }, about(arg.get_help()));
        let flag = arg.get_long().unwrap();
        lines.push(format!("complete -c unitwatch -l {flag}{short}{value} -d {about}"));
    }
    lines.join("\n") + "\n"
}

#[test]
fn the_man_page_and_the_completions_are_current() {
    let (here, renewed) = (Path::new(env!("CARGO_MANIFEST_DIR")), env!("CARGO_TARGET_TMPDIR"));
    let mut stale = Vec::new();
    for (path, current) in [
        ("packaging/man/unitwatch.8", man_page()),
        ("packaging/completions/unitwatch.bash", completions(Shell::Bash)),
        ("packaging/completions/_unitwatch", completions(Shell::Zsh)),
        ("packaging/completions/unitwatch.fish", fish_completions()),
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

/// A script for each shell that prints how the words in `$line` can end, or in which the shell
/// itself completes them.
const COMPLETE: [(&str, &str); 3] = [
    (
        "bash",
        "source unitwatch.bash
         COMP_WORDS=($line) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
         _unitwatch unitwatch \"${COMP_WORDS[-1]}\" \"${COMP_WORDS[-2]}\"
         printf '%s\\n' \"${COMPREPLY[@]}\"",
    ),
    (
        "zsh",
        "zmodload zsh/zpty
         zpty shell zsh -f -i
         zpty -w shell 'fpath=($PWD $fpath) PS1=; autoload -U compinit; compinit -D -u; unitwatch() {}'
         zpty -w -n shell \"$line\"$'\\t'
         zpty -r shell text \"*$completed*\" && print -r -- \"$text\"",
    ),
    ("fish", "source unitwatch.fish; complete -C $line"),
];

#[test]
fn every_shell_completes_subcommands_and_flags() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/completions");
    for (line, completed) in [
        ("unitwatch unit-f", "unit-file"),
        ("unitwatch --retention 5m de", "demo"),
        ("unitwatch --systemd.collector.unit-ty", "--systemd.collector.unit-type"),
        ("unitwatch unit-file --collector.pr", "--collector.pressure"),
    ] {
        for (shell, script) in COMPLETE {
            // zsh waits for what does not come.
            let mut command = process::Command::new("timeout");
            command.args(["30", shell, "-c", script]).current_dir(&scripts);
            command.env("line", line).env("completed", completed).env("TERM", "dumb");
            let output = command.output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(
                text.contains(completed),
                "{shell}: {line}: {text}{} (Debian packages: zsh, fish)",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}
