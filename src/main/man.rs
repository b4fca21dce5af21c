//! `ringway man`: the manual, from the command line's own definition and what no flag says.
//!
//! Owns the words about files, environment, signals and exit codes; what commands and flags say stands in `config::cli`.

use std::{error::Error, fs, path::Path};

use clap::{Command, CommandFactory};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};
use ringway::config::{self, cli::Cli, cli::ManArgs};

use super::{EXIT_CONFIG, EXIT_INTERRUPTED, EXIT_SOFTWARE};

type Failure = Box<dyn Error>;

/// The page of `ringway`, or where all pages were written.
pub(super) fn man(args: &ManArgs) -> Result<String, Failure> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    match &args.folder {
        Some(folder) => write_all(&command, folder),
        None => Ok(String::from_utf8(main_page(&command)?)?),
    }
}

fn write_all(command: &Command, folder: &Path) -> Result<String, Failure> {
    let failed = |error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(failed)?;
    let mut pages = vec![(page_of(command).get_filename(), main_page(command)?)];
    add_pages_below(command, &mut pages)?;
    for (name, page) in &pages {
        fs::write(folder.join(name), page).map_err(failed)?;
    }
    Ok(format!("{} pages; to read the first: man -l {}\n", pages.len(), folder.join(&pages[0].0).display()))
}

fn add_pages_below(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<(), Failure> {
    for below in command.get_subcommands() {
        let page = page_of(below);
        let mut text = Vec::new();
        page.render(&mut text)?;
        pages.push((page.get_filename(), text));
        add_pages_below(below, pages)?;
    }
    Ok(())
}

fn page_of(command: &Command) -> Man {
    // A date would have to be that of the words: the version says as much.
    Man::new(command.clone()).date(env!("CARGO_PKG_VERSION")).source("Ringway").manual("Ringway")
}

fn main_page(command: &Command) -> Result<Vec<u8>, Failure> {
    let (page, mut text) = (page_of(command), Vec::new());
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    page.render_subcommands_section(&mut text)?;
    own_sections(command).to_writer(&mut text)?;
    Ok(text)
}

fn own_sections(command: &Command) -> Roff {
    let mut roff = Roff::new();
    section(
        &mut roff,
        "FILES",
        "",
        &[(
            "ringway.toml".into(),
            "The configuration, in the folder where the command is run, unless --config names another file. \
             `ringway config default` prints it with every setting, its meaning and its default."
                .into(),
        )],
    );
    let mut variables = vec![(
        "RINGWAY_SECTION__NAME".to_owned(),
        "Any setting: RINGWAY_SERVER__PORT is server.port. Stronger than the file and than the names below, weaker than \
         flags."
            .to_owned(),
    )];
    variables
        .extend(config::plain_names().map(|(name, key, words)| (name.to_owned(), format!("{key}. {words}"))));
    section(&mut roff, "ENVIRONMENT", "A variable that is empty counts as not set.", &variables);
    let signals = [
        (
            "SIGTERM, SIGINT",
            "Drain: the node is not ready any more, tells its clients to come back elsewhere, closes their connections \
             at a pace and ends. The second one ends it at once.",
        ),
        (
            "SIGHUP",
            "Load the configuration again, from the same file, environment and flags. If any of it is wrong, nothing \
             changes and the log says why. Else what can change while it runs does (keys, issuers, channel templates, \
             the log's level: `ringway config default` says at each setting), on every shard, and the log names what \
             changed and what needs a restart.",
        ),
    ];
    section(&mut roff, "SIGNALS", "", &owned(&signals));
    let codes = [
        ("0", "It has drained, or the command has done what it says."),
        (
            &EXIT_CONFIG.to_string(),
            "The configuration, the machine or a token is not as it must be; `config check --explain`: he may not.",
        ),
        ("2", "The command line is wrong."),
        (&EXIT_SOFTWARE.to_string(), "A shard has failed; the others were drained."),
        (&EXIT_INTERRUPTED.to_string(), "A second signal has ended the drain."),
    ];
    section(&mut roff, "EXIT STATUS", "", &owned(&codes));
    if let Some(examples) = command.get_after_help() {
        roff.control("SH", ["EXAMPLES"]);
        roff.control("nf", []);
        // The first line says that these are examples.
        for line in examples.to_string().lines().skip(1) {
            roff.text([roman(line.trim_start())]);
        }
        roff.control("fi", []);
    }
    roff
}

fn owned(items: &[(&str, &str)]) -> Vec<(String, String)> {
    items.iter().map(|(term, words)| ((*term).to_owned(), (*words).to_owned())).collect()
}

/// A heading, a sentence if there is one, and terms with what they mean.
fn section(roff: &mut Roff, title: &str, sentence: &str, items: &[(String, String)]) {
    roff.control("SH", [title]);
    if !sentence.is_empty() {
        roff.text([roman(sentence)]);
    }
    for (term, words) in items {
        roff.control("TP", []);
        roff.text([bold(term.as_str())]);
        roff.text([roman(words.as_str())]);
    }
}
